"""What must not lose a clip, in short; `make chaos` does each fault more often, and more faults."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from tests.server import wait_for
from tools.chaos import brokers, crashing_files, disks, workers
from tools.chaos.stage import Play, Skipped, Stage
from tools.chaos.stage import stage as set_up


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    data = tmp_path_factory.mktemp("chaos") / "data"
    with ExitStack() as stack:
        try:
            stack.enter_context(disks.small(data))
        except Skipped as why:
            print(why)
        yield stack.enter_context(set_up(data, seed=1, clips=0, times=0))


def expect_nothing_lost(stage: Stage, play: Play, times: int, clips: int = 0) -> None:
    stage.times, stage.clips = times, len(stage.client.accepted) + clips
    stage.client.refused.clear()
    try:
        play(stage)
    except Skipped as why:
        pytest.skip(str(why))
    account = stage.settle()
    assert account.clean, account.examples
    assert not [note for note in stage.notes if note.startswith("NOT")]


def test_a_killed_worker_loses_nothing(stage: Stage) -> None:
    expect_nothing_lost(stage, workers.kills, times=4, clips=60)


def test_a_deploy_interrupts_nobody(stage: Stage) -> None:
    expect_nothing_lost(stage, workers.deploys, times=1)


def test_a_wiped_broker_loses_nothing(stage: Stage) -> None:
    expect_nothing_lost(stage, brokers.wipes, times=2)


def test_uploads_are_accepted_while_the_broker_is_away(stage: Stage) -> None:
    expect_nothing_lost(stage, brokers.away, times=1)


def test_two_workers_share_the_work_and_never_a_result(stage: Stage) -> None:
    expect_nothing_lost(stage, workers.two, times=1)


def test_a_full_disk_refuses_uploads_and_blames_no_clip(stage: Stage) -> None:
    if not (stage.server.data / "media").is_mount():
        pytest.skip("no small disk could be mounted, see above")
    expect_nothing_lost(stage, disks.full, times=1)
    assert stage.client.refused


def test_a_clip_that_kills_its_worker_fails_alone_and_before_any_lease_ends(
    tmp_path: Path,
) -> None:
    with set_up(tmp_path / "data", seed=1, clips=0, times=0, LEASE_S="3600") as stage:
        expect_nothing_lost(stage, crashing_files.segfault, times=1)


def test_the_pages_do_not_depend_on_the_worker(stage: Stage) -> None:
    stage.server.kill("worker")
    clip = stage.client.send()
    assert clip
    page = stage.client.person.page(f"/analyses/{clip.analysis}/")
    assert page.status_code == requests.codes.ok
    assert "Waiting" in page.text
    stage.server.start("worker")
    wait_for(lambda: not stage.under_way(), 60, "the end")
