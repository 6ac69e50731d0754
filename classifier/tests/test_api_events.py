"""Events in the API: pages, filters and exports of a recording, a batch and the history."""

import csv
import io
import json
import zipfile
from collections.abc import Iterable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from classifier.models import Analysis, Batch, BatchFile, Clip, Event, FileOutcome, Inspection
from classifier.services import results
from classifier.services.exports import recordings
from classifier.tests.conftest import Caller, change_clip, done, queued, refused
from ml.errors import Problem
from tests.bulk_data import METADATA


def with_events(analysis: Analysis, events: Iterable[tuple[str, float, float]] = ()) -> Analysis:
    """Store the events of an analysis, each with its label, start and confidence."""
    rows = [
        Event(
            analysis=analysis,
            label=label,
            start_s=start_s,
            end_s=start_s + 0.5,
            confidence=confidence,
            peak_s=start_s,
        )
        for label, start_s, confidence in events
    ]
    Event.objects.bulk_create(rows)
    Analysis.objects.filter(pk=analysis.pk).update(event_count=len(rows))
    return analysis


def renamed(analysis: Analysis, name: str) -> Analysis:
    change_clip(analysis, name=name)
    return analysis


@pytest.fixture
def siren(caller: Caller) -> Analysis:
    analysis = renamed(done(caller.user, "siren"), "street.wav")
    return with_events(analysis, [("dog", 3.0, 0.4), ("siren", 1.0, 0.9), ("siren", 2.0, 0.5)])


def body_of(answer: Any) -> bytes:
    assert answer.status_code == 200, answer.content
    return answer.getvalue()


def lines_of(answer: Any) -> list[tuple[str, str, float]]:
    rows = csv.DictReader(io.StringIO(body_of(answer).decode()))
    return [(row["file"], row["label"], float(row["start_s"])) for row in rows]


def test_the_events_of_an_analysis_are_paged_by_their_start(
    caller: Caller, siren: Analysis
) -> None:
    answer = caller.get(f"analyses/{siren.pk}/events/", limit=2).json()
    assert [row["start_s"] for row in answer["results"]] == [1.0, 2.0]
    following = caller.client.get(answer["next"]).json()
    (last,) = following["results"]
    assert last == {
        "id": last["id"],
        "label": "dog",
        "start_s": 3.0,
        "end_s": 3.5,
        "confidence": 0.4,
        "peak_s": 3.0,
        "low_hz": None,
        "high_hz": None,
        "starts_at": None,
        "judgement": None,
    }
    assert following["next"] is None
    assert caller.client.get(following["previous"]).json()["results"] == answer["results"]
    wrong = answer["next"].replace("cursor=", "cursor=x")
    refused(caller.client.get(wrong), 404, "no_such_page")


def test_events_are_filtered_by_label_and_confidence(caller: Caller, siren: Analysis) -> None:
    path = f"analyses/{siren.pk}/events/"
    for query, starts in (
        ({"label": "siren"}, [1.0, 2.0]),
        ({"min_confidence": 0.5}, [1.0, 2.0]),
        ({"label": "siren", "min_confidence": 0.6}, [1.0]),
        ({"label": "cat"}, []),
    ):
        found = caller.get(path, **query).json()["results"]
        assert [row["start_s"] for row in found] == starts
        rows = lines_of(caller.get(path, format="csv", **query))
        assert [start for _, _, start in rows] == starts
    refused(caller.get(path, format="docx"), 400, "invalid")
    refused(caller.get(path, min_confidence=2), 400, "invalid")


def test_the_analysis_counts_its_events_and_says_where_they_are(
    caller: Caller, siren: Analysis
) -> None:
    answer = caller.get(f"analyses/{siren.pk}/").json()
    assert answer["event_count"] == 3
    assert len(caller.client.get(answer["events"]).json()["results"]) == 3
    (row,) = caller.get("analyses/").json()["results"]
    assert row["event_count"] == 3


def test_events_have_the_clock_time_of_the_recording(caller: Caller, siren: Analysis) -> None:
    Clip.objects.update(recorded_at="2026-05-01T05:30:00+02:00")
    path = f"analyses/{siren.pk}/events/"
    first = caller.get(path).json()["results"][0]
    assert first["starts_at"] == "2026-05-01T05:30:01.000+02:00"
    (recording,) = json.loads(body_of(caller.get(path, format="json")))["recordings"]
    assert recording["events"][0]["starts_at"] == first["starts_at"]
    assert recording["recorded_at"] == "2026-05-01T05:30:00+02:00"


def test_an_unfinished_analysis_has_no_events_yet(caller: Caller) -> None:
    path = f"analyses/{queued(caller.user).pk}/events/"
    refused(caller.get(path), 409, "not_done")
    refused(caller.get(path, format="csv"), 409, "not_done")


@pytest.mark.parametrize(
    ("form", "name", "content_type"),
    [
        ("csv", "street.wav.events.csv", "text/csv; charset=utf-8"),
        ("parquet", "street.wav.events.parquet", "application/vnd.apache.parquet"),
        ("json", "street.wav.events.json", "application/json"),
        ("raven", "street.wav.selections.txt", "text/plain; charset=utf-8"),
        ("audacity", "street.wav.txt", "text/plain; charset=utf-8"),
        ("birdnet", "street.wav.results.csv", "text/csv; charset=utf-8"),
        ("kaleidoscope", "street.wav.kaleidoscope.csv", "text/csv; charset=utf-8"),
        ("dcase", "street.wav.dcase.zip", "application/zip"),
    ],
)
def test_an_export_is_a_file_whatever_the_client_accepts(
    caller: Caller, siren: Analysis, form: str, name: str, content_type: str
) -> None:
    path = f"/api/v1/analyses/{siren.pk}/events/"
    answer = caller.client.get(path, {"format": form}, headers={"Accept": "text/html"})
    assert body_of(answer)
    assert answer["Content-Type"] == content_type
    assert answer["Content-Disposition"] == f"attachment; filename*=UTF-8''{name}"


def with_sounds(analysis: Analysis) -> None:
    """Finish the inspection that cuts the sounds of an analysis's events, as a worker does."""
    inspection = Inspection.objects.claim()
    assert inspection is not None and inspection.analysis_id == analysis.pk
    pack = io.BytesIO()
    with zipfile.ZipFile(pack, "w") as archive:
        archive.writestr("0001_1.000-1.500_siren.flac", b"fLaC and the siren")
    assert results.save(inspection, {"sounds.zip": pack.getvalue()}, {"figures": {"sounds": 1}})


def test_the_zip_of_a_recording_waits_for_the_sounds_of_its_events(
    caller: Caller, siren: Analysis
) -> None:
    path, page = f"analyses/{siren.pk}/events/", f"/analyses/{siren.pk}/events.zip"
    Analysis.objects.filter(pk=siren.pk).update(render_metadata=METADATA.to_json())
    caller.client.force_login(caller.user)
    for _ in range(2):
        answer = caller.get(path, format="zip")
        assert (answer.status_code, answer["Retry-After"]) == (202, "1")
        assert caller.client.get(answer["Location"]).json()["kind"] == "sounds"
        waiting = caller.client.get(page)
        assert (waiting.status_code, waiting["Refresh"]) == (202, "2")
    with_sounds(siren)
    ready = caller.client.get(page, follow=True)
    for answer in (ready, caller.get(path, format="zip")):
        with zipfile.ZipFile(io.BytesIO(body_of(answer))) as archive:
            name = "sounds/street.wav/0001_1.000-1.500_siren.flac"
            assert archive.read(name) == b"fLaC and the siren"
    history = body_of(caller.get("events/", format="zip"))
    with zipfile.ZipFile(io.BytesIO(history)) as archive:
        folder = f"sounds/{siren.pk}/street.wav"
        assert f"{folder}/0001_1.000-1.500_siren.flac" in archive.namelist()


def test_the_zip_comes_without_sounds_if_they_cannot_be_cut(
    caller: Caller, siren: Analysis
) -> None:
    Analysis.objects.filter(pk=siren.pk).update(render_metadata=METADATA.to_json())
    path = f"analyses/{siren.pk}/events/"
    assert caller.get(path, format="zip").status_code == 202
    inspection = Inspection.objects.claim()
    assert inspection is not None
    inspection.held().fail(Problem("file_missing", "The stored file is missing.", "Upload it."))
    with zipfile.ZipFile(io.BytesIO(body_of(caller.get(path, format="zip")))) as archive:
        assert not [name for name in archive.namelist() if name.startswith("sounds/")]


def test_a_batch_is_exported_by_path_with_its_duplicates(caller: Caller, siren: Analysis) -> None:
    quiet, failed = with_events(done(caller.user)), queued(caller.user)
    batch = Batch.objects.create(owner=caller.user, name="trip")
    for path, analysis in (
        ("b/street.wav", siren),
        ("a/same.wav", siren),
        ("a/quiet.wav", quiet),
        ("waiting.wav", failed),
    ):
        BatchFile.objects.create(
            batch=batch, path=path, analysis=analysis, outcome=FileOutcome.ACCEPTED
        )
    BatchFile.objects.create(batch=batch, path="bad.txt", outcome=FileOutcome.REFUSED)
    path = f"batches/{batch.pk}/events/"
    starts = [("siren", 1.0), ("siren", 2.0), ("dog", 3.0)]
    expected = [(name, *one) for name in ("a/same.wav", "b/street.wav") for one in starts]
    assert lines_of(caller.get(path, format="csv")) == expected
    listed = json.loads(body_of(caller.get(path)))["recordings"]
    assert [(one["file"], len(one["events"])) for one in listed] == [
        ("a/quiet.wav", 0),
        ("a/same.wav", 3),
        ("b/street.wav", 3),
    ]
    with zipfile.ZipFile(io.BytesIO(body_of(caller.get(path, format="audacity")))) as tracks:
        assert tracks.namelist() == ["a/quiet.wav.txt", "a/same.wav.txt", "b/street.wav.txt"]
        assert tracks.read("a/quiet.wav.txt") == b""
    rows = list(
        csv.DictReader(io.StringIO(body_of(caller.get(f"batches/{batch.pk}/results.csv")).decode()))
    )
    assert [row["event_count"] for row in rows] == ["0", "3", "3", "", ""]


def test_the_history_is_exported_with_the_filters_of_its_list(
    caller: Caller, siren: Analysis
) -> None:
    dog = renamed(with_events(done(caller.user, "dog", 0.6), [("dog", 4.0, 0.6)]), "garden.wav")
    queued(caller.user)

    def found(**query: Any) -> list[tuple[str, str, float]]:
        return lines_of(caller.get("events/", format="csv", **query))

    of_siren = [
        (f"{siren.pk}/street.wav", label, start_s)
        for label, start_s in (("siren", 1.0), ("siren", 2.0), ("dog", 3.0))
    ]
    of_dog = [(f"{dog.pk}/garden.wav", "dog", 4.0)]
    assert found() == of_dog + of_siren
    assert found(label="dog") == of_dog + of_siren[2:]
    assert found(top_label="dog") == of_dog
    assert found(min_confidence=0.6) == of_dog + of_siren[:1]
    assert found(min_top_confidence=0.7) == of_siren
    assert found(name="street") == found(clip=siren.clip_id) == of_siren
    assert found(state="queued") == found(created_after="2099-01-01T00:00:00Z") == []
    refused(caller.get("events/", format="csv", limit=3), 400, "invalid")


def test_another_user_gets_nothing(caller: Caller, siren: Analysis, ben: Any) -> None:
    other_user = Caller(ben)
    refused(other_user.get(f"analyses/{siren.pk}/events/", format="csv"), 404, "not_found")
    assert lines_of(other_user.get("events/", format="csv")) == []


def test_queries_grow_with_pages_of_rows_not_with_recordings(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings, "RECORDINGS_AT_ONCE", 10)
    monkeypatch.setattr(recordings, "EVENTS_AT_ONCE", 20)
    starts = [float(number // 2) for number in range(45)]  # in pairs, one ends a page
    long = with_events(done(caller.user), [("dog", start_s, 0.9) for start_s in starts])
    for _ in range(25):
        with_events(done(caller.user), [("dog", 1.0, 0.9)])
    with CaptureQueriesContext(
        connection,
    ) as queries:
        rows = lines_of(caller.get("events/", format="csv"))
    assert len(rows) == 70
    assert [start_s for file, _, start_s in rows if file.startswith(str(long.pk))] == starts
    events = [one["sql"] for one in queries if 'FROM "classifier_event"' in one["sql"]]
    analyses = [one["sql"] for one in queries if 'FROM "classifier_analysis"' in one["sql"]]
    assert len(analyses) == 3
    assert len(events) == 3 + 3  # one for each page of short recordings, three for the long one
