"""Faults at the endpoints: web processes killed, clips deleted, the clock changed."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tools.chaos.harness import Harness


def killed(harness: Harness) -> None:
    """Kill all web processes (SIGKILL) during uploads, one of which is half sent."""
    for _ in harness.repetitions():
        with ThreadPoolExecutor(4) as threads:
            sent = [threads.submit(harness.client.send, 2.0, True) for _ in range(20)]
            harness.sleep(0, 0.3)
            with _half_an_upload(harness):
                harness.sleep(0, 0.3)
                harness.record_injection()
                harness.server.kill("web")
                harness.server.start("web")
            for one in sent:
                one.result()


@contextmanager
def _half_an_upload(harness: Harness) -> Iterator[None]:
    data = harness.client.sound(0, 4.0)
    head = (
        f"POST /api/v1/clips/ HTTP/1.1\r\nHost: localhost:{harness.server.port}\r\n"
        f"Authorization: {harness.client.person.headers['Authorization']}\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(data) + 99}\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="file"; filename="half.wav"\r\n\r\n'
    )
    with socket.create_connection(("127.0.0.1", harness.server.port), 10) as connection:
        connection.sendall(head.encode() + data[: len(data) // 2])
        yield


def deleted(harness: Harness) -> None:
    """Delete clips that a worker is processing."""
    for _ in harness.repetitions():
        with harness.new_claim():
            harness.fill_queue()
        harness.sleep(0, 0.5)
        running = {row.analysis for row in harness.observer.rows() if row.state == "running"}
        clips = [one for one in harness.client.accepted.values() if one.analysis in running]
        harness.record_injection()
        for one in harness.random.sample(clips, min(3, len(clips))):
            harness.expect(harness.client.delete(one), "a clip could not be deleted")


def clock(harness: Harness) -> None:
    """Move the leases in the database by an hour, as a clock change would make them appear.

    In half of the repetitions a worker is killed at the same time.
    """
    shifted = (
        "leased_until + CAST(? AS interval)"
        if harness.server.database_url
        else "strftime('%Y-%m-%d %H:%M:%f', leased_until, ?)"
    )
    for number in harness.repetitions():
        with harness.new_claim():
            harness.fill_queue()
        harness.sleep(0, 0.5)
        harness.record_injection()
        if number % 4 > 1:
            harness.server.kill("worker")
        harness.observer.ask(
            f"UPDATE classifier_analysis SET leased_until = {shifted} WHERE state = 'running'",
            "+1 hours" if number % 2 else "-1 hours",
        )
        if number % 4 > 1:
            harness.server.start("worker")
