"""A short form of `make chaos`: the most important faults, each injected a few times."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from tests.server import wait_for
from tools.chaos import brokers, crashing_files, disks, workers
from tools.chaos.harness import Fault, Harness, Skipped, start_harness


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    data = tmp_path_factory.mktemp("chaos") / "data"
    with ExitStack() as stack:
        try:
            stack.enter_context(disks.small(data))
        except Skipped as why:
            print(why)
        yield stack.enter_context(start_harness(data, seed=1, clips=0, times=0))


def expect_nothing_lost(harness: Harness, inject: Fault, times: int, clips: int = 0) -> None:
    harness.times, harness.clips = times, len(harness.client.accepted) + clips
    harness.client.refused.clear()
    try:
        inject(harness)
    except Skipped as why:
        pytest.skip(str(why))
    audit = harness.finish()
    assert audit.clean, audit.examples
    assert not [note for note in harness.notes if note.startswith("FAILED")]


def test_a_killed_worker_loses_nothing(harness: Harness) -> None:
    expect_nothing_lost(harness, workers.kills, times=4, clips=60)


@pytest.mark.proof
def test_a_deploy_interrupts_no_clip(harness: Harness) -> None:
    expect_nothing_lost(harness, workers.deploys, times=1)


def test_an_emptied_broker_loses_nothing(harness: Harness) -> None:
    expect_nothing_lost(harness, brokers.wipes, times=2)


def test_uploads_are_accepted_while_the_broker_is_down(harness: Harness) -> None:
    expect_nothing_lost(harness, brokers.stopped, times=1)


@pytest.mark.proof
def test_a_paused_worker_does_not_save_a_second_result(harness: Harness) -> None:
    expect_nothing_lost(harness, workers.paused, times=1)


def test_a_full_disk_refuses_uploads_and_fails_no_clip(harness: Harness) -> None:
    if not (harness.server.data / "media").is_mount():
        pytest.skip("could not mount a small file system, see above")
    expect_nothing_lost(harness, disks.full, times=1)
    assert harness.client.refused


@pytest.mark.proof
def test_a_clip_that_crashes_its_worker_fails_alone_and_before_its_lease_ends(
    tmp_path: Path,
) -> None:
    with start_harness(tmp_path / "data", seed=1, clips=0, times=0, LEASE_S="3600") as harness:
        expect_nothing_lost(harness, crashing_files.segfault, times=1)


def test_the_pages_do_not_depend_on_the_worker(harness: Harness) -> None:
    harness.server.kill("worker")
    clip = harness.client.send()
    assert clip
    page = harness.client.person.page(f"/analyses/{clip.analysis}/")
    assert page.status_code == requests.codes.ok
    assert "Waiting" in page.text
    harness.server.start("worker")
    wait_for(lambda: not harness.unfinished(), 60, "the analysis")
