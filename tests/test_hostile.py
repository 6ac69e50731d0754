"""Hostile files, decoded by the hundred and uploaded to a running server."""

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from ml.file_names import label_of, original_of
from tests import fixtures
from tests.crashing_files import CRASH, FILL_MEMORY, RAISE, crashing_sound, unsafe_decoder_env
from tests.malicious_files import NAMES, handcrafted
from tests.mutated_files import MUTATIONS, valid
from tests.server import Server, wait_for
from tools.hostile import files, run

MUTANTS = 200


def test_the_corpus_is_deterministic() -> None:
    first, again = (list(islice(files(700), 600, 700)) for _ in range(2))
    assert first == again
    assert len({one.data for one in first}) > 90
    made = len(handcrafted())
    one, other = (list(islice(files(made + 50, seed), made, made + 50)) for seed in (1, 2))
    assert one != other


def test_the_corpus_covers_every_format_and_every_mutation() -> None:
    kinds = {one.kind for one in files(len(handcrafted()) + 1500)}
    for name in valid():
        assert any(name in kind for kind in kinds), name
    for name in MUTATIONS:
        assert any(name in kind for kind in kinds), name


def test_every_file_is_decoded_or_refused_with_a_reason() -> None:
    made = handcrafted()
    some = made[:25] + made[25::4]
    mutants = islice(files(len(made) + MUTANTS), len(made), None)
    report = run(iter([*some, *mutants]))
    assert report.files == len(some) + MUTANTS
    assert report.breakdowns == []
    # The corpus covers the different reasons, not only the most common one.
    assert {"sound", "not_audio", "damaged", "unsupported", "too_long"} <= set(report.outcomes)


# --- through a server ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def unsafe_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose decoder executes the code in a `crashing_sound`."""
    folder = tmp_path_factory.mktemp("unsafe-server")
    server = Server(folder / "data", **unsafe_decoder_env(folder / "before"))
    server.open()
    wait_for(lambda: "ready" in server.log("worker"), 60, "the worker")
    yield server
    server.close()


def pool_of(server: Server) -> set[int]:
    """Return the ids of the worker's pool processes."""
    main = server.processes["worker"].pid
    return set(map(int, Path(f"/proc/{main}/task/{main}/children").read_text().split()))


def attempts(server: Server) -> list[int]:
    """Return the distinct numbers of attempts of all analyses."""
    code = (
        "from classifier.models import Analysis; "
        "print(*Analysis.objects.values_list('attempts', flat=True).order_by().distinct())"
    )
    return [int(n) for n in server.manage("shell", "--no-imports", "-c", code).split()]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_worker_survives_hostile_uploads(unsafe_server: Server) -> None:
    person = unsafe_server.person()
    fine = fixtures.encode(fixtures.noise(1.0, seed=7000))
    assert person.wait(person.submit("first.wav", fine))["state"] == "done"
    before = pool_of(unsafe_server)
    assert len(before) == 1
    bad = {f"{n}.wav": one.data for n, one in enumerate(handcrafted()[3:600:16])}
    crashing = [
        crashing_sound(code, seed=7100 + n)
        for n, code in enumerate((CRASH, RAISE, FILL_MEMORY, CRASH, "os._exit(7)"))
    ]
    failing, healthy_clips, sent = [], [], []
    for n, (name, data) in enumerate(bad.items()):
        sent.append(person.submit(name, data))
        if n % 4 == 0:
            healthy = fixtures.encode(fixtures.noise(1.0, seed=7200 + n))
            healthy_clips.append(person.submit(f"healthy_clips-{n}.wav", healthy))
        if n % 8 == 0 and crashing:
            failing.append(person.submit(f"crashing-{n}.wav", crashing.pop()))
    assert [person.wait(location)["state"] for location in healthy_clips] == ["done"] * len(
        healthy_clips
    )
    failed = [person.wait(location) for location in failing]
    assert [analysis["state"] for analysis in failed] == ["failed"] * 5
    codes = sorted(analysis["error"]["code"] for analysis in failed)
    assert codes == ["decoder_crashed"] * 4 + ["decoder_out_of_memory"]
    for location in sent:
        analysis = person.wait(location)
        if analysis["state"] == "failed":
            assert analysis["error"]["code"] not in ("crashed", "inference_unavailable")
            assert analysis["error"]["detail"].endswith(".")
            assert analysis["error"]["hint"].endswith(".")
    assert pool_of(unsafe_server) == before
    assert max(attempts(unsafe_server)) <= 1
    assert "could not be finished" not in unsafe_server.log("worker")


def test_a_file_name_is_only_used_as_a_label(unsafe_server: Server) -> None:
    person = unsafe_server.person()
    data = fixtures.encode(fixtures.noise(1.0, seed=7900))
    for name in NAMES:
        response = person.upload(name, data)
        assert response.status_code in (200, 202, 400), name
        if response.status_code == 400:
            assert set(response.json()) == {"code", "detail", "hint"}
    shown = person.get("/api/v1/clips/").json()["results"]
    for clip in shown:
        assert label_of(original_of(clip["name"])) == clip["name"]
        assert "/" not in clip["name"]
    assert person.page("/history/").status_code == 200
    stored = [path.name for path in (unsafe_server.data / "media" / "clips").rglob("*")]
    assert stored
    assert all(len(name) in (2, 32) for name in stored)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_stopped_worker_leaves_no_decoder_process(unsafe_server: Server) -> None:
    person = unsafe_server.person()
    done = person.wait(person.submit("x.wav", fixtures.encode(fixtures.noise(1.0, seed=7950))))
    assert done["state"] == "done"
    decoders = decoders_of(unsafe_server)
    assert decoders
    unsafe_server.stop("worker")
    wait_for_exit(decoders)
    unsafe_server.start("worker")
    again = person.wait(person.submit("y.wav", fixtures.encode(fixtures.noise(1.0, seed=7951))))
    assert again["state"] == "done"
    decoders = decoders_of(unsafe_server)
    unsafe_server.kill("worker")
    wait_for_exit(decoders)


def decoders_of(server: Server) -> list[int]:
    return [
        int(pid)
        for child in pool_of(server)
        for thread in Path(f"/proc/{child}/task").iterdir()
        for pid in (thread / "children").read_text().split()
    ]


def wait_for_exit(pids: list[int]) -> None:
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 10, "the decoders")
