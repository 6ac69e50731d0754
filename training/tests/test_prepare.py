"""Tests of the prepare command, with a real HTTP server on this machine."""

import hashlib
import http.server
import io
import stat
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import fixtures
from training import prepare
from training.data import download
from training.data.index import read_index


@dataclass
class Server:
    """Serves one file. The first `failures` responses end after `stops_after` bytes."""

    body: bytes
    url: str = ""
    failures: int = 0
    stops_after: int = 100_000
    requests: int = 0


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    served = Server(b"")
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.requests += 1
            if not served.body:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(served.body)))
            self.end_headers()
            fails = served.requests <= served.failures
            self.wfile.write(served.body[: served.stops_after] if fails else served.body)

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        served.url = f"http://127.0.0.1:{httpd.server_port}/master.zip"
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield served
        httpd.shutdown()


def packed(folder: Path, wrapped: str = "ESC-50-master/") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as pack:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                pack.write(path, wrapped + path.relative_to(folder).as_posix())
    return buffer.getvalue()


@dataclass
class Output:
    status: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    def run(*words: object) -> Output:
        status = prepare.main([str(word) for word in words])
        return Output(status, *capsys.readouterr())

    return run


# --- the download -------------------------------------------------------------------------


def test_it_downloads_unpacks_and_checks(server: Server, esc50: Path, tmp_path: Path, run) -> None:
    server.body = packed(esc50)
    out = tmp_path / "data" / "esc50"
    payload = run("--url", server.url, "--out", out)
    assert payload.status == 0, payload.err
    assert "8 clips in 2 classes; folds 1: 2, 2: 2, 3: 2, 4: 2" in payload.out
    assert f"python -m training.train --data {out}" in payload.out
    assert len(read_index(out)) == 8
    assert [path.name for path in out.parent.iterdir()] == ["esc50"]
    assert run("--url", server.url, "--out", out).status == 0
    assert server.requests == 1, "an existing folder is not downloaded again"


def test_an_interrupted_download_is_retried(
    server: Server, esc50: Path, tmp_path: Path, run
) -> None:
    server.body, server.failures = packed(esc50), download.RETRIES
    out = tmp_path / "esc50"
    assert run("--url", server.url, "--out", out).status == 0
    assert server.requests == download.RETRIES + 1
    assert len(read_index(out)) == 8


def test_a_partial_download_is_not_kept(server: Server, esc50: Path, tmp_path: Path, run) -> None:
    server.body, server.failures = packed(esc50), download.RETRIES + 1
    out = tmp_path / "esc50"
    payload = run("--url", server.url, "--out", out)
    assert payload.status == 1
    assert f"{server.url} could not be downloaded" in payload.err
    assert "run the command again" in payload.err
    assert list(tmp_path.iterdir()) == []
    assert run("--url", server.url, "--out", out).status == 0


def test_a_hash_is_verified(server: Server, esc50: Path, tmp_path: Path, run) -> None:
    server.body = packed(esc50)
    words = ("--url", server.url, "--out", tmp_path / "esc50", "--hash")
    payload = run(*words, "sha256:" + 64 * "0")
    assert payload.status == 1
    assert "does not match the known hash" in payload.err
    assert list(tmp_path.iterdir()) == []
    assert run(*words, "sha256:" + hashlib.sha256(server.body).hexdigest()).status == 0


def test_an_address_that_cannot_be_downloaded_is_reported(
    server: Server, tmp_path: Path, run
) -> None:
    payload = run("--url", server.url, "--out", tmp_path / "esc50")
    assert (payload.status, "404 Client Error" in payload.err) == (1, True)
    payload = run("--url", "http://127.0.0.1:9/master.zip", "--out", tmp_path / "esc50")
    assert (payload.status, "check the address" in payload.err.lower()) == (1, True)
    payload = run("--url", "file:///etc/passwd", "--out", tmp_path / "esc50")
    assert (payload.status, "not an http:// or https:// address" in payload.err) == (1, True)


def test_a_download_that_is_not_a_zip_file_is_reported(server: Server, tmp_path: Path, run) -> None:
    server.body = b"<html>not a ZIP</html>"
    payload = run("--url", server.url, "--out", tmp_path / "esc50")
    assert payload.status == 1
    assert "is not a complete ZIP file" in payload.err
    assert not (tmp_path / "esc50").exists()


# --- the ZIP ------------------------------------------------------------------------------


def zip_with(path: Path, name: str, data: bytes = b"x", link: bool = False) -> Path:
    member = zipfile.ZipInfo(name)
    if link:
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as pack:
        pack.writestr("fine.txt", b"fine")
        pack.writestr(member, data)
    return path


@pytest.mark.parametrize(
    ("name", "link"),
    [("../out.wav", False), ("/etc/out.wav", False), ("a/../../out.wav", False),
     ("a\\..\\out.wav", False), ("a/link", True)],
)  # fmt: skip
def test_no_member_is_written_outside_of_the_folder(
    tmp_path: Path, run, name: str, link: bool
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    archive = zip_with(inner / "evil.zip", name, b"/etc/passwd", link)
    run(archive, "--out", inner / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"inner"}
    assert {path.name for path in inner.iterdir()} == {"evil.zip", "out"}
    assert not any(path.is_symlink() for path in inner.rglob("*"))


def test_a_zip_that_unpacks_to_too_much_is_refused(tmp_path: Path, run) -> None:
    archive = tmp_path / "large.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr("zeros", bytes(5_000_000))
    payload = run(archive, "--out", tmp_path / "out", "--size-limit-mb", 4)
    assert payload.status == 1
    assert "large.zip unpacks to more than 4 MB" in payload.err
    assert not (tmp_path / "out").exists()


def test_a_damaged_zip_leaves_nothing_behind(esc50: Path, tmp_path: Path, run) -> None:
    archive = tmp_path / "esc50.zip"
    damaged = bytearray(packed(esc50))
    damaged[len(damaged) // 2] ^= 255
    archive.write_bytes(damaged)
    payload = run(archive, "--out", tmp_path / "out")
    assert payload.status == 1
    assert "is not a complete ZIP file (Bad CRC-32" in payload.err
    assert list(tmp_path.iterdir()) == [archive]


def test_an_existing_folder_is_not_overwritten(esc50: Path, tmp_path: Path, run) -> None:
    archive = tmp_path / "esc50.zip"
    archive.write_bytes(packed(esc50))
    (tmp_path / "mine").mkdir()
    payload = run(archive, "--out", tmp_path / "mine")
    assert (payload.status, "already exists" in payload.err) == (1, True)


# --- the check ----------------------------------------------------------------------------


def test_every_bad_file_is_named_with_the_reason(esc50: Path, tmp_path: Path, run) -> None:
    archive = tmp_path / "esc50.zip"
    archive.write_bytes(packed(esc50))
    out = tmp_path / "esc50"
    assert run(archive, "--out", out).status == 0
    (out / "audio" / "1-100-A-0.wav").write_bytes(b"")
    (out / "audio" / "2-101-A-1.wav").write_text("these are notes")
    (out / "audio" / "3-100-A-0.wav").unlink()
    payload = run(out)
    assert payload.status == 1
    lines = payload.err.splitlines()
    assert "audio/1-100-A-0.wav: The file is empty. Choose" in lines[-4]
    assert "audio/2-101-A-1.wav: This file contains no audio" in lines[-3]
    assert "audio/3-100-A-0.wav: The file does not exist" in lines[-2]
    assert lines[-1] == "Problems: 3."


def test_a_recording_in_two_folds_is_wrong_in_ones_own_data(tmp_path: Path, run) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.flac").write_bytes(fixtures.encode(fixtures.tone(), form="FLAC"))
    path = tmp_path / "sounds.csv"
    path.write_text("filename,category,fold,source\n"
                    "a.flac,cat,1,x\nb.flac,cat,2,x\nc.flac,dog,2,y\n")  # fmt: skip
    payload = run(path)
    assert payload.status == 1
    assert "Clips of source x are in folds 1 and 2" in payload.err


def test_short_and_long_clips_are_reported_and_are_no_fault(tmp_path: Path, run) -> None:
    for label, duration_s in (("cat", 2.0), ("dog", 11.0)):
        (tmp_path / label).mkdir()
        sound = fixtures.encode(fixtures.noise(duration_s), form="FLAC")
        (tmp_path / label / "1.flac").write_bytes(sound)
    payload = run(tmp_path)
    assert payload.status == 0
    assert "Clips shorter than 5 s, which are padded with silence: 1." in payload.out
    assert "Clips cut into windows of 5 s, which share a fold: 1." in payload.out
    assert "Classes without clips in some folds: 2 (cat, dog)" in payload.out


def test_data_that_cannot_be_read_at_all_is_reported_in_one_line(tmp_path: Path, run) -> None:
    payload = run(tmp_path)
    assert payload.status == 1
    assert "fewer than two classes" in payload.err
