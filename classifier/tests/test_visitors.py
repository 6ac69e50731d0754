"""Visitors, who have no account: the example, the sound they try, its limits and its deletion."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from pytest_django import Settings
from pytest_django.asserts import assertContains, assertNotContains

from classifier import storage
from classifier.checkpoints.inventory import Installed
from classifier.models import (
    VISITORS,
    Analysis,
    Clip,
    Inspection,
    InspectionKind,
    Lane,
    ShareLink,
    State,
)
from classifier.services import deletion, results, sharing, visitors
from classifier.services.problems import RequestRefused
from classifier.services.results import AnalysisResult
from classifier.tests.conftest import done, queued
from classifier.views import sent_sounds
from tests.bulk_data import METADATA

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_counters")]


@pytest.fixture
def visitor() -> Client:
    return Client()


def send(client: Client, data: bytes = b"a sound", **extra: Any) -> Any:
    return client.post("/try/", {"file": SimpleUploadedFile("my dog.wav", data)}, **extra)


def tried(client: Client, data: bytes = b"a sound") -> ShareLink:
    answer = send(client, data)
    assert answer.status_code == 302, answer.content
    return ShareLink.objects.get(token=answer["Location"].strip("/").rpartition("/")[2])


def finish(analysis: Analysis) -> None:
    Clip.objects.filter(pk=analysis.clip_id).update(format="WAV", duration_s=5.0)
    Analysis.objects.filter(pk=analysis.pk).update(
        state=State.DONE,
        token="t" * 32,
        label="dog",
        confidence=0.9,
        predictions=[{"class": "dog", "confidence": 0.9}, {"class": "cat", "confidence": 0.1}],
        render_metadata=METADATA.to_json(),
        timings={"decoding_s": 0.1, "classifying_s": 0.1, "rendering_s": 0.1},
    )


def explain(client: Client, link: ShareLink, kind: str = "explanation", label: str = "dog") -> Any:
    address = f"/s/{link.token}/analyses/{link.analysis_id}/inspections/"
    return client.post(address, {"kind": kind, "label": label, "window": "0"})


def age(clip: Clip, minutes: int = 61) -> None:
    then = timezone.now() - timedelta(minutes=minutes)
    Clip.objects.filter(pk=clip.pk).update(created_at=then)


# --- the account --------------------------------------------------------------------------


def test_nobody_can_sign_in_to_the_account_of_visitors(visitor: Client) -> None:
    owner = tried(visitor).analysis.owner
    assert not owner.is_active and not owner.has_usable_password() and not owner.email
    answer = visitor.post("/account/sign-in/", {"username": VISITORS, "password": "!"})
    assert answer.status_code == 200


def test_nobody_can_sign_up_with_the_name_of_the_account(visitor: Client) -> None:
    for name, accepted in ((VISITORS, False), ("visitors", True)):
        form = {"username": name, "password1": "gr4nular-ear", "password2": "gr4nular-ear"}
        answer = visitor.post("/account/sign-up/", form)
        assert (answer.status_code == 302) is accepted, name
    assert User.objects.get().username == "visitors"


@pytest.mark.parametrize("active", [True, False])
def test_a_person_called_visitors_keeps_their_clips(visitor: Client, active: bool) -> None:
    person = User.objects.create_user("visitors", is_active=active)
    clip = queued(person).clip
    age(clip)
    assertContains(visitor.get("/"), "Try your own sound")
    age(tried(visitor).analysis.clip)
    visitors.remove_old(100)
    assert Clip.objects.filter(owner=person).get() == clip and not clip.of_visitor
    assert not Clip.objects.filter(owner=visitors.account(), name="my dog.wav").exists()


# --- the front page -----------------------------------------------------------------------


def test_the_front_page_plays_and_takes_a_sound_without_scripts(visitor: Client) -> None:
    body = visitor.get("/").content.decode()
    assert re.search(r'<audio controls [^>]*src="/samples/crow.flac"', body)
    assert re.search(r'<form method="post" action="/try/"[^>]*multipart', body)
    assert re.search(r'<input [^>]*type="file" name="file"', body)
    assert "/account/sign-in/" in body and "/account/sign-up/" in body
    assert "The 50 sounds it knows" in body and "<li>Knocking on a door</li>" in body
    assert 'property="og:image" content="http://localhost:8000/static/img/preview.png"' in body
    answer = visitor.get("/samples/crow.flac", headers={"Range": "bytes=0-3"})
    assert (answer.status_code, answer.getvalue()) == (206, b"fLaC")


def test_the_example_is_one_analysis_however_many_visitors_come(visitor: Client) -> None:
    for _ in range(3):
        assertContains(visitor.get("/"), 'data-state="waiting"')
    analysis = Analysis.objects.get()
    assert analysis.checkpoint.startswith("esc50-folds1234@")
    finish(analysis)
    # Its explanation is requested once, too.
    assertContains(visitor.get("/example/?seen="), 'data-state="waiting"')
    assert visitor.get("/example/?seen=waiting").status_code == 204
    asked = Inspection.objects.get()
    assert (asked.kind, asked.label) == (InspectionKind.EXPLANATION, "dog")
    Inspection.objects.update(state=State.FAILED, error_code="x")
    page = visitor.get("/")
    link = ShareLink.objects.get()
    assertContains(page, 'data-state="done"')
    assertContains(page, "<strong>Dog</strong>")
    # The native player works before the script takes over, and without it.
    audio = f"/s/{link.token}/media/analyses/{analysis.pk}/audio"
    assert re.search(rf'<audio [^>]*controls [^>]*src="{audio}"', page.content.decode())
    assertContains(visitor.get(f"/s/{link.token}/"), "<h1>Dog</h1>")
    assert Inspection.objects.count() == 1


def test_a_new_default_checkpoint_gets_a_new_example(
    visitor: Client, other: Installed, settings: Settings
) -> None:
    visitor.get("/")
    first = Analysis.objects.get()
    settings.CHECKPOINT = other.path
    visitor.get("/")
    second = Analysis.objects.exclude(pk=first.pk).get()
    assert second.checkpoint == other.identity
    age(first.clip)
    age(second.clip)
    visitors.remove_old(100)
    assert Analysis.objects.get() == second


def test_a_failed_example_is_made_again_after_an_hour(visitor: Client) -> None:
    visitor.get("/")
    Analysis.objects.update(state=State.FAILED, error_code="crashed")
    assertContains(visitor.get("/"), "but you can play it")
    age(Clip.objects.get())
    visitors.remove_old(100)
    assert not Clip.objects.exists()
    assertContains(visitor.get("/"), 'data-state="waiting"')


def test_a_sound_of_somebody_who_signed_in_meanwhile_is_an_upload(
    anna: User, client: Client
) -> None:
    client.force_login(anna)
    assertContains(client.get("/"), "Recent sounds")
    answer = send(client)
    analysis = Analysis.objects.for_owner(anna).get()
    assert answer["Location"] == f"/analyses/{analysis.pk}/"
    assert not ShareLink.objects.exists()
    assert "url" in send(client, headers={"X-Requested-With": "fetch"}).json()


def test_search_engines_may_read_the_front_page_only(visitor: Client) -> None:
    rules = visitor.get("/robots.txt").content.decode().splitlines()
    assert "Allow: /$" in rules and "Disallow: /" in rules


# --- a sound ------------------------------------------------------------------------------


def test_a_visitor_gets_a_page_that_says_how_long_it_is_kept(visitor: Client) -> None:
    link = tried(visitor)
    assert link.expires_at == link.analysis.created_at + timedelta(hours=1)
    page = visitor.get(f"/s/{link.token}/")
    assertContains(page, "my dog.wav")
    assertContains(page, f"{link.expires_at:%H:%M} UTC")
    assertContains(page, f"/account/sign-up/?next=/analyses/{link.analysis_id}/")
    assertNotContains(page, "visitors&gt;")
    finish(link.analysis)
    page = visitor.get(f"/s/{link.token}/")
    # The explanation of the answer is requested by the page, but not the refined one.
    assertContains(page, 'value="explanation"')
    assertNotContains(page, 'value="refined"')


def test_a_sample_can_be_tried(visitor: Client) -> None:
    answer = visitor.post("/try/", {"sample": "siren"})
    assert answer.status_code == 302
    assert Clip.objects.get().name == "siren.flac"
    assert visitor.post("/try/", {"sample": "../synthesise"}).status_code == 404


def test_the_script_gets_the_url_or_the_problem(visitor: Client) -> None:
    script = Client(headers={"X-Requested-With": "fetch"})
    answer = send(script)
    assert answer.status_code == 202
    assert visitor.get(answer.json()["url"]).status_code == 200
    answer = send(script, b"")
    assert (answer.status_code, answer.json()["code"]) == (400, "empty")


def test_other_people_see_nothing_of_a_visitor(visitor: Client, anna: User) -> None:
    one, two = tried(visitor), tried(Client(), b"another sound")
    for link in (one, two):
        finish(link.analysis)
    member = Client()
    member.force_login(anna)
    for client in (visitor, member):
        for address in (
            f"/analyses/{two.analysis_id}/",
            f"/media/analyses/{two.analysis_id}/audio",
            f"/media/clips/{two.analysis.clip_id}/audio",
            # Nor does the link of one sound lead to another.
            f"/s/{one.token}/media/analyses/{two.analysis_id}/audio",
            f"/s/{one.token}/analyses/{two.analysis_id}/part/",
        ):
            assert client.get(address).status_code in (302, 404), address
        assert client.post(f"/clips/{two.analysis.clip_id}/delete/").status_code in (302, 404)
    assertNotContains(member.get("/history/"), "my dog.wav")
    assert Clip.objects.count() == 2


# --- limits -------------------------------------------------------------------------------


def refused(answer: Any, status: int, code: str) -> None:
    assertContains(answer, f'data-code="{code}"', status_code=status)
    # The page offers another try, and plays a recording before it is sent.
    assertContains(answer, 'type="file"', status_code=status)
    assert "media-src 'self' blob:" in answer["Content-Security-Policy"]


def test_a_sound_that_is_too_large_is_refused(
    visitor: Client, settings: Settings, own_media: Path
) -> None:
    settings.VISITOR_MAX_BYTES = 1000
    refused(send(visitor, b"x" * 1001), 413, "too_large")
    refused(visitor.post("/try/"), 400, "no_file")
    assert not [path for path in own_media.rglob("*") if path.is_file()]
    tried(visitor, b"x" * 1000)


def test_an_address_can_try_a_few_sounds_an_hour(visitor: Client, settings: Settings) -> None:
    settings.THROTTLE_RATES = settings.THROTTLE_RATES | {"tries": "2/hour"}
    tried(visitor)
    tried(Client(), b"another")
    refused(send(visitor), 429, "too_many_tries")
    assert send(visitor, REMOTE_ADDR="192.0.2.7").status_code == 302
    assert Clip.objects.count() == 3


def test_a_refused_sound_does_not_count(
    visitor: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.THROTTLE_RATES = settings.THROTTLE_RATES | {"tries": "1/hour"}
    refused(visitor.post("/try/"), 400, "no_file")
    refused(send(visitor, b""), 400, "empty")
    refused(send(visitor, b"x" * (settings.VISITOR_MAX_BYTES + 1)), 413, "too_large")
    assert visitor.post("/try/", {"sample": "nothing"}).status_code == 404
    monkeypatch.setattr(visitors, "MAX_WAITING", 0)
    refused(send(visitor), 429, "too_many_visitors")
    monkeypatch.setattr(visitors, "MAX_WAITING", 20)
    tried(visitor)
    refused(send(visitor), 429, "too_many_tries")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
    ],
)
def test_an_ipv6_network_counts_as_one_address(
    visitor: Client, settings: Settings, one: str, other: str, same: bool
) -> None:
    settings.THROTTLE_RATES = settings.THROTTLE_RATES | {"tries": "1/hour"}
    assert send(visitor, REMOTE_ADDR=one).status_code == 302
    assert send(visitor, REMOTE_ADDR=other).status_code == (429 if same else 302)


def test_few_sounds_of_visitors_wait(visitor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitors, "MAX_WAITING", 2)
    tried(visitor)
    finish(tried(visitor, b"another").analysis)
    tried(visitor, b"a third")
    refused(send(visitor), 429, "too_many_visitors")


def test_users_are_served_before_visitors_and_visitors_before_batches(
    visitor: Client, anna: User
) -> None:
    first, second = tried(visitor).analysis, tried(visitor, b"another").analysis
    bulk = queued(anna, Lane.BULK)
    single = [queued(anna), queued(anna)]
    chunks = [Analysis.objects.claim(16, 10**9) for _ in range(5)]
    # One visitor at a time, so that a user who comes now waits for at most one.
    assert chunks == [single, [first], [second], [bulk], []]


def test_the_disk_space_of_visitors_is_bounded(
    visitor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visitors, "MAX_KEPT", 1)
    finish(tried(visitor).analysis)
    refused(send(visitor), 429, "visitors_full")


def test_a_sound_has_a_limited_number_of_inspections(
    visitor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visitors, "MAX_INSPECTIONS", 1)
    link = tried(visitor)
    finish(link.analysis)
    assert explain(visitor, link).status_code == 202
    assertContains(explain(visitor, link, label="cat"), "too_many_inspections", status_code=429)
    assert explain(visitor, link).status_code == 202


def test_a_visitor_may_request_explanations_but_not_what_takes_long(
    visitor: Client, settings: Settings, anna: User
) -> None:
    settings.THROTTLE_RATES = settings.THROTTLE_RATES | {"visitor_inspections": "3/min"}
    link = tried(visitor)
    finish(link.analysis)
    assert explain(visitor, link, label="cat").status_code == 202
    assertContains(explain(visitor, link, "refined"), "account_required", status_code=403)
    assertContains(explain(visitor, link, "sounds"), "account_required", status_code=403)
    assertContains(explain(visitor, link), "more than 3 inspections in one minute", status_code=429)
    assert Inspection.objects.get().label == "cat"
    # A user's link stays read only.
    theirs, _ = sharing.share(done(anna))
    assert explain(visitor, theirs).status_code == 404


def test_few_inspections_of_visitors_wait(visitor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitors, "MAX_WAITING_INSPECTIONS", 1)
    link = tried(visitor)
    finish(link.analysis)
    assert explain(visitor, link).status_code == 202
    assertContains(explain(visitor, link, label="cat"), "too_many_visitors", status_code=429)
    # What exists is shown again, and what failed must wait.
    assert explain(visitor, link).status_code == 202
    waiting = Inspection.objects.get()
    Inspection.objects.update(state=State.FAILED, error_code="x")
    Inspection.objects.create(analysis=link.analysis, kind=waiting.kind, label="cat", window=0)
    assert explain(visitor, link).status_code == 429


def test_without_visitors_there_is_the_example_only(visitor: Client, settings: Settings) -> None:
    settings.VISITORS = False
    page = visitor.get("/")
    assertContains(page, "<audio controls")
    assertContains(page, "/account/sign-in/")
    assertNotContains(page, 'type="file"')
    assert send(visitor).status_code == 404
    assert Clip.objects.count() == 1
    # Nobody requests more of the example, nor of a sound that was sent before.
    example = ShareLink.objects.get()
    finish(example.analysis)
    assert explain(visitor, example).status_code == 404
    assertNotContains(visitor.get(f"/s/{example.token}/"), 'method="post"')


# --- into an account ----------------------------------------------------------------------


def signed_up(client: Client, query: str = "") -> Any:
    form = {"username": "carl", "password1": "gr4nular-ear", "password2": "gr4nular-ear"}
    return client.post(f"/account/sign-up/{query}", form)


def test_sounds_move_into_the_account_that_is_created_in_the_same_browser(
    visitor: Client, own_media: Path
) -> None:
    one, two = tried(visitor), tried(visitor, b"another sound")
    tried(Client(), b"of somebody else")
    finish(one.analysis)
    assert explain(visitor, one).status_code == 202
    answer = signed_up(visitor, f"?next=/analyses/{one.analysis_id}/")
    assert answer["Location"] == f"/analyses/{one.analysis_id}/"
    carl = User.objects.get(username="carl")
    mine = {one.analysis, two.analysis}
    assert set(Analysis.objects.for_owner(carl)) == mine
    assert {clip.pk for clip in Clip.objects.for_owner(carl)} == {row.clip_id for row in mine}
    assert Inspection.objects.for_owner(carl).count() == 1
    page = visitor.get(answer["Location"])
    assertContains(page, "<h1>Dog</h1>")
    assertNotContains(page, "Kept until")
    assert Client().get(f"/s/{one.token}/").status_code == 404
    # An hour later the sweep removes the sound of somebody else only.
    for clip in Clip.objects.all():
        age(clip)
    visitors.remove_old(100)
    assert set(Analysis.objects.all()) == mine
    assert visitor.get(f"/media/analyses/{one.analysis_id}/audio").status_code == 200


def test_signing_in_from_elsewhere_leads_to_the_last_sound(visitor: Client) -> None:
    User.objects.create_user("carl", password="gr4nular-ear")
    tried(visitor)
    last = tried(visitor, b"another sound").analysis
    account = {"username": "carl", "password": "gr4nular-ear"}
    answer = visitor.post("/account/sign-in/", account)
    assert answer["Location"] == f"/analyses/{last.pk}/"
    # The next person who signs in gets nothing.
    visitor.post("/account/sign-out/")
    assert visitor.post("/account/sign-in/", account)["Location"] == "/"


def test_signing_up_leads_to_no_other_site(visitor: Client) -> None:
    assert signed_up(visitor, "?next=https://example.com/")["Location"] == "/"
    User.objects.all().delete()
    assert signed_up(Client(), "?next=nowhere")["Location"] == "nowhere"


def test_a_sound_is_handed_over_while_it_is_analysed(visitor: Client, anna: User) -> None:
    link = tried(visitor)
    (running,) = Analysis.objects.claim(1, 10**9)
    assert visitors.hand_over([link.token], anna) == running
    result = AnalysisResult(
        running,
        {},
        {"predictions": [{"class": "dog", "confidence": 0.9}, {"class": "cat", "confidence": 0.1}]},
        {"duration_s": 5.0},
    )
    assert results.save_analyses([result]) == []
    saved = Analysis.objects.for_owner(anna).get()
    assert (saved.state, saved.label, saved.clip.owner) == (State.DONE, "dog", anna)


def test_a_sound_that_is_handed_over_during_a_deletion_stays(
    visitor: Client, anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tried(visitor), tried(visitor, b"another sound")
    tokens = [one.token]
    delete_clips = deletion.delete_clips

    def meanwhile(clips: Any) -> None:
        visitors.hand_over(tokens, anna)
        delete_clips(clips)

    monkeypatch.setattr(deletion, "delete_clips", meanwhile)
    age(one.analysis.clip)
    visitors.remove_old(100)
    tokens = [two.token]
    visitors.delete_sound(two)
    assert Clip.objects.for_owner(anna).count() == 2
    # What was deleted before is not handed over.
    assert visitors.hand_over([one.token], anna) is None


# --- deletion -----------------------------------------------------------------------------


def test_a_sound_and_all_its_files_are_deleted_after_an_hour(
    visitor: Client, own_media: Path
) -> None:
    visitor.get("/")  # the example, which stays
    example = ShareLink.objects.get().analysis
    before = {path for path in own_media.rglob("*") if path.is_file()}
    old, new = tried(visitor), tried(visitor, b"a later sound")
    finish(old.analysis)
    storage.write_all(storage.analysis_folder(old.analysis_id, "t" * 32), {"peaks.json": b"{}"})
    kept = storage.clip_path(new.analysis.clip.file_key)
    for clip, minutes in ((example.clip, 300), (old.analysis.clip, 61), (new.analysis.clip, 59)):
        age(clip, minutes)
    visitors.remove_old(100)
    assert set(Analysis.objects.all()) == {example, new.analysis}
    assert {path for path in own_media.rglob("*") if path.is_file()} == before | {kept}
    assert visitor.get(f"/s/{old.token}/").status_code == 404
    assert visitor.get(f"/s/{new.token}/").status_code == 200


def test_only_the_browser_that_sent_a_sound_can_delete_it_at_once(
    visitor: Client, anna: User, own_media: Path
) -> None:
    link = tried(visitor)
    other, member, forger = Client(), Client(), Client()
    tried(other, b"another sound")
    member.force_login(anna)
    forger.cookies[sent_sounds.COOKIE] = link.token
    for client in (other, member, forger):
        page = client.get(f"/s/{link.token}/")
        assertContains(page, "Kept until")
        assertNotContains(page, "Delete now")
        assertNotContains(page, "Create an account")
        assert client.post(f"/s/{link.token}/delete/").status_code == 404
    deletion.delete_clips(Clip.objects.exclude(pk=link.analysis.clip_id))
    assertContains(visitor.get(f"/s/{link.token}/"), "Delete now")
    assertContains(visitor.post(f"/s/{link.token}/delete/"), "was deleted")
    assert visitor.get(f"/s/{link.token}/").status_code == 404
    assert not [path for path in own_media.rglob("*") if path.is_file()]


def test_links_to_other_sounds_and_the_example_delete_nothing(visitor: Client, anna: User) -> None:
    visitor.get("/")
    example = ShareLink.objects.get()
    shared, _ = sharing.share(queued(anna), expires_at=timezone.now() + timedelta(hours=1))
    for link in (example, shared):
        assert visitor.post(f"/s/{link.token}/delete/").status_code == 404
    assert Clip.objects.count() == 2


def test_a_deleted_sound_is_not_accepted_for_inspection(visitor: Client) -> None:
    link = tried(visitor)
    finish(link.analysis)
    analysis = Analysis.objects.get()
    visitor.post(f"/s/{link.token}/delete/")
    question = visitors.Question(InspectionKind.EXPLANATION, 0, "dog")
    with pytest.raises(RequestRefused):
        visitors.explain(analysis, question)
