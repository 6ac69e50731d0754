"""Faults at the doors: the web process killed, clips deleted, the clock set."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.stage import Skipped, Stage

LIBRARIES = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib/faketime/libfaketime.so.1")
HOUR_S = 3600


def killed(stage: Stage) -> None:
    """`kill -9` of all web processes while uploads arrive, one of them half."""
    for _ in stage.rounds():
        with ThreadPoolExecutor(4) as threads:
            sent = [threads.submit(stage.client.send, 2.0, True) for _ in range(20)]
            stage.sleep(0, 0.3)
            with _half_an_upload(stage):
                stage.sleep(0, 0.3)
                stage.strike()
                stage.house.kill("web")
                stage.house.start("web")
            for one in sent:
                one.result()


@contextmanager
def _half_an_upload(stage: Stage) -> Iterator[None]:
    data = stage.client.sound(0, 4.0)
    head = (
        f"POST /api/v1/clips/ HTTP/1.1\r\nHost: localhost:{stage.house.port}\r\n"
        f"Authorization: {stage.client.person.headers['Authorization']}\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(data) + 99}\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="file"; filename="half.wav"\r\n\r\n'
    )
    with socket.create_connection(("127.0.0.1", stage.house.port), 10) as connection:
        connection.sendall(head.encode() + data[: len(data) // 2])
        yield


def deleted(stage: Stage) -> None:
    """Clips are deleted that a worker is just hearing."""
    for _ in stage.rounds():
        with stage.new_claim():
            stage.fill()
        stage.sleep(0, 0.5)
        held = {row.analysis for row in stage.outside.rows() if row.state == "running"}
        mine = [one for one in stage.client.accepted.values() if one.analysis in held]
        stage.strike()
        for one in stage.random.sample(mine, min(3, len(mine))):
            stage.expect(stage.client.delete(one), "a clip can be deleted at any time")


def clock(stage: Stage) -> None:
    """All processes' clock jumps an hour ahead or back; each second time a worker dies with it."""
    set_to = Path(stage.house.env["FAKETIME_TIMESTAMP_FILE"])
    stage.true_clock = False
    for number in stage.rounds():
        with stage.new_claim():
            stage.fill()
        stage.sleep(0, 0.5)
        stage.strike()
        set_to.write_text("+0" if number % 2 else f"+{HOUR_S}")
        if number % 4 > 1:
            stage.house.kill("worker")
            stage.house.start("worker")
    stage.send_rest()
    stage.drain()


@contextmanager
def set_by_file(data: Path) -> Iterator[dict[str, str]]:
    """libfaketime in every process of the house, told the time by a file."""
    found = [str(path) for pattern in LIBRARIES for path in Path("/").glob(pattern[1:])]
    if not found:
        raise Skipped("it needs Debian's package faketime")
    data.mkdir(parents=True, exist_ok=True)
    told = data / "clock"
    told.write_text("+0")
    yield {
        "LD_PRELOAD": found[0],
        "FAKETIME_TIMESTAMP_FILE": str(told),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
