"""Lists in the API: filters, pages and the number of database queries."""

import hashlib
import json
from base64 import b64encode
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from classifier.models import Analysis
from classifier.tests.conftest import Caller, change_clip, done, queued, refused


def test_analyses_can_be_filtered_by_every_documented_field(caller: Caller) -> None:
    dog, rain = done(caller.user, "dog", 0.9), done(caller.user, "rain", 0.4)
    waiting = queued(caller.user)
    Analysis.objects.filter(pk=dog.pk).update(
        checkpoint="a@1", created_at=timezone.now() - timedelta(days=2)
    )
    change_clip(rain, name="Garden.wav")
    yesterday = (timezone.now() - timedelta(days=1)).isoformat()
    assert caller.ids("analyses/") == [str(row.pk) for row in (waiting, rain, dog)]
    assert caller.ids("analyses/", label="dog") == [str(dog.pk)]
    assert caller.ids("analyses/", min_confidence=0.5) == [str(dog.pk)]
    assert caller.ids("analyses/", state="queued") == [str(waiting.pk)]
    assert caller.ids("analyses/", checkpoint="a@1") == [str(dog.pk)]
    assert caller.ids("analyses/", name="garden") == [str(rain.pk)]
    assert caller.ids("analyses/", clip=rain.clip_id) == [str(rain.pk)]
    assert caller.ids("analyses/", created_before=yesterday) == [str(dog.pk)]
    assert caller.ids("analyses/", created_after=yesterday, label="rain") == [str(rain.pk)]
    (row,) = caller.get("analyses/", label="dog").json()["results"]
    assert (row["label"], row["confidence"]) == ("dog", 0.9)
    assert not {"predictions", "maps", "timings"} & set(row)


def test_an_unencoded_plus_in_a_date_is_explained(caller: Caller) -> None:
    analysed = done(caller.user)
    for name, moment in (
        ("created_after", "2020-11-26T10:00:00"),
        ("created_before", "2099-11-26 10:00"),
    ):
        for path in ("analyses/", "clips/", "batches/"):
            answer = caller.client.get(f"/api/v1/{path}?{name}={moment}+02:00")
            refused(answer, 400, "invalid")
            assert f"Write + as %2B: {moment}%2B02:00" in answer.json()["detail"]
        answer = caller.client.get(f"/api/v1/analyses/?{name}={moment}%2B02:00")
        assert [row["id"] for row in answer.json()["results"]] == [str(analysed.pk)]


def test_clips_can_be_filtered_by_name_format_and_date(caller: Caller) -> None:
    analysed, waiting = done(caller.user), queued(caller.user)
    assert caller.ids("clips/") == [str(waiting.clip_id), str(analysed.clip_id)]
    assert caller.ids("clips/", format="WAV") == [str(analysed.clip_id)]
    assert caller.ids("clips/", format="MP3") == []
    assert caller.ids("clips/", name="x.w", created_before="2020-01-01T00:00:00Z") == []


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("analyses/", "state=nonsense"),
        ("analyses/", "min_confidence=high"),
        ("analyses/", "min_confidence=1.5"),
        ("analyses/", "min_confidence=nan"),
        ("analyses/", "created_after=yesterday"),
        ("analyses/", "created_after=0001-01-01T00:00:00%2B14:00"),
        ("analyses/", "clip=7"),
        ("analyses/", "lable=dog"),
        ("analyses/", "label=dog&label=rain"),
        ("analyses/", "label=a%00b"),
        ("analyses/", "name=%00"),
        ("analyses/", "limit=0"),
        ("analyses/", "limit=1000"),
        ("analyses/", "cursor=%00"),
        ("clips/", "format=docx"),
        ("clips/", "state=done"),
        ("tokens/", "limit=none"),
        ("batches/", "state=done"),
        ("batches/", "batch=7"),
        ("analyses/", "batch=7"),
        ("clips/", "batch="),
    ],
)
def test_an_invalid_filter_is_refused(caller: Caller, path: str, query: str) -> None:
    refused(caller.client.get(f"/api/v1/{path}?{query}"), 400, "invalid")


@pytest.mark.parametrize(
    "cursor", ["bm90aGluZw==", "cD1nYXJiYWdl", "cD0wMDAxLTAxLTAxVDAwOjAwOjAwKzE0OjAw", "no", "é"]
)
def test_an_invalid_cursor_is_refused(caller: Caller, cursor: str) -> None:
    refused(caller.get("analyses/", cursor=cursor), 404, "no_such_page")


def test_a_cursor_with_half_a_character_is_refused(caller: Caller) -> None:
    position = json.dumps(["\ud800", str(uuid4())])
    cursor = b64encode(urlencode({"p": position}).encode()).decode()
    refused(caller.get("analyses/", cursor=cursor, sort="name"), 404, "no_such_page")


def test_cursors_lead_to_the_last_page_and_back(caller: Caller) -> None:
    rows = [str(queued(caller.user).pk) for _ in range(7)]
    seen: list[str] = []
    page = caller.get("analyses/", limit=3).json()
    first = page
    while True:
        seen += [row["id"] for row in page["results"]]
        if page["next"] is None:
            break
        queued(caller.user)  # an upload between two pages
        page = caller.client.get(page["next"]).json()
    assert seen == rows[::-1]
    back = caller.client.get(page["previous"]).json()
    assert [row["id"] for row in back["results"]] == seen[3:6]
    assert first["previous"] is None


def test_checkpoints_are_counted(caller: Caller, ben: User) -> None:
    for owner, checkpoint in ((caller.user, "a@1"), (caller.user, "a@1"), (ben, "b@2")):
        Analysis.objects.filter(pk=done(owner).pk).update(checkpoint=checkpoint)
    here, tested, used = caller.get("checkpoints/").json()["results"]
    assert tested["checkpoint"].startswith("esc50-folds123@")
    assert (used["checkpoint"], used["analyses"], used["installed"]) == ("a@1", 2, None)
    assert (here["analyses"], here["first_used_at"], here["last_used_at"]) == (0, None, None)
    refused(caller.get("checkpoints/b@2/"), 404, "not_found")


def test_an_installed_checkpoint_is_described_by_its_header(
    caller: Caller, settings: Settings, tmp_path: Path
) -> None:
    row, tested = caller.get("checkpoints/").json()["results"]
    facts = row["installed"]
    data = Path(settings.CHECKPOINT).read_bytes()
    assert facts["sha256"] == hashlib.sha256(data).hexdigest()
    assert row["checkpoint"] == f"{settings.CHECKPOINT.stem}@{facts['sha256'][:12]}"
    assert facts["size_bytes"] == len(data)
    assert (len(facts["classes"]), facts["window_s"]) == (50, 5.0)
    # A checkpoint trained on every fold has no accuracy of its own.
    assert facts["folds_seen"] == [1, 2, 3, 4] and not facts["accuracy"] and facts["recipe"]
    judged = tested["installed"]
    assert judged["folds_seen"] == [1, 2, 3] and set(judged["accuracy"]) == {"fold 4"}
    assert (judged["recipe"], judged["default"]) == (facts["recipe"], False)
    assert set(facts["features"]) == {
        "n_fft", "hop_samples", "mels", "f_min_hz", "f_max_hz", "mel_scale", "mean_db",
        "deviation_db",
    }  # fmt: skip
    assert caller.get(f"checkpoints/{row['checkpoint']}/").json() == row
    refused(caller.get("checkpoints/nothing/"), 404, "not_found")
    assert facts["default"] is True


def test_an_unreadable_checkpoint_does_not_hide_others(
    caller: Caller, settings: Settings, tmp_path: Path
) -> None:
    data = Path(settings.CHECKPOINT).read_bytes()
    settings.CHECKPOINT = tmp_path / "cut.safetensors"
    for content in (None, data[:100], data[:-1]):
        if content is not None:
            settings.CHECKPOINT.write_bytes(content)
        rows = caller.get("checkpoints/").json()["results"]
        names = [row["checkpoint"].partition("@")[0] for row in rows]
        assert names == ["esc50-folds123", "esc50-folds1234"]
        assert not any(row["installed"]["default"] for row in rows)


def test_lists_do_not_load_the_large_columns(anna: User) -> None:
    done(anna)
    heavy = {"predictions", "render_metadata", "embedding"}
    for rows in (Analysis.objects.for_history(anna), Analysis.objects.for_list(anna)):
        (row,) = rows
        assert heavy <= row.get_deferred_fields()
