"""Share links: what their holders see, and what they do not reach."""

import io
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from PIL import Image
from pytest_django.asserts import assertContains, assertNotContains

from classifier import storage
from classifier.models import Analysis, Inspection, InspectionKind, ShareLink, State
from classifier.services import deletion, judgements, notes, result_card, sharing
from classifier.tests.conftest import PICTURE, Caller, done, refused
from tests.bulk_data import METADATA

AUDIO = b"anna's sound"


@pytest.fixture
def analysis(anna: User, own_media: Path) -> Analysis:
    return finished(anna)


@pytest.fixture
def link(analysis: Analysis) -> ShareLink:
    return sharing.share(analysis)[0]


def finished(owner: User) -> Analysis:
    analysis = done(owner)
    analysis.render_metadata = METADATA.to_json()
    analysis.timings = {"decoding_s": 0.1, "classifying_s": 0.1, "rendering_s": 0.1}
    analysis.save()
    files = {"playable.flac": AUDIO, "spectrogram.png": PICTURE, "peaks.json": b"{}"}
    storage.write_all(storage.analysis_folder(analysis.pk, analysis.token), files)
    return analysis


def inspected(analysis: Analysis) -> Inspection:
    figures = {"start_s": 0, "window_s": 5, "logit": 7.0, "shape": [64, 167], "strongest": {}}
    inspection = Inspection.objects.create(
        analysis=analysis,
        kind=InspectionKind.EXPLANATION,
        window=0,
        label="dog",
        token="s" * 32,
        state=State.DONE,
        figures=figures | {"original": 0.9, "kept": 0.8, "rest": 0.1, "verdict": "convincing"},
    )
    files = {"kept.flac": b"the marked part"}
    storage.write_all(storage.inspection_folder(inspection.pk, inspection.token), files)
    return inspection


def test_the_page_starts_a_new_player_only_where_the_worker_made_other_audio(
    analysis: Analysis, anna: User
) -> None:
    visitor = Client()
    visitor.force_login(anna)
    upload, page = f'data-sound="{analysis.clip_id}"', f"/analyses/{analysis.pk}/"
    assertNotContains(visitor.get(page), upload)
    (analysis.folder / storage.PLAYABLE).unlink()
    assertContains(visitor.get(page), upload)


def test_a_holder_sees_the_result_and_nothing_else_of_its_owner(
    link: ShareLink, analysis: Analysis, anna: User
) -> None:
    inspection = inspected(analysis)
    body = Client().get(f"/s/{link.token}/").content.decode()
    assert "<h1>Dog</h1>" in body and "90.0 %" in body and "x.wav" in body
    assert "anna" not in body
    assert "What Sonoscope heard in this sound, and why." in body and "Try your own sound" in body
    # Every URL of the result is below the link.
    for pk in (analysis.pk, analysis.clip_id, inspection.pk):
        found = re.findall(rf'[\w/.-]*{pk}[^"\s]*', body)
        assert all(url == str(pk) or url.startswith(f"/s/{link.token}/") for url in found), found
    assert f"/s/{link.token}/media/inspections/{inspection.pk}/kept.flac" in body
    # No form, so nothing can be requested or changed.
    assert 'method="post"' not in body and "csrf" not in body


def test_what_its_owner_says_of_a_sound_is_not_shared(
    link: ShareLink, analysis: Analysis, anna: User
) -> None:
    notes.set_tags(analysis.clip, ["kitchen"])
    notes.set_note(analysis.clip, "the neighbour's dog")
    judgements.judge_clip(analysis, "cat", anna)
    owner = Client()
    owner.force_login(anna)
    private = ("kitchen", "the neighbour", "said", 'class="judgement"')
    page = owner.get(f"/analyses/{analysis.pk}/").content.decode()
    assert all(words in page for words in private)
    for path in ("", f"analyses/{analysis.pk}/part/"):
        for client in (Client(), owner):
            answer = client.get(f"/s/{link.token}/{path}")
            assert answer.status_code == 200
            shown = answer.content.decode()
            assert not [words for words in private if words in shown], path


def test_links_of_a_deactivated_owner_do_not_work(
    link: ShareLink, analysis: Analysis, anna: User
) -> None:
    User.objects.filter(pk=anna.pk).update(is_active=False)
    for path in (f"/s/{link.token}/", audio_of(link)):
        assert Client().get(path).status_code == 404
    User.objects.filter(pk=anna.pk).update(is_active=True)
    assert Client().get(audio_of(link)).status_code == 200


def test_media_of_a_link_are_served_in_ranges(link: ShareLink, analysis: Analysis) -> None:
    answer = Client().get(audio_of(link), headers={"Range": "bytes=2-5"})
    assert (answer.status_code, answer["Content-Range"]) == (206, f"bytes 2-5/{len(AUDIO)}")
    assert answer.getvalue() == AUDIO[2:6]


def test_a_link_does_not_reach_other_analyses_of_its_owner(link: ShareLink, anna: User) -> None:
    other = finished(anna)
    inspection = inspected(other)
    queued_other = Inspection.objects.create(analysis=other, kind=InspectionKind.WINDOW, window=1)
    base = f"/s/{link.token}/"
    for path in (
        f"media/analyses/{other.pk}/audio",
        f"media/analyses/{other.pk}/spectrogram.png",
        f"media/inspections/{inspection.pk}/kept.flac",
        f"media/inspections/{inspection.pk}/maps/attribution.png",
        f"media/clips/{other.clip_id}/audio",
        f"media/clips/{link.analysis.clip_id}/audio",
        f"analyses/{other.pk}/lanes/",
        f"analyses/{other.pk}/part/",
        f"analyses/{other.pk}/",
        f"inspections/{queued_other.pk}/part/",
    ):
        assert Client().get(base + path).status_code == 404, path
    # Nor may the owner's own session widen the link.
    client = Client()
    client.force_login(anna)
    assert client.get(f"{base}media/analyses/{other.pk}/audio").status_code == 404


def test_holders_may_not_request_inspections(link: ShareLink, analysis: Analysis) -> None:
    body = {"kind": "explanation", "window": "0", "label": "dog"}
    path = f"/s/{link.token}/analyses/{analysis.pk}/inspections/"
    assert Client().post(path, body).status_code == 404
    assert not Inspection.objects.exists()


def test_unknown_revoked_expired_and_malformed_links_get_the_same_404(
    link: ShareLink, analysis: Analysis
) -> None:
    assert Client().get(audio_of(link)).status_code == 200
    expired = sharing.share(finished(analysis.owner), timezone.now() + timedelta(hours=1))[0]
    ShareLink.objects.filter(pk=expired.pk).update(expires_at=timezone.now())
    sharing.revoke(ShareLink.objects.get(pk=link.pk))
    tokens = (link.token, expired.token, "x" * 22, "x", "x" * 500, "%00", "a.b", "ä")
    answers = [Client().get(f"/s/{token}/") for token in tokens]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert "This link does not exist, has expired or was revoked." in answers[0].content.decode()
    for gone in (link, expired):
        assert Client().get(audio_of(gone)).status_code == 404
        lanes = f"/s/{gone.token}/analyses/{gone.analysis_id}/lanes/"
        assert Client().get(lanes).status_code == 404


def test_pages_and_media_of_links_are_kept_from_search_engines_caches_and_other_sites(
    link: ShareLink,
) -> None:
    for path in (f"/s/{link.token}/", audio_of(link), "/s/unknown/"):
        answer = Client().get(path)
        assert answer["X-Robots-Tag"] == "noindex, nofollow", path
        assert answer["Cache-Control"].startswith("private"), path
        assert answer["Referrer-Policy"] == "same-origin", path
        assert not answer.cookies, path
    page = Client().get(f"/s/{link.token}/")
    assert page["Cache-Control"] == "private, no-store"
    assert '<meta name="robots" content="noindex, nofollow">' in page.content.decode()


def test_sharing_again_returns_the_live_link(analysis: Analysis) -> None:
    soon = timezone.now() + timedelta(hours=1)
    first, made = sharing.share(analysis, soon)
    assert made and sharing.share(analysis) == (first, False)
    ShareLink.objects.filter(pk=first.pk).update(expires_at=timezone.now())
    second, made = sharing.share(analysis)
    assert made and second.token != first.token and second.expires_at is None
    assert sharing.remove_expired() == 1
    assert list(ShareLink.objects.for_owner(analysis.owner)) == [second]


def test_owners_make_and_revoke_links_on_the_result_page_and_the_account_page(
    analysis: Analysis, anna: User
) -> None:
    client = Client()
    client.force_login(anna)
    page = f"/analyses/{analysis.pk}/"
    assert "Make a link" in client.get(page).content.decode()
    assert client.post(f"{page}share/")["Location"] == page
    link = ShareLink.objects.get()
    assert f"{settings.ORIGIN}/s/{link.token}/" in client.get(page).content.decode()
    part = client.post(f"{page}share/revoke/", headers={"HX-Request": "true"})
    assert "Make a link" in part.content.decode() and not ShareLink.objects.exists()
    part = client.post(f"{page}share/", headers={"HX-Request": "true"})
    link = ShareLink.objects.get()
    assert f"{settings.ORIGIN}/s/{link.token}/" in part.content.decode()
    listed = client.get("/account/").content.decode()
    assert f"/s/{link.token}/" in listed and "x.wav" in listed
    assert client.post(f"/account/shares/{link.token}/revoke/")["Location"] == "/account/"
    assert "You have not shared anything" in client.get("/account/").content.decode()
    assert Client().get(f"/s/{link.token}/").status_code == 404


def test_links_over_the_api(analysis: Analysis, caller: Caller, ben: User) -> None:
    path = f"analyses/{analysis.pk}/share/"
    refused(caller.get(path), 404)
    refused(caller.post(path, {"expires_in_days": 0}), 400)
    answer = caller.post(path, {"expires_in_days": 30})
    made = answer.json()
    assert answer.status_code == 201 and caller.get(path).json() == made
    assert made["url"] == f"{settings.ORIGIN}/s/{made['token']}/"
    days = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
    assert round(days / timedelta(days=1), 3) == 30
    again = caller.post(path)
    assert (again.status_code, again.json()) == (200, made)
    assert caller.get("shares/").json()["results"] == [made]
    other = Caller(ben)
    assert other.get("shares/").json()["results"] == []
    refused(other.delete(f"shares/{made['token']}/"), 404)
    assert caller.delete(f"shares/{made['token']}/").status_code == 204
    refused(caller.delete(f"shares/{made['token']}/"), 404)


def test_the_preview_names_the_answer_and_a_picture_that_exists(link: ShareLink) -> None:
    body = Client().get(f"/s/{link.token}/").content.decode()
    assert '<meta property="og:title" content="Dog, 90.0 %">' in body
    (address,) = re.findall(r'<meta property="og:image" content="([^"]+)">', body)
    assert address.startswith(settings.ORIGIN)
    answer = Client().get(address.removeprefix(settings.ORIGIN))
    card = Image.open(io.BytesIO(answer.content))
    assert (answer["Content-Type"], card.format, card.size) == ("image/png", "PNG", (1200, 630))
    assert answer["Cache-Control"].startswith("private")
    again = Client().get(address.removeprefix(settings.ORIGIN))
    assert again.content == answer.content
    assert result_card.draw.cache_info().hits


def test_the_part_and_the_rest_have_names_that_tell_them_apart(
    link: ShareLink, analysis: Analysis, anna: User
) -> None:
    inspection = inspected(analysis)
    owner = Client()
    owner.force_login(anna)
    for base, client in (("", owner), (f"/s/{link.token}", Client())):
        answer = client.get(f"{base}/media/inspections/{inspection.pk}/kept.flac")
        assert answer["Content-Disposition"] == 'inline; filename="dog_part_of_x.flac"'
        assert answer.getvalue() == b"the marked part"


def test_deleting_a_clip_removes_its_links(link: ShareLink, analysis: Analysis) -> None:
    deletion.delete_clip(analysis.clip)
    assert not ShareLink.objects.exists()


def test_what_a_link_shows_is_not_removed_as_unused(link: ShareLink, analysis: Analysis) -> None:
    inspected(analysis)
    Inspection.objects.update(used_at=timezone.now() - timedelta(days=31))
    assert deletion.remove_unused_inspections(limit=10) == 0
    sharing.revoke(link)
    assert deletion.remove_unused_inspections(limit=10) == 1


def audio_of(link: ShareLink) -> str:
    return f"/s/{link.token}/media/analyses/{link.analysis_id}/audio"
