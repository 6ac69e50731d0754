"""Forms with files: the names and the bytes arrive as they were sent."""

import io

import pytest
from django.http import HttpRequest
from django.test import RequestFactory

from webapp import multipart

NAMES = (
    (b"Recording at 9.41\xe2\x80\xafAM.wav", "Recording at 9.41\u202fAM.wav"),
    ("👩\u200d🎤 が NFD か\u3099.wav".encode(), "👩\u200d🎤 が NFD か\u3099.wav"),
    (b"K\xe4fer.wav", "K%E4fer.wav"),
    (b"K%E4fer.wav", "K%25E4fer.wav"),
    (b"a&amp;b.wav", "a&amp;b.wav"),
    (b"12%22 two%0Alines 50%25.wav", '12" two%0Alines 50%2525.wav'),
    (b"12%22 50%25.wav", '12" 50%25.wav'),
    (b"back\\\\slash.wav", "back\\slash.wav"),
    (b"folder/a.wav", "a.wav"),
    (b"..", "unnamed"),
    (b"\0\0E4.wav", "E4.wav"),
)


def posted(*parts: tuple[bytes, bytes], boundary: bytes = b"b") -> HttpRequest:
    """Return a request whose body has these parts, given as parameters and content."""
    body = b"".join(
        b"--%s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (boundary, head, content)
        for head, content in parts
    )
    kind = f"multipart/form-data; boundary={boundary.decode()}"
    return RequestFactory().generic("POST", "/", body + b"--%s--\r\n" % boundary, kind)


@pytest.mark.parametrize(("sent", "label"), NAMES)
def test_the_name_of_a_file_becomes_its_label(sent: bytes, label: str) -> None:
    head = b'name="file"; filename="%s"' % sent
    (file,) = posted((head, b"sound")).FILES.getlist("file")
    assert (file.name, file.read()) == (label, b"sound")


def test_an_encoded_name_cannot_imitate_a_marked_byte() -> None:
    (file,) = posted((b"name=\"file\"; filename*=UTF-8''a%00zz%C3%A4.wav", b"x")).FILES.getlist(
        "file"
    )
    assert file.name == "a%00zzä.wav"


def test_only_the_field_path_keeps_bytes_that_are_not_utf8() -> None:
    request = posted((b'name="path"', b"caf\xe9.wav"), (b'name="note"', b"caf\xe9 \xc3\xa9"))
    assert request.POST["path"] == "caf\udce9.wav"
    assert request.POST["note"] == "caf\ufffd é"


def test_the_contents_of_large_files_are_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "BLOCK_BYTES", 1000)
    one = (b"\r\n--\r\n\r\n--a \xe4\0" * 300_000)[:4_000_000]
    two = bytes(range(256)) * 20_000
    request = posted(
        (b'name="file"; filename="%s"' % (b"\xe4." + "鳥".encode() * 100), one),
        (b'name="file"; filename="\xff.wav"', two),
        (b'name="name"', b"field"),
        boundary=b"abcdef",
    )
    files = request.FILES.getlist("file")
    assert [file.read() for file in files] == [one, two]
    assert [file.name for file in files] == [f"%E4.{'鳥' * 100}", "%FF.wav"]
    assert request.POST["name"] == "field"


@pytest.mark.parametrize("size", range(1, 9))
def test_headers_across_blocks_are_read(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(multipart, "BLOCK_BYTES", size)
    body = b'--b\r\nname="\xe4"\r\n\r\none\xe4\r\n--b\r\n\r\n--\r\n--b--\r\n'
    read = multipart._Body(io.BytesIO(body), b"--b")
    assert b"".join(iter(read.read, b"")) == body.replace(b'"\xe4"', b'"\0E4"')
