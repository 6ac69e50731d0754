"""Faults at the endpoints: the web process killed, clips deleted, the clock set."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tools.chaos.stage import Stage


def killed(stage: Stage) -> None:
    """`kill -9` of all web processes while uploads arrive, one of them half."""
    for _ in stage.rounds():
        with ThreadPoolExecutor(4) as threads:
            sent = [threads.submit(stage.client.send, 2.0, True) for _ in range(20)]
            stage.sleep(0, 0.3)
            with _half_an_upload(stage):
                stage.sleep(0, 0.3)
                stage.strike()
                stage.server.kill("web")
                stage.server.start("web")
            for one in sent:
                one.result()


@contextmanager
def _half_an_upload(stage: Stage) -> Iterator[None]:
    data = stage.client.sound(0, 4.0)
    head = (
        f"POST /api/v1/clips/ HTTP/1.1\r\nHost: localhost:{stage.server.port}\r\n"
        f"Authorization: {stage.client.person.headers['Authorization']}\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(data) + 99}\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="file"; filename="half.wav"\r\n\r\n'
    )
    with socket.create_connection(("127.0.0.1", stage.server.port), 10) as connection:
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
    """An hour ahead or back, as the leases show it: they seem an hour older, or not to end for an
    hour. Half of the time a worker dies with it."""
    shifted = (
        "leased_until + CAST(? AS interval)"
        if stage.server.database_url
        else "strftime('%Y-%m-%d %H:%M:%f', leased_until, ?)"
    )
    for number in stage.rounds():
        with stage.new_claim():
            stage.fill()
        stage.sleep(0, 0.5)
        stage.strike()
        if number % 4 > 1:
            stage.server.kill("worker")
        stage.outside.ask(
            f"UPDATE classifier_analysis SET leased_until = {shifted} WHERE state = 'running'",
            "+1 hours" if number % 2 else "-1 hours",
        )
        if number % 4 > 1:
            stage.server.start("worker")
