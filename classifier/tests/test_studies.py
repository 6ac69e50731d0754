"""Closer looks: who may ask, what is known already, who gets to make one, when they go."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from classifier import storage
from classifier.models import (
    MOST_ATTEMPTS,
    Analysis,
    Study,
    StudyKind,
    StudyState,
)
from classifier.services import inspections, uploads
from classifier.services.inspections import Question, StudyRefused
from classifier.tests.conftest import Caller, done, queued, refused

DOG = Question(StudyKind.SOUND, 0, "dog")
FIGURES = {"original": 0.9, "kept": 0.95, "rest": 0.1}


def heard(owner: User, windows: int = 3) -> Analysis:
    analysis = done(owner)
    analysis.predictions = [
        {"class": "dog", "confidence": 0.9},
        {"class": "cat", "confidence": 0.1},
    ]
    analysis.maps = [{"name": "conv1"}, {"name": "layer1.block0.conv"}]
    analysis.scope = {"windows": windows}
    analysis.save()
    return analysis


def claim() -> Study:
    study = Study.objects.claim()
    assert study is not None
    return study


def made(analysis: Analysis, question: Question = DOG) -> Study:
    """A finished study with its files."""
    inspections.ask(analysis, question)
    study = claim()
    contents = dict.fromkeys(inspections.FILES[question.kind], b"0123456789")
    assert inspections.save(study, FIGURES, contents)
    study.refresh_from_db()
    return study


# --- asking -------------------------------------------------------------------------------


def test_asking_twice_is_one_study(anna: User) -> None:
    analysis = heard(anna)
    first = inspections.ask(analysis, DOG)
    assert inspections.ask(analysis, DOG).pk == first.pk
    others = [
        Question(StudyKind.SOUND, 1, "dog"),
        Question(StudyKind.SOUND, 0, "cat"),
        Question(StudyKind.CHANNELS, 0, map="conv1"),
        Question(StudyKind.WINDOW, 0),
    ]
    assert len({inspections.ask(analysis, other).pk for other in others} | {first.pk}) == 5


def test_a_finished_one_is_given_again_with_its_files(anna: User) -> None:
    study = made(heard(anna))
    again = inspections.ask(study.analysis, DOG)
    assert (again.pk, again.state, again.figures) == (study.pk, "done", FIGURES)
    assert Study.objects.claim() is None
    assert inspections.folder_of(again).is_dir()


def test_one_that_failed_is_tried_again_from_the_start(anna: User) -> None:
    analysis = heard(anna)
    inspections.ask(analysis, DOG)
    for _ in range(MOST_ATTEMPTS):
        Study.objects.held(claim().token).give_back()
    assert Study.objects.get().state == StudyState.FAILED
    again = inspections.ask(analysis, DOG)
    assert (again.state, again.error) == (StudyState.QUEUED, None)
    assert claim().attempts == 1


@pytest.mark.parametrize(
    ("question", "code"),
    [
        (Question(StudyKind.SOUND, 3, "dog"), "unknown_window"),
        (Question(StudyKind.SOUND, 0, "unicorn"), "unknown_label"),
        (Question(StudyKind.SOUND, 0), "unknown_label"),
        (Question(StudyKind.SOUND, 0, "dog", "conv1"), "no_map"),
        (Question(StudyKind.CHANNELS, 0, map="layer9"), "unknown_map"),
        (Question(StudyKind.CHANNELS, 0), "unknown_map"),
        (Question(StudyKind.WINDOW, 0, "dog"), "no_label"),
    ],
)
def test_what_is_not_there_cannot_be_looked_at(anna: User, question: Question, code: str) -> None:
    with pytest.raises(StudyRefused) as refusal:
        inspections.ask(heard(anna), question)
    assert (refusal.value.code, refusal.value.status) == (code, 400)
    assert refusal.value.hint
    assert not Study.objects.exists()


# --- the queue ----------------------------------------------------------------------------


def test_the_oldest_is_made_first_and_nobody_gets_one_twice(anna: User) -> None:
    analysis = heard(anna)
    asked = [inspections.ask(analysis, Question(StudyKind.WINDOW, n)).pk for n in range(3)]
    assert [claim().pk for _ in range(3)] == asked
    assert Study.objects.claim() is None


def test_one_that_was_interrupted_three_times_fails_with_a_reason(anna: User) -> None:
    study = inspections.ask(heard(anna), DOG)
    for attempt in range(1, MOST_ATTEMPTS + 1):
        mine = claim()
        assert mine.attempts == attempt
        Study.objects.held(mine.token).give_back()
    study.refresh_from_db()
    assert study.error is not None
    assert study.error["code"] == "crashed"
    assert "3 times" in study.error["detail"]
    assert study.finished_at is not None


def test_only_a_lease_that_ran_out_expires(anna: User) -> None:
    inspections.ask(heard(anna), DOG)
    mine = claim()
    assert not Study.objects.expired()
    Study.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    assert Study.objects.expired().count() == 1
    assert Study.objects.renew(mine.token) == 1
    assert not Study.objects.expired()


def test_a_late_worker_changes_nothing(anna: User) -> None:
    inspections.ask(heard(anna), DOG)
    late = claim()
    Study.objects.held(late.token).give_back()
    winner = claim()
    assert inspections.save(winner, {"by": "winner"}, {"kept.flac": b"x"})
    assert not inspections.save(late, {"by": "late"}, {"kept.flac": b"y"})
    assert not inspections.fail(late, "x", "x", "x")
    study = Study.objects.get()
    assert (study.state, study.figures) == (StudyState.DONE, {"by": "winner"})
    assert inspections.folder_of(winner).is_dir()
    assert not inspections.folder_of(late).exists()


# --- going --------------------------------------------------------------------------------


def test_files_go_with_the_analysis_and_with_the_clip(anna: User) -> None:
    kept = made(heard(anna))
    one, other = made(heard(anna)), made(heard(anna))
    uploads.delete_analysis(one.analysis)
    uploads.delete_clip(other.analysis.clip)
    assert [study.pk for study in Study.objects.all()] == [kept.pk]
    assert [inspections.folder_of(study).exists() for study in (kept, one, other)] == [
        True,
        False,
        False,
    ]


def test_what_is_made_while_its_clip_is_deleted_leaves_no_files(anna: User) -> None:
    study = inspections.ask(heard(anna), DOG)
    mine = claim()
    uploads.delete_clip(study.analysis.clip)
    assert not inspections.save(mine, {}, {"kept.flac": b"x"})
    assert not inspections.folder_of(mine).exists()


def test_what_nobody_asks_for_any_more_is_removed(anna: User) -> None:
    analysis = heard(anna)
    old, asked_again = made(analysis), made(analysis, Question(StudyKind.WINDOW, 1))
    running = inspections.ask(analysis, Question(StudyKind.WINDOW, 2))
    claim()
    long_ago = timezone.now() - timedelta(days=inspections.DAYS_KEPT, seconds=1)
    Study.objects.update(used_at=long_ago)
    inspections.ask(analysis, Question(StudyKind.WINDOW, 1))
    assert inspections.remove_unused(most=10) == 1
    assert {study.pk for study in Study.objects.all()} == {asked_again.pk, running.pk}
    assert not inspections.folder_of(old).exists()
    assert inspections.folder_of(asked_again).is_dir()


# --- doors --------------------------------------------------------------------------------


def test_rest_says_202_until_it_is_done_and_then_200(caller: Caller, anna: User) -> None:
    analysis = heard(anna)
    address = f"analyses/{analysis.pk}/studies/"
    body = {"kind": "sound", "label": "dog"}
    answer = caller.post(address, body)
    assert answer.status_code == 202, answer.content
    told = answer.json()
    assert answer["Location"] == f"/api/v1/studies/{told['id']}/"
    assert (told["state"], told["files"], told["figures"]) == ("queued", {}, {})
    assert caller.get(f"studies/{told['id']}/")["Retry-After"] == "1"
    made(analysis)
    known = caller.post(address, body)
    assert (known.status_code, known.json()["id"]) == (200, told["id"])
    assert set(known.json()["files"]) == {"kept.flac", "rest.flac", "evidence.png"}
    found = caller.get(f"studies/{told['id']}/")
    assert found.json() == known.json()
    assert "Retry-After" not in found


def test_rest_refuses_with_code_detail_and_hint(caller: Caller, anna: User) -> None:
    address = f"analyses/{heard(anna).pk}/studies/"
    refused(caller.post(address, {"kind": "smell"}), 400, "invalid")
    refused(caller.post(address, {}), 400, "invalid")
    refused(caller.post(address, {"kind": "window", "window": -1}), 400, "invalid")
    refused(caller.post(address, {"kind": "window", "window": 3}), 400, "unknown_window")
    refused(caller.post(address, {"kind": "sound", "label": "x"}), 400, "unknown_label")
    refused(caller.post(address, {"kind": "channels", "map": "x"}), 400, "unknown_map")
    body = {"kind": "sound", "label": "dog"}
    refused(caller.post(f"analyses/{queued(anna).pk}/studies/", body), 409, "not_done")


def test_for_a_stranger_there_is_nothing(anna: User, ben: User) -> None:
    study = made(heard(anna))
    stranger, page = Caller(ben), Client()
    page.force_login(ben)
    body = {"kind": "sound", "label": "dog"}
    refused(stranger.post(f"analyses/{study.analysis_id}/studies/", body), 404, "not_found")
    refused(stranger.get(f"studies/{study.pk}/"), 404, "not_found")
    assert page.post(f"/analyses/{study.analysis_id}/studies/", body).status_code == 404
    for address in (
        f"/studies/{study.pk}/part/",
        f"/media/studies/{study.pk}/kept.flac",
        f"/media/studies/{study.pk}/maps/conv1.png",
    ):
        assert page.get(address).status_code == 404, address
    assert Client().get(f"/media/studies/{study.pk}/kept.flac").status_code == 404


def test_only_its_own_files_are_served(anna: User) -> None:
    study = made(heard(anna))
    storage.write_all(inspections.folder_of(study) / "more", {"secret.png": b"x"})
    page = Client()
    page.force_login(anna)
    base = f"/media/studies/{study.pk}"
    whole = page.get(f"{base}/kept.flac")
    assert (whole.status_code, whole["Content-Type"]) == (200, "audio/flac")
    assert whole["Cache-Control"].startswith("private")
    part = page.get(f"{base}/kept.flac", headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.getvalue()) == (206, b"234")
    for name in ("sheet.png", "maps.zip", "..", "more/secret.png", "maps/conv1.png"):
        assert page.get(f"{base}/{name}").status_code == 404, name
    arrays = made(study.analysis, Question(StudyKind.CHANNELS, 0, map="conv1"))
    npy = page.get(f"/media/studies/{arrays.pk}/channels.npy")
    assert npy["Content-Type"] == "application/octet-stream"
    assert npy["Content-Disposition"] == 'attachment; filename="x-conv1-channels.npy"'


def test_the_page_polls_until_it_is_done(anna: User) -> None:
    analysis, page = heard(anna), Client()
    page.force_login(anna)
    address = f"/analyses/{analysis.pk}/studies/"
    answer = page.post(address, {"kind": "sound", "window": "0", "label": "dog", "map": ""})
    study = Study.objects.get()
    assert answer.status_code == 202
    asks = f"/studies/{study.pk}/part/?seen=queued"
    assert f'hx-get="{asks}"' in answer.text
    assert page.get(asks).status_code == 204
    made(analysis)
    shown = page.get(asks).text
    assert "hx-get" not in shown
    for said in (
        f'data-study="{study.pk}"',
        'data-kind="sound"',
        'data-state="done"',
        f'data-kept="/media/studies/{study.pk}/kept.flac"',
        f'data-rest="/media/studies/{study.pk}/rest.flac"',
        f'data-evidence="/media/studies/{study.pk}/evidence.png"',
        *("90.0 %", "95.0 %", "10.0 %"),
    ):
        assert said in shown, said
    assert page.post(address, {"kind": "sound", "label": "dog"}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "smell"},
        {"kind": "window", "window": "-1"},
        {"kind": "window", "window": "²"},
        {"kind": "sound", "label": "<x>"},
    ],
)
def test_the_page_refuses_in_words(anna: User, body: dict[str, str]) -> None:
    page = Client()
    page.force_login(anna)
    answer = page.post(f"/analyses/{heard(anna).pk}/studies/", body)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert "<x>" not in answer.text


def test_whoever_is_not_signed_in_is_sent_to_do_so(anna: User) -> None:
    study = made(heard(anna))
    for answer in (
        Client().post(f"/analyses/{study.analysis_id}/studies/", {"kind": "window"}),
        Client().get(f"/studies/{study.pk}/part/"),
    ):
        assert "/account/sign-in/" in answer["HX-Redirect"]
    guarded = Client(enforce_csrf_checks=True)
    guarded.force_login(anna)
    answer = guarded.post(f"/analyses/{study.analysis_id}/studies/", {"kind": "window"})
    assert answer.status_code == 403
