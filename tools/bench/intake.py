"""Measure the web process's memory while oversized uploads arrive: `python -m tools.bench.intake`.

Sends request bodies of gigabytes, from a sparse file, to a running server. Reports its responses
and the peak memory of its processes during each request and at rest.
"""

import http.client
import json
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from tests import fixtures
from tests.server import Person, Server

GIGABYTE = 1_000_000_000
BLOCK_BYTES = 1 << 20
BOUNDARY = "a-line-that-stands-between"
HEAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="huge.wav"\r\n'
    "Content-Type: audio/wav\r\n\r\n"
).encode()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def web_processes(server: Server) -> list[int]:
    """Return the ids of the web server's process and its children."""
    main = server.processes["web"].pid
    children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
    return [main, *map(int, children)]


def forget_peaks(pids: list[int]) -> None:
    """Reset the peak memory that Linux records for the processes."""
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_mb(pids: list[int]) -> float:
    """Return the peak memory of the process that used the most."""
    lines = [Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1] for pid in pids]
    return max(int(line.split()[0]) for line in lines) / 1000


def blocks(size_bytes: int, file: BinaryIO) -> Iterator[bytes]:
    left = size_bytes
    while left > 0:
        block = file.read(min(BLOCK_BYTES, left))
        left -= len(block)
        yield block


def send(
    server: Server, path: str, headers: dict[str, str], parts: list[bytes | Path], declared: bool
) -> dict[str, Any]:
    """Send a body as a client that reads the response as soon as it cannot send more."""
    size_bytes = sum(len(p) if isinstance(p, bytes) else p.stat().st_size for p in parts)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
    connection.putrequest("POST", path)
    for name, value in headers.items():
        connection.putheader(name, value)
    if declared:
        connection.putheader("Content-Length", str(size_bytes))
    else:
        connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    sent, started = 0, time.monotonic()
    try:
        for part in parts:
            for block in _blocks_of(part):
                piece = block if declared else b"%x\r\n%s\r\n" % (len(block), block)
                connection.send(piece)
                sent += len(block)
        if not declared:
            connection.send(b"0\r\n\r\n")
    except (BrokenPipeError, ConnectionResetError):
        pass  # the server closed the connection; its response may have arrived
    report: dict[str, Any] = {"sent, MB": round(sent / 1e6)}
    try:
        response = connection.getresponse()
        report["status"] = response.status
        if response.headers.get_content_type() == "application/json":
            body = json.loads(response.read())
            report |= {name: body[name] for name in ("code", "detail", "outcomes") if name in body}
    except (TimeoutError, http.client.HTTPException, ConnectionError) as error:
        report["no response"] = repr(error)
    connection.close()
    return report | {"took, s": round(time.monotonic() - started, 1)}


def _blocks_of(part: bytes | Path) -> Iterator[bytes]:
    if isinstance(part, bytes):
        yield part
        return
    with part.open("rb") as file:
        yield from blocks(part.stat().st_size, file)


def sparse(path: Path, size_bytes: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size_bytes)
    return path


def zip_of_zeros(path: Path) -> Path:
    """Write a ZIP of 2 GB unpacked, in members of 9 MB: each is small enough to pass."""
    zeros = bytes(9_000_000)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(250):
            archive.writestr(f"{number}.wav", number.to_bytes(4, "big") + zeros)
    return path


def new_batch(person: Person) -> str:
    response = person.post_page("/batches/", name="a folder")
    return str(response.json()["url"])


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        server = Server(folder / "server")
        server.open()
        try:
            report = measure(server, folder)
        finally:
            server.close()
    print(json.dumps(report, indent=2))


def measure(server: Server, folder: Path) -> dict[str, Any]:
    server.stop("worker")
    person = server.person()
    for seed in range(5):
        person.submit("small.wav", fixtures.encode(fixtures.noise(1.0, seed=seed)))
    pids = web_processes(server)
    two = sparse(folder / "two", 2 * GIGABYTE)
    token = person.headers
    page = {
        "Cookie": "; ".join(f"{c.name}={c.value}" for c in person.browser.cookies),
        "X-CSRFToken": str(person.browser.cookies["csrftoken"]),
        "Referer": server.url,
    }
    unpack = f"{new_batch(person)}zip/"
    form: dict[str, str] = token | {"Content-Type": FORM}
    archive: dict[str, str] = page | {"Content-Type": "application/zip"}
    clips = "/api/v1/clips/"
    nearly = sparse(folder / "nearly", 2 * 100_000_000)
    zeros = zip_of_zeros(folder / "zeros.zip")
    beyond = sparse(folder / "beyond", 2 * GIGABYTE + 1)
    cases: dict[str, tuple[str, dict[str, str], list[bytes | Path], bool]] = {
        "a clip of 2 GB": (clips, form, [HEAD, two, TAIL], True),
        "a clip of 2 GB, length not declared": (clips, form, [HEAD, two, TAIL], False),
        "a clip of 200 MB": (clips, form, [HEAD, nearly, TAIL], True),
        "2 GB that are not a ZIP, sent as one": (unpack, archive, [two], True),
        "a ZIP of more than 2 GB": (unpack, archive, [beyond], True),
        "a ZIP of 2.25 GB of zeros": (unpack, archive, [zeros], True),
        "2 GB at a page's endpoint": ("/account/sign-in/", {"Content-Type": FORM}, [two], True),
    }
    rest_mb = peak_mb(pids)
    report: dict[str, Any] = {"at rest, MB": round(rest_mb, 1)}
    for name, case in cases.items():
        forget_peaks(pids)
        response = send(server, *case)
        report[name] = response | {"peak memory, MB": round(peak_mb(pids), 1)}
    assert pids == web_processes(server)
    left = list((server.data / "media" / "incoming").glob("*"))
    return report | {"files left behind": len(left)}


if __name__ == "__main__":
    main()
