"""Tests of the lease: renewal, and the return of jobs with and without an attempt."""

import errno
import time
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from classifier.models import Analysis, Inspection, InspectionKind, LeasedJob, State
from classifier.services import uploads
from tasks import lease as leasing
from tasks.lease import lease


@pytest.fixture(autouse=True)
def own_media(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


@pytest.fixture
def analysis(db: None) -> Analysis:
    return uploads.accept([b"x"], name="x", owner=User.objects.create_user("anna"))


@pytest.fixture(params=["analysis", "inspection"])
def claimed(request: pytest.FixtureRequest, analysis: Analysis) -> LeasedJob:
    """A claimed job, of either kind."""
    if request.param == "analysis":
        return Analysis.objects.claim(1, 10**9)[0]
    Inspection.objects.create(analysis=analysis, kind=InspectionKind.WINDOW, window=0)
    inspection = Inspection.objects.claim()
    assert inspection is not None
    return inspection


def test_a_full_disk_returns_a_job_without_counting_an_attempt(claimed: LeasedJob) -> None:
    assert claimed.attempts == 1
    with lease([claimed]):
        raise OSError(errno.ENOSPC, "No space left on device")
    claimed.refresh_from_db()
    assert (claimed.state, claimed.attempts, claimed.leased_until) == (State.QUEUED, 0, None)


@pytest.mark.parametrize("fault", [OSError(errno.EIO, "broken"), ValueError("ours")])
def test_any_other_error_returns_a_job_and_counts_an_attempt(
    claimed: LeasedJob, fault: Exception
) -> None:
    with lease([claimed]):
        raise fault
    claimed.refresh_from_db()
    assert (claimed.state, claimed.attempts) == (State.QUEUED, 1)


def test_the_jobs_of_a_dead_process_are_returned_by_the_next(claimed: LeasedJob) -> None:
    leasing.recover()
    assert type(claimed).objects.get().state == State.RUNNING
    with lease([claimed]):
        leasing.recover()
        assert type(claimed).objects.get().state == State.QUEUED


def test_a_lease_is_renewed_while_the_work_lasts(
    claimed: LeasedJob, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed: list[str] = []
    # Not in the database, because the thread cannot see the test's transaction.
    monkeypatch.setattr(type(claimed).objects, "renew", renewed.append)
    settings.LEASE_S = 0.04
    with lease([claimed]):
        time.sleep(0.1)
    assert renewed and set(renewed) == {claimed.token}
    count = len(renewed)
    time.sleep(0.05)
    assert len(renewed) == count
