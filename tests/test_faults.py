"""What must not lose a clip: a worker killed while it works, a broker that forgets everything."""

import os
import random

import pytest
import requests

from tests import cast
from tests.house import House, Person, wait_for

CLIPS = 40


def submit_many(person: Person, seed: int) -> list[str]:
    """Twelve seconds each: four windows, so that there is time to disturb the work."""
    sounds = (cast.noise(12.0, 8000, seed=seed * 1000 + n) for n in range(CLIPS))
    return [
        person.submit(f"{seed}-{n}.wav", cast.encode(sound, 8000)) for n, sound in enumerate(sounds)
    ]


def states(person: Person, locations: list[str]) -> list[str]:
    return [person.get(location).json()["state"] for location in locations]


def expect_all_done_once(house: House, person: Person, locations: list[str]) -> None:
    wait_for(
        lambda: not {"queued", "running"} & set(states(person, locations)), 180, "the end", 1.0
    )
    assert states(person, locations) == ["done"] * CLIPS
    kept = house.results_of(person)
    assert len(kept) == CLIPS
    for location in locations:
        assert kept[location.rstrip("/").rsplit("/", 1)[-1]].is_dir()


def some_more_saved(house: House, more: int) -> None:
    """Wait for new results on the disk: quick to see, so that the work is still going on."""
    wanted = len(house.result_folders()) + more
    wait_for(lambda: len(house.result_folders()) >= wanted, 90, f"{more} results", every_s=0.02)


def test_a_killed_worker_loses_nothing(house: House) -> None:
    person = house.person()
    house.stop("worker")
    locations = submit_many(person, seed=1)
    house.start("worker")
    random_count = random.Random(1)
    for _ in range(3):
        some_more_saved(house, random_count.randint(2, 5))
        house.kill("worker")
        assert {"queued", "running"} & set(states(person, locations))
        house.start("worker")
    expect_all_done_once(house, person, locations)


def test_a_wiped_broker_loses_nothing(house: House) -> None:
    person = house.person()
    house.stop("worker")
    locations = submit_many(person, seed=2)
    house.start("worker")
    some_more_saved(house, 2)
    house.broker().flushdb()
    house.kill("worker")
    house.broker().flushdb()
    house.start("worker")
    expect_all_done_once(house, person, locations)


def test_two_workers_share_the_work_and_never_a_result(house: House) -> None:
    person = house.person()
    house.start("worker", "second worker")
    locations = submit_many(person, seed=6)
    expect_all_done_once(house, person, locations)
    house.stop("second worker")
    assert "took" in house.log("second worker")


def test_uploads_are_accepted_while_the_broker_is_away(house: House) -> None:
    if house.redis_url:
        pytest.skip("the broker is a shared server, not ours to stop")
    person = house.person()
    house.kill("broker")
    answers = [
        person.upload(f"away-{n}.wav", cast.encode(cast.noise(1.0, seed=3000 + n)))
        for n in range(3)
    ]
    house.start("broker")
    assert [answer.status_code for answer in answers] == [202] * 3
    for answer in answers:
        assert person.wait(answer.headers["Location"])["state"] == "done"


def test_a_clip_that_kills_its_worker_fails_alone(house: House) -> None:
    """The file of a waiting clip is replaced by a pipe that nobody writes to: decoding hangs,
    and each time the worker is killed. Its neighbours are done, it is given up with a reason."""
    person = house.person()
    house.kill("worker")
    clips = house.data / "media" / "clips"
    known = set(clips.glob("*/*"))
    poison = person.submit("poison.wav", cast.encode(cast.noise(1.0, seed=4000)))
    (stored,) = set(clips.glob("*/*")) - known
    others = [
        person.submit(f"beside-{n}.wav", cast.encode(cast.noise(1.0, seed=4001 + n)))
        for n in range(4)
    ]
    stored.unlink()
    os.mkfifo(stored)
    # Once in company, then three times alone.
    for last in (False, False, False, True):
        house.start("worker")
        wait_for(lambda: person.get(poison).json()["state"] == "running", 60, "a claim")
        house.kill("worker")
        if not last:
            wait_for(lambda: person.get(poison).json()["state"] == "queued", 30, "the sweep")
    wait_for(lambda: person.get(poison).json()["state"] == "failed", 30, "giving up")
    stored.unlink()
    house.start("worker")
    for location in others:
        assert person.wait(location)["state"] == "done"
    error = person.get(poison).json()["error"]
    assert error["code"] == "crashed"
    assert "3 times" in error["detail"]


def test_the_health_of_the_pages_does_not_depend_on_the_worker(house: House, anna: Person) -> None:
    house.kill("worker")
    location = anna.submit("later.wav", cast.encode(cast.noise(1.0, seed=5000)))
    page = anna.page(location.replace("/api/v1", ""))
    assert page.status_code == requests.codes.ok
    assert "Waiting" in page.text
    house.start("worker")
    assert anna.wait(location)["state"] == "done"
