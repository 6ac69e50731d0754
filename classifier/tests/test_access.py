"""Access to every URL with every method, for owners, other users, staff and anonymous visitors.

The URLs come from the URLconf, so a new one must be added to the table.
"""

import io
import re
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from pytest_django import Settings

from classifier import storage
from classifier.models import (
    Analysis,
    ApiToken,
    Batch,
    Clip,
    Event,
    Inspection,
    InspectionKind,
    SavedFilter,
    ShareLink,
    State,
)
from classifier.services import batches, judgements, notes, sharing, tokens
from classifier.services.uploads import accept
from classifier.tests.conftest import PICTURE
from tests.bulk_data import METADATA

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
SECRET = "anna-at-the-lake"

# Who may open each URL: everybody, signed-in users (MEMBERS), or only the owner of the object.
EVERYBODY = (
    "/",
    "example/",
    "try/",
    "samples/<slug:name>.flac",
    "favicon.ico",
    "robots.txt",
    "healthz",
    "readyz",
    "account/sign-up/",
    "account/sign-in/",
    "account/sign-out/",
    "account/reset/",
    "account/reset/sent/",
    "account/reset/done/",
    "account/reset/<uidb64>/<token>/",
    "admin/login/",
    "api/schema/",
    "api/schema.yaml",
    "api/docs/",
    "api/v1/token/",
)
MEMBERS = (
    "clips/",
    "samples/<slug:name>/",
    "rows/",
    "history/",
    "checked/",
    "history/rows/",
    "history/export/",
    "history/again/",
    "history/tag/",
    "history/delete/",
    "history/filters/",
    "models/",
    "models/<str:name>/<slug:kind>.png",
    "account/",
    "account/email/",
    "account/export/",
    "account/delete/",
    "account/password/",
    "account/password/done/",
    "batches/",
    "batches/new/",
    "batches/seen/",
    "api/v1/classify/",
    "api/v1/tokens/",
    "api/v1/clips/",
    "api/v1/analyses/",
    "api/v1/analyses/again/",
    "api/v1/analyses/tag/",
    "api/v1/analyses/untag/",
    "api/v1/analyses/delete/",
    "api/v1/analyses/export/",
    "api/v1/events/",
    "api/v1/shares/",
    "api/v1/batches/",
    "api/v1/judgements/precision/",
    "api/v1/judgements/sounds.zip",
    "api/v1/checkpoints/",
    "api/v1/checkpoints/<str:identity>/",
)
OWNERS = (
    "analyses/<uuid:pk>/",
    "analyses/<uuid:pk>/part/",
    "analyses/<uuid:pk>/lanes/",
    "analyses/<uuid:pk>/again/",
    "analyses/<uuid:pk>/share/",
    "analyses/<uuid:pk>/share/revoke/",
    "analyses/<uuid:pk>/recorded/",
    "analyses/<uuid:pk>/judgement/",
    "events/<int:pk>/judgement/",
    "analyses/<uuid:pk>/notes/",
    "history/filters/<uuid:pk>/delete/",
    "clips/<uuid:clip_id>/delete/",
    "analyses/<uuid:pk>/events.zip",
    "analyses/<uuid:pk>/inspections/",
    "inspections/<uuid:pk>/part/",
    "account/tokens/<uuid:pk>/revoke/",
    "account/shares/<slug:token>/revoke/",
    "media/clips/<uuid:clip_id>/audio",
    "media/analyses/<uuid:pk>/audio",
    "media/analyses/<uuid:pk>/card.png",
    "media/analyses/<uuid:pk>/peaks.json",
    "media/analyses/<uuid:pk>/maps.zip",
    "media/analyses/<uuid:pk>/spectrogram.png",
    "media/analyses/<uuid:pk>/strip.png",
    "media/analyses/<uuid:pk>/maps/<str:name>.png",
    "media/inspections/<uuid:pk>/maps/<str:name>.png",
    "media/inspections/<uuid:pk>/<str:name>",
    "batches/<uuid:pk>/",
    "batches/<uuid:pk>/part/",
    "batches/<uuid:pk>/rows/",
    "batches/<uuid:pk>/paths/",
    "batches/<uuid:pk>/files/",
    "batches/<uuid:pk>/zip/",
    "batches/<uuid:pk>/close/",
    "batches/<uuid:pk>/cancel/",
    "batches/<uuid:pk>/delete/",
    "batches/<uuid:pk>/retry/",
    "api/v1/tokens/<uuid:pk>/",
    "api/v1/clips/<uuid:pk>/",
    "api/v1/clips/<uuid:pk>/analyses/",
    "api/v1/analyses/<uuid:pk>/",
    "api/v1/analyses/<uuid:pk>/cancel/",
    "api/v1/analyses/<uuid:pk>/events/",
    "api/v1/analyses/<uuid:pk>/inspections/",
    "api/v1/analyses/<uuid:pk>/share/",
    "api/v1/shares/<slug:token>/",
    "api/v1/analyses/<uuid:pk>/judgement/",
    "api/v1/events/<int:pk>/judgement/",
    "api/v1/inspections/<uuid:pk>/",
    "api/v1/batches/<uuid:pk>/",
    "api/v1/batches/<uuid:pk>/files/",
    "api/v1/batches/<uuid:pk>/folders/",
    "api/v1/batches/<uuid:pk>/close/",
    "api/v1/batches/<uuid:pk>/cancel/",
    "api/v1/batches/<uuid:pk>/retry/",
    "api/v1/batches/<uuid:pk>/events/",
    "api/v1/batches/<uuid:pk>/results.csv",
    "api/v1/batches/<uuid:pk>/results.json",
)
# Whoever has the link, and only for the one analysis of the link.
SHARED = (
    "s/<slug:token>/",
    "s/<slug:token>/delete/",
    "s/<slug:token>/card.png",
    "s/<slug:token>/analyses/<uuid:pk>/part/",
    "s/<slug:token>/analyses/<uuid:pk>/lanes/",
    "s/<slug:token>/analyses/<uuid:pk>/inspections/",
    "s/<slug:token>/inspections/<uuid:pk>/part/",
    "s/<slug:token>/media/analyses/<uuid:pk>/audio",
    "s/<slug:token>/media/analyses/<uuid:pk>/peaks.json",
    "s/<slug:token>/media/analyses/<uuid:pk>/maps.zip",
    "s/<slug:token>/media/analyses/<uuid:pk>/spectrogram.png",
    "s/<slug:token>/media/analyses/<uuid:pk>/strip.png",
    "s/<slug:token>/media/analyses/<uuid:pk>/maps/<str:name>.png",
    "s/<slug:token>/media/inspections/<uuid:pk>/maps/<str:name>.png",
    "s/<slug:token>/media/inspections/<uuid:pk>/<str:name>",
)


def walk(patterns: list[Any], before: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from walk(pattern.url_patterns, route)
        else:
            assert isinstance(pattern, URLPattern)
            yield route or "/"


EVERY = list(walk(get_resolver().url_patterns))
ADMIN = [route for route in EVERY if route.startswith("admin/") and route not in EVERYBODY]


@dataclass(frozen=True, slots=True)
class Furnished:
    """Objects of anna; only one of her two analyses is shared.

    Attributes
    ----------
    other : Analysis
        The one that is not.
    """

    clip: Clip
    analysis: Analysis
    event: Event
    inspection: Inspection
    batch: Batch
    token: ApiToken
    share: ShareLink
    saved: SavedFilter
    other: Analysis


@pytest.fixture
def furnished(anna: User, own_media: Path) -> Furnished:
    analysis = accept([b"anna's own bytes"], name=f"{SECRET}.wav", owner=anna)
    analysis.token, analysis.state, analysis.label = "t" * 32, State.DONE, "dog"
    analysis.predictions = [{"class": "dog", "confidence": 0.9}]
    analysis.render_metadata = METADATA.to_json()
    analysis.save()
    Clip.objects.filter(pk=analysis.clip_id).update(
        format="WAV", duration_s=5.0, source_rate_hz=32_000
    )
    pack = io.BytesIO()
    zipfile.ZipFile(pack, "w").close()
    made = dict.fromkeys(("peaks.json", "spectrogram.png", "strip.png"), b"anna's own")
    made |= {"maps.zip": pack.getvalue(), "spectrogram.png": PICTURE}
    storage.write_all(storage.analysis_folder(analysis.pk, analysis.token), made)
    times = {"start_s": 0.5, "end_s": 1.5, "peak_s": 1.0}
    event = Event.objects.create(analysis=analysis, label="dog", confidence=0.9, **times)
    judgements.judge_clip(analysis, "dog", anna)
    inspection = Inspection.objects.create(
        analysis=analysis,
        kind=InspectionKind.EXPLANATION,
        window=0,
        label="dog",
        token="s" * 32,
        state=State.DONE,
        figures={"start_s": 0, "window_s": 5, "logit": 7.0, "shape": [64, 167], "strongest": {}}
        | {"original": 0.9, "kept": 0.8, "rest": 0.1, "verdict": "convincing"},
    )
    files = {"kept.flac": b"anna's own", "explanation.zip": pack.getvalue()}
    storage.write_all(storage.inspection_folder(inspection.pk, inspection.token), files)
    batch = batches.create(anna, SECRET)
    batches.add_file(batch, f"{SECRET}/x.wav", [b"another sound of anna's own"])
    other = Analysis.objects.exclude(pk=analysis.pk).get()
    saved = SavedFilter.objects.create(owner=anna, name=SECRET, query="label=dog")
    notes.set_tags(analysis.clip, [SECRET])
    token, share = tokens.create(anna, SECRET)[0], sharing.share(analysis)[0]
    return Furnished(analysis.clip, analysis, event, inspection, batch, token, share, saved, other)


@pytest.fixture(autouse=True)
def with_email(settings: Settings) -> None:
    """Set up e-mail, without which some pages are 404."""
    settings.EMAIL_HOST = "mail.example"


@pytest.fixture
def anna(db: None) -> User:
    """A user without a password, because hashing is slow and no test here needs one."""
    return User.objects.create(username="anna")


@pytest.fixture
def ben(db: None) -> User:
    return User.objects.create(username="ben")


@pytest.fixture
def superuser(db: None) -> User:
    return User.objects.create(username="superuser", is_staff=True, is_superuser=True)


def address_of(route: str, own: Furnished) -> str:
    pk: uuid.UUID = own.analysis.pk
    for part, found in (
        ("inspections/<", own.inspection.pk),
        ("batches/<", own.batch.pk),
        ("tokens/<", own.token.public_id),
        ("filters/<", own.saved.pk),
        ("clips/<", own.clip.pk),
    ):
        pk = found if part in route else pk
    address = route.replace("<uuid:pk>", str(pk)).replace("<uuid:clip_id>", str(pk))
    address = address.replace("inspections/<str:name>", "inspections/kept.flac")
    for name, value in (
        ("<slug:token>", own.share.token),
        ("<int:pk>", str(own.event.pk)),
        ("<slug:name>", "dog"),
        ("<slug:kind>", "confusion"),
        ("<str:identity>", "x@0"),
        ("<str:name>", "kept.flac" if "inspections" in route else "conv1"),
    ):
        address = address.replace(name, value)
    assert "<" not in address, address
    return "/" + address.removeprefix("/")


def public_address(route: str) -> str:
    return "/" + route.removeprefix("/").replace("<slug:name>", "siren")


def signed_in(user: User, **options: Any) -> Client:
    client = Client(raise_request_exception=False, **options)
    client.force_login(user)
    return client


def holding_a_token(user: User) -> Client:
    _, token = tokens.create(user)
    return Client(raise_request_exception=False, headers={"Authorization": f"Token {token}"})


def body_of(answer: Any) -> str:
    data = b"".join(answer) if answer.streaming else answer.content
    return data.decode(errors="replace")


def state_of(media: Path, user: User) -> list[Any]:
    """Return all rows and files; of tokens only anna's, because using a token changes its row."""
    ours = set(apps.get_app_config("classifier").get_models()) - {ApiToken}
    rows = [list(model._default_manager.order_by("pk").values()) for model in ours]
    theirs = list(ApiToken.objects.filter(user=user, name=SECRET).values())
    return [rows, theirs, sorted(path for path in media.rglob("*") if path.is_file())]


def test_every_url_is_in_the_access_table() -> None:
    assert sorted(set(EVERY)) == sorted([*EVERYBODY, *MEMBERS, *OWNERS, *SHARED, *ADMIN])
    assert len(ADMIN) > 40


@pytest.mark.parametrize("route", OWNERS)
def test_objects_of_a_user_cannot_be_reached_by_others(
    route: str, furnished: Furnished, anna: User, ben: User, superuser: User, own_media: Path
) -> None:
    address = address_of(route, furnished)
    others = {
        "a visitor": Client(raise_request_exception=False),
        "ben": signed_in(ben),
        "ben's token": holding_a_token(ben),
        "a superuser": signed_in(superuser),
    }
    before = state_of(own_media, anna)
    for who, client in others.items():
        for method in METHODS:
            answer = client.generic(method, address)
            payload = f"{method} {address} by {who}: {answer.status_code}"
            if answer.status_code in (200, 204):
                # OPTIONS lists the methods; HX-Redirect sends the page to signing in.
                assert method == "OPTIONS" or "HX-Redirect" in answer, payload
            else:
                assert answer.status_code in (302, 401, 403, 404, 405), payload
            if answer.status_code == 302:
                assert answer["Location"].startswith("/account/sign-in/"), payload
            body = body_of(answer)
            assert SECRET not in body and "anna's own" not in body, payload
    assert state_of(own_media, anna) == before
    seen = {method: signed_in(anna).generic(method, address).status_code for method in METHODS}
    # PNGs are 404 here: no worker has written any.
    assert set(seen.values()) - {404, 405} or route.endswith(".png"), seen
    assert not {status for status in seen.values() if status >= 500 or status in (401, 403)}, seen


@pytest.mark.parametrize("route", SHARED)
def test_a_share_link_reaches_one_analysis_without_an_account_and_changes_nothing(
    route: str, furnished: Furnished, anna: User, own_media: Path
) -> None:
    before = state_of(own_media, anna)
    address = address_of(route, furnished)
    visitor = Client(raise_request_exception=False)
    for method in METHODS:
        status = visitor.generic(method, address).status_code
        assert status in (200, 204, 404, 405), f"{method} {address}: {status}"
    # PNGs of maps are 404 here, and so is what only the holder of a visitor's link may request.
    opened = visitor.get(address).status_code
    assert (
        opened == 200
        or "maps/" in route
        or (opened == 405 and route.endswith(("inspections/", "delete/")))
    )
    for held, wanted in (
        (furnished.share.token, "another-token"),
        (str(furnished.analysis.pk), str(furnished.other.pk)),
        (str(furnished.inspection.pk), str(furnished.other.pk)),
    ):
        if held in address:
            for client in (visitor, signed_in(anna)):
                answer = client.get(address.replace(held, wanted))
                assert answer.status_code == 404 or opened == 405, answer.request
                assert SECRET not in body_of(answer)
    assert state_of(own_media, anna) == before


@pytest.mark.parametrize("route", MEMBERS)
def test_member_pages_show_only_the_users_own_data(
    route: str, furnished: Furnished, ben: User
) -> None:
    address = address_of(route, furnished)
    visitor = Client(raise_request_exception=False)
    for method in METHODS:
        answer = visitor.generic(method, address)
        payload = f"{method} {address}: {answer.status_code}"
        assert answer.status_code in (302, 401, 403, 404, 405) or method == "OPTIONS", payload
        assert SECRET not in body_of(answer), payload
    for client in (signed_in(ben), holding_a_token(ben)):
        for method in METHODS:
            if method == "POST" and route == "account/delete/":
                continue
            answer = client.generic(method, address)
            assert answer.status_code < 500, f"{method} {address}"
            assert SECRET not in body_of(answer), f"{method} {address}"


@pytest.mark.parametrize("route", EVERYBODY)
def test_public_pages_show_no_private_data(
    route: str, furnished: Furnished, ben: User, own_media: Path
) -> None:
    for client in (Client(raise_request_exception=False), signed_in(ben)):
        for method in METHODS:
            answer = client.generic(method, public_address(route))
            assert answer.status_code < 500 or route == "readyz", f"{method} {route}"
            assert SECRET not in body_of(answer), f"{method} {route}"


def test_every_page_has_a_title_of_its_own(furnished: Furnished, anna: User) -> None:
    pages: dict[str, str] = {}
    for client, routes in ((Client(), EVERYBODY), (signed_in(anna), MEMBERS + OWNERS)):
        for route in routes:
            public = route in EVERYBODY
            address = public_address(route) if public else address_of(route, furnished)
            answer = client.get(address)
            if answer.status_code == 200 and "<html" in body_of(answer):
                (pages[route],) = re.findall("<title>(.*?)</title>", body_of(answer), re.DOTALL)
    assert len(set(pages.values())) == len(pages) > 10, pages
    del pages["admin/login/"]
    assert all(re.fullmatch(r"\S.* · Sonoscope", title) for title in pages.values()), pages


@pytest.mark.parametrize("route", OWNERS + MEMBERS)
def test_requests_without_a_csrf_token_are_rejected(
    route: str, furnished: Furnished, anna: User, own_media: Path
) -> None:
    client = signed_in(anna, enforce_csrf_checks=True)
    before = state_of(own_media, anna)
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = client.generic(method, address_of(route, furnished))
        assert answer.status_code in (401, 403, 404, 405), f"{method} {route}"
    assert state_of(own_media, anna) == before


@pytest.mark.parametrize("route", ADMIN)
def test_only_staff_can_open_the_admin(
    route: str, furnished: Furnished, anna: User, superuser: User, own_media: Path
) -> None:
    address = "/" + route
    row = furnished.inspection if "classifier/inspection/" in route else furnished.analysis
    for name, value in (
        ("<path:object_id>", str(row.pk)),
        ("<int:content_type_id>", "1"),
        ("<app_label>", "auth"),
        ("<id>", str(anna.pk)),
        ("(?P<app_label>auth|classifier)/$", "auth/"),
        ("(?P<url>.*)$", "nowhere"),
    ):
        address = address.replace(name, value)
    before = state_of(own_media, anna)
    for client in (Client(raise_request_exception=False), signed_in(anna), holding_a_token(anna)):
        for method in ("GET", "POST"):  # the admin has no others
            answer = client.generic(method, address)
            payload = f"{method} {address}: {answer.status_code}"
            assert answer.status_code in (302, 403, 404, 405), payload
            assert SECRET not in body_of(answer), payload
    assert state_of(own_media, anna) == before
    assert signed_in(superuser).get(address).status_code < 500


@pytest.mark.parametrize("route", [route for route in OWNERS if route.startswith("media/")])
def test_private_files_have_private_caching_and_a_fixed_type(
    route: str, furnished: Furnished, anna: User
) -> None:
    answer = signed_in(anna).get(address_of(route, furnished))
    assert answer["X-Content-Type-Options"] == "nosniff"
    if answer.status_code == 200:
        assert (
            answer["Cache-Control"].startswith("private") or "no-store" in answer["Cache-Control"]
        )
        assert "html" not in answer["Content-Type"] and "svg" not in answer["Content-Type"]
