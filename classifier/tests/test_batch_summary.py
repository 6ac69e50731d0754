"""How fast a batch runs, and the totals of its folders."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django.asserts import assertContains, assertNotContains

from classifier.models import Analysis, Batch, State
from classifier.services import batch_summary, batches, dispatch
from classifier.templatetags.sound import rate, time_left
from classifier.tests.conftest import Caller, refused

NOW = timezone.now()


@pytest.fixture(autouse=True)
def still_clock_and_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no time pass while the rate is calculated, which needs a worker that answers."""
    monkeypatch.setattr(dispatch, "_worker_answers", lambda tick: True)
    monkeypatch.setattr(batch_summary, "timezone", SimpleNamespace(now=lambda: NOW))


@pytest.fixture
def batch(anna: User) -> Batch:
    return batches.create(anna, "field trip")


@pytest.fixture
def visitor(anna: User) -> Client:
    client = Client()
    client.force_login(anna)
    return client


def add(batch: Batch, *paths: str, **values: Any) -> None:
    """Add files, and give their analyses these values."""
    for path in paths:
        file = batches.add_file(batch, path, [path.encode()])
        Analysis.objects.filter(batch_files=file).update(**values)


def finish(*paths: str, before_s: float, took_s: float = 10, state: State = State.DONE) -> None:
    ended = NOW - timedelta(seconds=before_s)
    rows = Analysis.objects.filter(batch_files__path__in=paths)
    rows.update(state=state, finished_at=ended, started_at=ended - timedelta(seconds=took_s))


# --- pace ---------------------------------------------------------------------------------


def test_a_running_batch_shows_its_rate_and_the_time_left(
    visitor: Client, caller: Caller, batch: Batch
) -> None:
    paths = [f"{n}.wav" for n in range(80)]
    add(batch, *paths)
    api, page = f"batches/{batch.pk}/", f"/batches/{batch.pk}/"
    finish(*paths[:4], before_s=1)
    assert caller.get(api).json()["rate_per_s"] is None
    assertNotContains(visitor.get(page), " left</p>")
    # 20 files in the 20 s since the first of them was started.
    finish(*paths[:20], before_s=10)
    answer = caller.get(api).json()
    assert (answer["rate_per_s"], answer["left_s"]) == (1.0, 60)
    assertContains(visitor.get(page), "60 clips per minute, about 1 minute left")
    finish(*paths, before_s=1)
    answer = caller.get(api).json()
    assert (answer["rate_per_s"], answer["left_s"]) == (None, None)
    assertNotContains(visitor.get(page), " left</p>")


def test_the_rate_of_long_recordings_covers_more_time(caller: Caller, batch: Batch) -> None:
    paths = [f"{n}.wav" for n in range(11)]
    add(batch, *paths)
    for number, path in enumerate(paths[:10]):
        finish(path, before_s=30 + 60 * number, took_s=60)
    answer = caller.get(f"batches/{batch.pk}/").json()
    assert answer["rate_per_s"] == pytest.approx(1 / 63, abs=1e-4)
    # Of what finished long ago nothing can be told.
    finish(*paths[:10], before_s=3600)
    assert caller.get(f"batches/{batch.pk}/").json()["rate_per_s"] is None


@pytest.mark.parametrize(
    ("rate_per_s", "words"),
    [
        (12.3, "12 clips per second"),
        (1.0, "60 clips per minute"),
        (1 / 90, "40 clips per hour"),
        (1 / 3600, "1 clip per hour"),
    ],
)
def test_rates_are_told_in_a_fitting_unit(rate_per_s: float, words: str) -> None:
    assert rate(rate_per_s) == words


@pytest.mark.parametrize(
    ("left_s", "words"),
    [
        (0.2, "about 1 second"),
        (17.4, "about 17 seconds"),
        (180, "about 3 minutes"),
        (2 * 3600, "about 2 hours"),
    ],
)
def test_waits_are_told_in_a_fitting_unit(left_s: float, words: str) -> None:
    assert time_left(left_s) == words


# --- folders ------------------------------------------------------------------------------


def test_folders_have_the_totals_and_labels_of_everything_inside(
    visitor: Client, caller: Caller, batch: Batch
) -> None:
    dog, rain = ({"state": State.DONE, "label": label} for label in ("dog", "rain"))
    add(batch, "a/1.wav", "a/x/2.wav", "a/x/y/3.wav", **dog)
    add(batch, "a/x/4.wav", "top.wav", **rain)
    add(batch, "a/5.wav", state=State.DONE, label="cat", not_sure=True)
    add(batch, "a/x/6.wav", state=State.FAILED, error_code="damaged")
    batches.add_file(batch, "A/empty.wav", [b""])
    api = f"batches/{batch.pk}/folders/"
    capital, small = caller.get(api).json()["folders"]
    assert (capital["path"], capital["totals"]["refused"]) == ("A", 1)
    assert (small["path"], small["folders"]) == ("a", 1)
    assert small["totals"]["total"] == 6
    assert (small["totals"]["done"], small["totals"]["failed"]) == (5, 1)
    assert small["labels"] == [{"label": "dog", "count": 3}, {"label": "rain", "count": 1}]
    (inner,) = caller.get(api, parent="a").json()["folders"]
    assert (inner["path"], inner["folders"], inner["totals"]["total"]) == ("a/x", 1, 4)
    assert caller.get(api, parent="a/x/y").json() == {"folders": [], "more": 0}

    page = visitor.get(f"/batches/{batch.pk}/")
    assertContains(page, f'href="/batches/{batch.pk}/?folder=a#folders"')
    assertContains(page, "6 files: ")
    page = visitor.get(f"/batches/{batch.pk}/?folder=a%2Fx")
    assertContains(page, '<li class="row ', count=4)
    assertNotContains(page, "top.wav")
    assertContains(page, f'href="/batches/{batch.pk}/?folder=a%2Fx%2Fy#folders"')
    page = visitor.get(f"/batches/{batch.pk}/?folder=a&show=failed")
    assertContains(page, '<li class="row ', count=1)
    assertContains(visitor.get(f"/batches/{batch.pk}/?folder=none"), "no files in this folder")


def test_many_folders_are_listed_in_pages(visitor: Client, caller: Caller, batch: Batch) -> None:
    add(batch, *(f"site {n:02}/a.wav" for n in range(25)))
    api = f"batches/{batch.pk}/folders/"
    first = caller.get(api, limit=20).json()
    assert (len(first["folders"]), first["more"]) == (20, 5)
    rest = caller.get(api, limit=20, after=first["folders"][-1]["path"]).json()
    assert [one["path"] for one in rest["folders"]] == [f"site {n}" for n in range(20, 25)]
    assert rest["more"] == 0
    refused(caller.get(api, limit=0), 400)
    page = visitor.get(f"/batches/{batch.pk}/")
    assertContains(page, "1–20 of 25 folders")
    assertNotContains(page, "?folder=site%2024")
    assertContains(visitor.get(f"/batches/{batch.pk}/?folders=2"), "?folder=site%2024")


def test_a_batch_without_folders_has_no_list_of_them(visitor: Client, batch: Batch) -> None:
    add(batch, "a.wav")
    assertNotContains(visitor.get(f"/batches/{batch.pk}/"), 'id="folders"')
