"""Inspections: requests, existing results, the queue and removal."""

import json
import re
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from classifier import storage
from classifier.checkpoints import inventory
from classifier.checkpoints.inventory import Installed
from classifier.models import (
    MAX_ATTEMPTS,
    Analysis,
    Clip,
    Inspection,
    InspectionKind,
    State,
)
from classifier.services import deletion, inspections, results, sharing
from classifier.services.inspections import Question
from classifier.services.problems import NO_WORKER, RequestRefused
from classifier.tests.conftest import Caller, done, queued, refused
from ml.checkpoint_info import decoder_path, digest
from ml.errors import Problem
from ml.render_metadata import LogitInfo, MapInfo, WindowPrediction
from tests.bulk_data import METADATA

DOG = Question(InspectionKind.EXPLANATION, 0, "dog")
NO_PICTURES = b"PK\5\6" + bytes(18)  # an empty ZIP
FIGURES = {
    "start_s": 0.0,
    "window_s": 5.0,
    "logit": 7.25,
    "shape": [64, 167],
    "method": "gradient",
    "decoder": "",
    "original": 0.9,
    "kept": 0.95,
    "rest": 0.1,
    "verdict": "convincing",
    "kept_gain": 2.0,
    "rest_gain": 1.0,
    "sample_rate": 32000,
    "strongest": {
        "layer4": [{"number": 300, "contribution": 1.5, "low": 0.0, "high": 2.0}],
    },
}


DOG_THEN_CAT = (LogitInfo("dog", 7.0, 0.93), LogitInfo("cat", 4.0, 0.05))


def analysed(owner: User, windows: int = 3) -> Analysis:
    analysis = done(owner)
    maps = tuple(MapInfo(name, (2, 3), 64, 0.0, 1.0) for name in ("conv1", "layer1.block0.conv"))
    metadata = replace(
        METADATA,
        window_predictions=tuple(WindowPrediction(2.5 * n, "dog", 0.9) for n in range(windows)),
        index=replace(METADATA.index, maps=maps, logits=DOG_THEN_CAT),
    )
    analysis.render_metadata = metadata.to_json()
    analysis.save()
    return analysis


def claim() -> Inspection:
    inspection = Inspection.objects.claim()
    assert inspection is not None
    return inspection


def made(analysis: Analysis, question: Question = DOG) -> Inspection:
    """Create a finished inspection with its files."""
    inspections.ask(analysis, question)
    inspection = claim()
    contents = dict.fromkeys(inspections.FILES[question.kind], b"0123456789")
    contents |= {name: NO_PICTURES for name in contents if name.endswith(".zip")}
    assert results.save(inspection, contents, {"figures": FIGURES})
    inspection.refresh_from_db()
    return inspection


# --- requests -----------------------------------------------------------------------------


def test_requesting_twice_creates_one_inspection(anna: User) -> None:
    analysis = analysed(anna)
    first = inspections.ask(analysis, DOG)
    assert inspections.ask(analysis, DOG).pk == first.pk
    others = [
        Question(InspectionKind.EXPLANATION, 1, "dog"),
        Question(InspectionKind.EXPLANATION, 0, "cat"),
        Question(InspectionKind.REFINED, 0, "dog"),
        Question(InspectionKind.CHANNELS, 0, map="conv1"),
        Question(InspectionKind.WINDOW, 0),
    ]
    assert len({inspections.ask(analysis, other).pk for other in others} | {first.pk}) == 6


def test_a_finished_inspection_is_returned_with_its_files(anna: User) -> None:
    inspection = made(analysed(anna))
    again = inspections.ask(inspection.analysis, DOG)
    assert (again.pk, again.state, again.figures) == (inspection.pk, "done", FIGURES)
    assert Inspection.objects.claim() is None
    assert again.folder.is_dir()


def test_a_failed_inspection_is_queued_again(anna: User) -> None:
    analysis = analysed(anna)
    inspections.ask(analysis, DOG)
    for _ in range(MAX_ATTEMPTS):
        Inspection.objects.held(claim().token).requeue_or_fail()
    assert Inspection.objects.get().state == State.FAILED
    again = inspections.ask(analysis, DOG)
    assert (again.state, again.error) == (State.QUEUED, None)
    assert claim().attempts == 1


def test_an_explanation_is_made_again_after_the_mask_decoder_changed(
    anna: User, client: Client, other: Installed
) -> None:
    analysis = analysed(anna)
    Analysis.objects.update(checkpoint=other.identity)
    analysis.refresh_from_db()
    explained = made(analysis)
    decoder = decoder_path(other.path)
    assert inspections.ask(analysis, DOG).state == State.DONE, "made without a decoder, as now"
    client.force_login(anna)
    assert explained.pk in page_of(client, analysis)
    decoder.write_bytes(bytes(8))
    assert explained.pk in page_of(client, analysis)
    explained.refresh_from_db()
    assert (explained.state, explained.figures) == (State.QUEUED, {}), "the page requests it again"
    made(analysis)
    Inspection.objects.update(figures=FIGURES | {"decoder": digest(decoder).sha256[:12]})
    assert inspections.ask(analysis, DOG).state == State.DONE
    decoder.unlink()
    other.path.unlink()
    assert inspections.ask(analysis, DOG).state == State.DONE, "it could not be made again"


def page_of(client: Client, analysis: Analysis) -> set[UUID]:
    """Return the inspections that the result page shows."""
    text = client.get(f"/analyses/{analysis.pk}/").content.decode()
    return {UUID(found) for found in re.findall(r'data-inspection="([^"]+)"', text)}


@pytest.mark.parametrize(
    ("question", "code"),
    [
        (Question(InspectionKind.REFINED, 3, "dog"), "unknown_window"),
        (Question(InspectionKind.REFINED, 0, "unicorn"), "unknown_label"),
        (Question(InspectionKind.REFINED, 0), "unknown_label"),
        (Question(InspectionKind.EXPLANATION, 0, "unicorn"), "unknown_label"),
        (Question(InspectionKind.EXPLANATION, 0), "unknown_label"),
        (Question(InspectionKind.REFINED, 0, "dog", "conv1"), "no_map"),
        (Question(InspectionKind.CHANNELS, 0, map="layer9"), "unknown_map"),
        (Question(InspectionKind.CHANNELS, 0), "unknown_map"),
        (Question(InspectionKind.WINDOW, 0, "dog"), "no_label"),
        (Question(InspectionKind.TILE, 0, map="fine"), "no_tiles"),
    ],
)
def test_an_unknown_window_label_or_map_is_refused(
    anna: User, question: Question, code: str
) -> None:
    with pytest.raises(RequestRefused) as refusal:
        inspections.ask(analysed(anna), question)
    assert (refusal.value.problem.code, refusal.value.status) == (code, 400)
    assert refusal.value.problem.hint
    assert not Inspection.objects.exists()


def test_a_recording_has_tiles_of_the_levels_that_show_more(anna: User) -> None:
    analysis = analysed(anna)
    metadata = analysis.metadata
    assert metadata is not None
    longer = replace(metadata, frames=9_000, shown_columns=2_048)
    Analysis.objects.filter(pk=analysis.pk).update(render_metadata=longer.to_json())
    analysis.refresh_from_db()
    for number in range(3):
        question = Question(InspectionKind.TILE, number, map="fine")
        assert inspections.ask(analysis, question).window == number
    for question, code in (
        (Question(InspectionKind.TILE, 3, map="fine"), "unknown_tile"),
        (Question(InspectionKind.TILE, 0, map="medium"), "unknown_map"),
        (Question(InspectionKind.TILE, 0, "dog", "fine"), "no_label"),
    ):
        with pytest.raises(RequestRefused) as refusal:
            inspections.ask(analysis, question)
        assert refusal.value.problem.code == code


# --- the queue ----------------------------------------------------------------------------


def test_inspections_are_claimed_once_and_oldest_first(anna: User) -> None:
    analysis = analysed(anna)
    asked = [inspections.ask(analysis, Question(InspectionKind.WINDOW, n)).pk for n in range(3)]
    assert [claim().pk for _ in range(3)] == asked
    assert Inspection.objects.claim() is None


def test_an_inspection_interrupted_three_times_fails_with_a_reason(anna: User) -> None:
    inspection = inspections.ask(analysed(anna), DOG)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        mine = claim()
        assert mine.attempts == attempt
        Inspection.objects.held(mine.token).requeue_or_fail()
    inspection.refresh_from_db()
    assert inspection.error is not None
    assert inspection.error.code == "crashed"
    assert "3 times" in inspection.error.detail
    assert inspection.finished_at is not None


def test_only_a_lease_that_ran_out_expires(anna: User) -> None:
    inspections.ask(analysed(anna), DOG)
    mine = claim()
    assert not Inspection.objects.expired()
    Inspection.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    assert Inspection.objects.expired().count() == 1
    assert Inspection.objects.renew(mine.token) == 1
    assert not Inspection.objects.expired()


def test_a_late_worker_changes_nothing(anna: User) -> None:
    inspections.ask(analysed(anna), DOG)
    late = claim()
    Inspection.objects.held(late.token).requeue_or_fail()
    winner = claim()
    assert results.save(winner, {"kept.flac": b"x"}, {"figures": {"by": "winner"}})
    assert not results.save(late, {"kept.flac": b"y"}, {"figures": {"by": "late"}})
    assert not late.held().fail(Problem("x", "x", "x"))
    inspection = Inspection.objects.get()
    assert (inspection.state, inspection.figures) == (State.DONE, {"by": "winner"})
    assert winner.folder.is_dir()
    assert not late.folder.exists()


# --- removal ------------------------------------------------------------------------------


def test_files_are_deleted_with_the_analysis_and_with_the_clip(anna: User) -> None:
    kept = made(analysed(anna))
    one, other = made(analysed(anna)), made(analysed(anna))
    deletion.delete_analysis(one.analysis)
    deletion.delete_clip(other.analysis.clip)
    assert [inspection.pk for inspection in Inspection.objects.all()] == [kept.pk]
    assert [inspection.folder.exists() for inspection in (kept, one, other)] == [
        True,
        False,
        False,
    ]


def test_an_inspection_saved_after_its_clip_was_deleted_leaves_no_files(anna: User) -> None:
    inspection = inspections.ask(analysed(anna), DOG)
    mine = claim()
    deletion.delete_clip(inspection.analysis.clip)
    assert not results.save(mine, {"kept.flac": b"x"}, {"figures": {}})
    assert not mine.folder.exists()


def test_unused_inspections_are_removed(anna: User) -> None:
    analysis = analysed(anna)
    old, asked_again = made(analysis), made(analysis, Question(InspectionKind.WINDOW, 1))
    running = inspections.ask(analysis, Question(InspectionKind.WINDOW, 2))
    claim()
    long_ago = timezone.now() - timedelta(days=inspections.DAYS_KEPT, seconds=1)
    Inspection.objects.update(used_at=long_ago)
    inspections.ask(analysis, Question(InspectionKind.WINDOW, 1))
    assert deletion.remove_unused_inspections(limit=10) == 1
    assert {inspection.pk for inspection in Inspection.objects.all()} == {
        asked_again.pk,
        running.pk,
    }
    assert not old.folder.exists()
    assert asked_again.folder.is_dir()


# --- endpoints ----------------------------------------------------------------------------


def test_the_api_returns_202_until_the_inspection_is_done_and_then_200(
    caller: Caller, anna: User
) -> None:
    analysis = analysed(anna)
    address = f"analyses/{analysis.pk}/inspections/"
    body = {"kind": "explanation", "label": "dog"}
    answer = caller.post(address, body)
    assert answer.status_code == 202, answer.content
    payload = answer.json()
    assert answer["Location"] == f"/api/v1/inspections/{payload['id']}/"
    assert (payload["state"], payload["files"], payload["figures"]) == ("queued", {}, {})
    assert caller.get(f"inspections/{payload['id']}/")["Retry-After"] == "1"
    made(analysis)
    known = caller.post(address, body)
    assert (known.status_code, known.json()["id"]) == (200, payload["id"])
    assert {"kept.flac", "rest.flac"} < set(known.json()["files"])
    found = caller.get(f"inspections/{payload['id']}/")
    assert found.json() == known.json()
    assert "Retry-After" not in found


def test_the_api_returns_the_figures_and_the_pictures_of_an_explanation(
    caller: Caller, anna: User
) -> None:
    analysis = analysed(anna)
    made(analysis, DOG)
    body = {"kind": "explanation", "label": "dog", "window": 0}
    answer = caller.post(f"analyses/{analysis.pk}/inspections/", body)
    assert answer.status_code == 200
    payload = answer.json()
    assert (payload["kind"], payload["label"], payload["figures"]) == (
        "explanation",
        "dog",
        FIGURES,
    )
    base = f"/media/inspections/{payload['id']}"
    assert payload["files"] == {
        "explanation.zip": f"{base}/explanation.zip",
        "kept.flac": f"{base}/kept.flac",
        "rest.flac": f"{base}/rest.flac",
        "maps/attribution.png": f"{base}/maps/attribution.png",
        "maps/layer4.top0.png": f"{base}/maps/layer4.top0.png",
    }


def test_the_api_refuses_with_code_detail_and_hint(caller: Caller, anna: User) -> None:
    address = f"analyses/{analysed(anna).pk}/inspections/"
    refused(caller.post(address, {"kind": "smell"}), 400, "invalid")
    refused(caller.post(address, {}), 400, "invalid")
    refused(caller.post(address, {"kind": "window", "window": -1}), 400, "invalid")
    refused(caller.post(address, {"kind": "window", "window": 3}), 400, "unknown_window")
    refused(caller.post(address, {"kind": "refined", "label": "x"}), 400, "unknown_label")
    refused(caller.post(address, {"kind": "channels", "map": "x"}), 400, "unknown_map")
    body = {"kind": "explanation", "label": "dog"}
    refused(caller.post(f"analyses/{queued(anna).pk}/inspections/", body), 409, "not_done")


def test_inspections_of_another_user_are_not_found(anna: User, ben: User) -> None:
    inspection = made(analysed(anna))
    other_user, page = Caller(ben), Client()
    page.force_login(ben)
    body = {"kind": "explanation", "label": "dog"}
    refused(
        other_user.post(f"analyses/{inspection.analysis_id}/inspections/", body), 404, "not_found"
    )
    refused(other_user.get(f"inspections/{inspection.pk}/"), 404, "not_found")
    assert page.post(f"/analyses/{inspection.analysis_id}/inspections/", body).status_code == 404
    for address in (
        f"/inspections/{inspection.pk}/part/",
        f"/media/inspections/{inspection.pk}/kept.flac",
        f"/media/inspections/{inspection.pk}/maps/conv1.png",
    ):
        assert page.get(address).status_code == 404, address
    assert Client().get(f"/media/inspections/{inspection.pk}/kept.flac").status_code == 404


def test_only_files_of_the_inspection_are_served(anna: User) -> None:
    inspection = made(analysed(anna))
    storage.write_all(inspection.folder / "more", {"secret.png": b"x"})
    page = Client()
    page.force_login(anna)
    base = f"/media/inspections/{inspection.pk}"
    whole = page.get(f"{base}/kept.flac")
    assert (whole.status_code, whole["Content-Type"]) == (200, "audio/flac")
    assert whole["Cache-Control"].startswith("private")
    part = page.get(f"{base}/kept.flac", headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.getvalue()) == (206, b"234")
    for name in ("sheet.png", "maps.zip", "..", "more/secret.png", "maps/conv1.png"):
        assert page.get(f"{base}/{name}").status_code == 404, name
    arrays = made(inspection.analysis, Question(InspectionKind.CHANNELS, 0, map="conv1"))
    npy = page.get(f"/media/inspections/{arrays.pk}/channels.npy")
    assert npy["Content-Type"] == "application/octet-stream"
    assert npy["Content-Disposition"] == 'attachment; filename="x-conv1-channels.npy"'


def test_the_page_polls_until_it_is_done(anna: User) -> None:
    analysis, page = analysed(anna), Client()
    page.force_login(anna)
    address = f"/analyses/{analysis.pk}/inspections/"
    answer = page.post(address, {"kind": "explanation", "window": "0", "label": "dog", "map": ""})
    inspection = Inspection.objects.get()
    assert answer.status_code == 202
    asks = f"/inspections/{inspection.pk}/part/?seen=queued"
    assert f'hx-get="{asks}"' in answer.text
    assert page.get(asks).status_code == 204
    made(analysis)
    shown = page.get(asks).text
    assert "hx-get" not in shown
    for said in (
        f'data-inspection="{inspection.pk}"',
        'data-kind="explanation"',
        'data-verdict="convincing"',
        'data-state="done"',
        f'data-kept="/media/inspections/{inspection.pk}/kept.flac"',
        f'data-rest="/media/inspections/{inspection.pk}/rest.flac"',
        f'data-picture-url="/media/inspections/{inspection.pk}/maps/attribution.png"',
        *("90.0 %", "95.0 %", "10.0 %"),
    ):
        assert said in shown, said
    assert page.post(address, {"kind": "explanation", "label": "dog"}).status_code == 200


def result_page(analysis: Analysis, query: str = "") -> str:
    page = Client()
    page.force_login(analysis.owner)
    answer = page.get(f"/analyses/{analysis.pk}/{query}")
    assert answer.status_code == 200
    return answer.text


def test_opening_the_page_requests_the_explanation_of_the_first_class_once(anna: User) -> None:
    analysis = analysed(anna)
    fresh = result_page(analysis)
    assert "load, submit" not in fresh
    assert fresh.count('name="kind" value="explanation"') == 2
    inspection = Inspection.objects.get()
    assert (inspection.kind, inspection.label) == (DOG.kind, DOG.label)
    for shown in (fresh, result_page(analysis)):
        assert f'hx-get="/inspections/{inspection.pk}/part/?seen=queued"' in shown
    assert Inspection.objects.count() == 1
    made(analysis, DOG)
    second = result_page(analysis)
    assert "load, submit" not in second
    assert "hx-get" not in second
    for said in (
        f'data-picture-url="/media/inspections/{inspection.pk}/maps/attribution.png"',
        f'src="/media/inspections/{inspection.pk}/maps/layer4.top0.png"',
        "channel 300",
        '<span class="number">+1.50 of 7.3</span>',
        "The marked part alone keeps at least half of the confidence",
    ):
        assert said in second, said


def test_opening_the_page_of_a_silent_sound_requests_nothing(anna: User) -> None:
    analysis = analysed(anna)
    Clip.objects.update(notices=["silent"])
    result_page(analysis)
    assert not Inspection.objects.exists()


def long_clip(owner: User) -> Analysis:
    """Create a clip of 10 s: two windows of a dog, the second of them shown, then one of rain."""
    analysis = analysed(owner)
    metadata = analysis.metadata
    assert metadata is not None
    windows = (*metadata.window_predictions[:2], WindowPrediction(5.0, "rain", 0.8))
    shown = replace(metadata, window_predictions=windows, shown_window=1)
    analysis.render_metadata = shown.to_json()
    analysis.predictions = [*analysis.predictions, {"class": "rain", "confidence": 0.01}]
    analysis.save()
    Clip.objects.filter(pk=analysis.clip_id).update(duration_s=10.0)
    return Analysis.objects.get(pk=analysis.pk)


def test_a_clip_barely_longer_than_a_window_shows_what_one_window_is(anna: User) -> None:
    analysis = long_clip(anna)
    Clip.objects.filter(pk=analysis.clip_id).update(duration_s=5.02)
    # Over both windows another class is best.
    Analysis.objects.update(label="rain", confidence=0.51)
    shown = result_page(Analysis.objects.get())
    assert "<h1>Dog</h1>" in shown
    assert "<title>Dog · " in shown
    assert 'The whole recording: Rain <span class="number">51.0 %</span>' in shown
    assert re.findall(r'data-explain="\d" data-name="(\w+)"', shown) == ["Dog", "Cat"]
    assert "93.0 %" in shown
    assert "in 0:05" not in shown
    Analysis.objects.update(not_sure=True, second_label="dog")
    assert "<h1>Not sure: rain or dog?</h1>" in result_page(Analysis.objects.get())


def test_the_page_of_a_long_clip_shows_the_predictions_of_the_open_window(anna: User) -> None:
    analysis = long_clip(anna)
    shown = result_page(analysis)
    assert "<h1>Nothing clear in 0:10</h1>" in shown
    assert re.findall(r'data-explain="\d" data-name="(\w+)"', shown) == ["Dog", "Cat"]
    assert "93.0 %" in shown
    other = result_page(analysis, "?window=2")
    assert 'Window from <span class="number">0:05.0' in other
    assert re.findall(r'data-explain="\d" data-name="(\w+)"', other) == ["Rain"]
    assert "The other classes of this window are being computed." in other
    # For the maps of that window.
    assert other.count('hx-trigger="load, submit"') == 1
    # The explanations that opening the page requested, before the request that is claimed below.
    Inspection.objects.all().delete()

    inspection = inspections.ask(analysis, Question(InspectionKind.WINDOW, 2))
    assert claim().pk == inspection.pk
    assert analysis.metadata is not None
    logits = (LogitInfo("rain", 6.0, 0.8), LogitInfo("wind", 5.0, 0.1))
    index = replace(analysis.metadata.index, maps=(), logits=logits)
    held = Inspection.objects.get(pk=inspection.pk)
    assert results.save(held, {"maps.zip": b"x"}, {"figures": asdict(index)})
    computed = result_page(analysis, "?window=2")
    assert re.findall(r'data-explain="\d" data-name="(\w+)"', computed) == ["Rain", "Wind"]


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("convincing", "Convincing"),
        ("spread", "Not convincing"),
        ("not_reliable", "Not reliable"),
        ("not_predicted", "Not predicted here"),
    ],
)
def test_each_verdict_is_put_into_words(anna: User, verdict: str, said: str) -> None:
    inspection = made(analysed(anna))
    Inspection.objects.update(figures=FIGURES | {"verdict": verdict})
    shown = result_page(inspection.analysis)
    assert f'data-verdict="{verdict}"' in shown
    assert f"<h3>{said}</h3>" in shown
    # Where the mark does not explain the answer, the next step is offered in the same sentence.
    offered = 'form="refine-dog">Refine it<' in shown
    assert offered == (verdict in ("spread", "not_reliable"))
    assert ("This quick mark does not explain “Dog”" in shown) == offered
    link, _ = sharing.share(inspection.analysis)
    assert "Refine it" not in Client().get(f"/s/{link.token}/").content.decode()


def test_a_refined_explanation_is_shown_with_its_own_verdict(anna: User) -> None:
    analysis = analysed(anna)
    made(analysis)
    assert 'value="refined"' in result_page(analysis)
    refined = made(analysis, Question(InspectionKind.REFINED, 0, "dog"))
    Inspection.objects.filter(pk=refined.pk).update(figures=FIGURES | {"method": "refined"})
    shown = result_page(analysis)
    assert shown.count('data-verdict="convincing"') == 2
    assert f'data-picture-url="/media/inspections/{refined.pk}/maps/attribution.png"' in shown
    assert "Refined for this sound." in shown


def test_a_channel_shows_the_training_clips_that_excite_it_most(
    anna: User, settings: Settings, tmp_path: Path
) -> None:
    weights = tmp_path / "other.safetensors"
    weights.symlink_to(settings.CHECKPOINT)
    rows = [["1-100032-A-0.wav", "dog", 1.5], ["2-2.wav", "sea_waves", 0.0]]
    path = weights.with_suffix(".channels.json")
    content = {"weights": digest(weights).weights, "stages": {"layer4": {"300": rows}}}
    path.write_text(json.dumps(content))
    settings.CHECKPOINT = weights
    inspection = made(analysed(anna))
    (other,) = (one for one in inventory.installed() if one.name == "other")
    Analysis.objects.update(checkpoint=other.identity)
    shown = result_page(Analysis.objects.get(pk=inspection.analysis_id))
    assert "Strongest in training: Dog, Sea waves" in shown
    assert "1-100032-A-0.wav at 1.5 s" in shown
    for damaged in (json.dumps(content | {"weights": "0" * 12}), json.dumps(content)[:-9], "[]"):
        path.write_text(damaged)
        shown = result_page(Analysis.objects.get(pk=inspection.analysis_id))
        assert "Strongest in training" not in shown, "they are those of other weights, or damaged"


def test_a_failed_explanation_says_why_and_can_be_requested_again(anna: User) -> None:
    analysis = analysed(anna)
    inspection = inspections.ask(analysis, DOG)
    claim().held().fail(Problem("broken", "The weights are broken.", "Install them again."))
    shown = result_page(analysis)
    assert 'role="alert"' in shown
    assert "The weights are broken." in shown and "Install them again." in shown
    assert "Try again" in shown
    assert "load, submit" not in shown, "a failure is not repeated with every visit"
    page = Client()
    page.force_login(anna)
    body = {"kind": "explanation", "window": "0", "label": "dog"}
    again = page.post(f"/analyses/{analysis.pk}/inspections/", body)
    assert (again.status_code, 'data-state="queued"' in again.text) == (202, True)
    assert inspections.ask(analysis, DOG).pk == inspection.pk


def test_the_page_asks_often_at_first_and_then_every_second(anna: User) -> None:
    analysis, page = analysed(anna), Client()
    page.force_login(anna)
    inspection = inspections.ask(analysis, DOG)
    address = f"/inspections/{inspection.pk}/part/"
    assert 'hx-trigger="every 60ms"' in page.get(address).text
    Inspection.objects.update(created_at=timezone.now() - timedelta(seconds=4))
    later = page.get(f"{address}?seen=queued")
    assert 'hx-trigger="every 1s"' in later.text
    (seen,) = re.findall(r"\?seen=([\w.]+)", later.text)
    assert page.get(f"{address}?seen={seen}").status_code == 204


def test_the_page_says_when_no_worker_makes_an_inspection(
    anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("classifier.services.dispatch._worker_answers", lambda tick: False)
    analysis = analysed(anna)
    inspections.ask(analysis, DOG)
    assert NO_WORKER.detail not in result_page(analysis)
    Inspection.objects.update(created_at=timezone.now() - timedelta(seconds=10))
    assert NO_WORKER.detail in result_page(analysis)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "smell"},
        {"kind": "window", "window": "-1"},
        {"kind": "window", "window": "²"},
        {"kind": "explanation", "label": "<x>"},
    ],
)
def test_the_page_shows_why_a_request_is_refused(anna: User, body: dict[str, str]) -> None:
    page = Client()
    page.force_login(anna)
    answer = page.post(f"/analyses/{analysed(anna).pk}/inspections/", body)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert "<x>" not in answer.text


def test_anonymous_users_are_sent_to_sign_in(anna: User) -> None:
    inspection = made(analysed(anna))
    for answer in (
        Client().post(f"/analyses/{inspection.analysis_id}/inspections/", {"kind": "window"}),
        Client().get(f"/inspections/{inspection.pk}/part/"),
    ):
        assert "/account/sign-in/" in answer["HX-Redirect"]
    guarded = Client(enforce_csrf_checks=True)
    guarded.force_login(anna)
    answer = guarded.post(f"/analyses/{inspection.analysis_id}/inspections/", {"kind": "window"})
    assert answer.status_code == 403
