"""Names of files by command, API, page and ZIP: no file vanishes, and names stay as on disk."""

import csv
import io
import json
import os
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client

from classifier.models import Batch, Clip
from classifier.services import batches, zip_import
from classifier.tests.conftest import Caller, refused
from ml.file_names import is_other, label_of, original_of, text_of
from tests.odd_names import ODD_NAMES, folder_of

# `ODD_FILES=1000` tests a larger folder, which takes about a minute.
FILES = int(os.environ.get("ODD_FILES", len(ODD_NAMES) + 20))
TEXT = "Recording at 9.41\N{NARROW NO-BREAK SPACE}AM か\u3099 👩\u200d🎤.wav"


def submit(folder: Path, **options: Any) -> tuple[int, dict[str, Any]]:
    """Run the command; return its exit status and its summary."""
    output = io.StringIO()
    try:
        call_command("submit_folder", folder, user="anna", json=True, stdout=output, **options)
    except SystemExit as end:
        return int(str(end.code)), json.loads(output.getvalue())
    return 0, json.loads(output.getvalue())


def csv_paths(caller: Caller, batch: str) -> list[str]:
    """Return the paths in the CSV export, as `os.fsdecode` returns names."""
    sheet = b"".join(caller.get(f"batches/{batch}/results.csv")).decode()
    rows = csv.DictReader(io.StringIO(sheet, newline=""))
    # An apostrophe protects what a spreadsheet would evaluate as a formula.
    return [original_of(re.sub("^'(?='*[=+@\t\r-])", "", row["path"])) for row in rows]


# --- folders ------------------------------------------------------------------------------


def test_every_file_of_a_folder_has_a_row_with_its_name(caller: Caller, tmp_path: Path) -> None:
    files = folder_of(tmp_path / "odd", FILES)
    status, summary = submit(tmp_path / "odd")
    assert (status, summary["totals"]["total"], summary["not_taken"]) == (0, len(files), {})
    assert sorted(csv_paths(caller, summary["batch"])) == sorted(map(text_of, files))
    shown = caller.get(f"batches/{summary['batch']}/results.json")
    labels = [file["path"] for file in json.loads(b"".join(shown))["files"]]
    assert {label_of(text_of(name)) for name in files} == set(labels)
    status, again = submit(tmp_path / "odd")
    assert (status, again) == (0, summary)


def test_a_changed_file_is_reported_by_the_next_run(anna: User, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"before")
    assert submit(tmp_path)[0] == 0
    (tmp_path / "a.wav").write_bytes(b"after!")
    status, summary = submit(tmp_path)
    assert (status, summary["not_taken"]["a.wav"]["code"]) == (1, "path_used")


def test_the_command_counts_what_it_leaves_out(anna: User, tmp_path: Path, capsys: Any) -> None:
    outside, folder = tmp_path / "outside", tmp_path / os.fsdecode(b"tr\xefp")
    for path in (folder / ".git", folder / "__MACOSX", outside):
        path.mkdir(parents=True)
        (path / "x.wav").write_bytes(b"x")
    for name in ("._a.wav", "Thumbs.db", "desktop.ini", ".DS_Store", "NOTES.TXT", "site.jpg"):
        (folder / name).write_bytes(b"x")
    (folder / "card").symlink_to(outside)
    status, summary = submit(folder)
    assert status == 1
    assert summary["name"] == "tr%EFp"
    assert summary["totals"]["total"] == 0
    assert summary["left_out"] == {
        "hidden": 6, "other": 2, "linked_folders": ["card"], "unreadable_folders": {},
    }  # fmt: skip
    with pytest.raises(SystemExit):
        call_command("submit_folder", folder, user="anna")
    said = capsys.readouterr()
    assert "Left out: hidden or system files and folders: 6." in said.out
    assert "Left out: files that contain no audio: 2." in said.out
    assert "card: The folder is a link" in said.err
    assert "contains no files that can be submitted" in said.err
    assert Batch.objects.get().left_out == 8


@pytest.mark.parametrize(
    ("path", "other"),
    [
        ("a/notes.txt", True),
        ("a/Site.JPG", True),
        ("dawn.wav.json", True),
        ("dawn.wav", False),
        ("clip.mts", False),
        ("clip.ts", False),
        ("rec.unknown", False),
        ("folder.txt/rec", False),
        ("txt", False),
        ("sounds.zip", False),
    ],
)
def test_only_a_known_extension_says_that_a_file_contains_no_audio(path: str, other: bool) -> None:
    assert is_other(path) == other


def test_a_folder_that_cannot_be_read_is_reported(
    anna: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "a.wav").write_bytes(b"x")
    scan = os.scandir

    def locked(path: Any) -> Any:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", locked)
    status, summary = submit(tmp_path)
    assert (status, summary["totals"]["total"]) == (1, 1)
    assert summary["left_out"]["unreadable_folders"] == {"locked": "Permission denied"}


def test_a_path_that_is_too_long_is_reported(anna: User, tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d" * 250] * 4)
    deep.mkdir(parents=True)
    (deep / "a.wav").write_bytes(b"x")
    status, summary = submit(tmp_path)
    assert status == 1
    ((path, problem),) = summary["not_taken"].items()
    assert path.endswith("a.wav")
    assert problem["code"] == "path_too_long"


# --- API ----------------------------------------------------------------------------------


def form(*parts: tuple[bytes, bytes]) -> tuple[bytes, str]:
    """Return a multipart body whose parts have these parameters, and its type."""
    body = b"".join(
        b"--b\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % part for part in parts
    )
    return body + b"--b--\r\n", "multipart/form-data; boundary=b"


@pytest.mark.parametrize(
    ("sent", "name"),
    [(TEXT.encode(), TEXT), (b"K\xe4fer.wav", "K%E4fer.wav"), (b"a\\\\b.wav", "a\\b.wav")],
)
def test_an_uploaded_clip_keeps_its_name(caller: Caller, sent: bytes, name: str) -> None:
    body, kind = form((b'name="file"; filename="%s"' % sent, b"x" * 5000))
    answer = caller.client.post("/api/v1/clips/", body, kind)
    assert answer.status_code == 202, answer.content
    assert caller.get(f"clips/{answer.json()['clip']}/").json()["name"] == name
    client = Client()
    client.force_login(caller.user)
    assert name in client.get(f"/analyses/{answer.json()['analysis']}/").content.decode()
    assert name in client.get("/history/").content.decode()


def test_paths_that_are_not_utf8_stay_different(caller: Caller) -> None:
    batch = batches.create(caller.user, "trip")
    for path in (b"caf\xe9.wav", b"caf\xe8.wav", b"a\\b.wav", b"a/b.wav", b"a\x01.wav"):
        body, kind = form((b'name="path"', path), (b'name="file"; filename="x.wav"', path))
        answer = caller.client.post(f"/api/v1/batches/{batch.pk}/files/", body, kind)
        assert (answer.status_code, answer.json()["known"]) == (202, False)
    assert set(batch.files.values_list("path", flat=True)) == {
        "caf%E9.wav", "caf%E8.wav", "a\\b.wav", "a/b.wav", "a%01.wav",
    }  # fmt: skip
    assert Clip.objects.filter(name="b.wav").count() == 1


def test_other_bytes_at_a_path_are_refused(caller: Caller) -> None:
    batch = f"batches/{batches.create(caller.user, 'trip').pk}/"
    assert caller.send(batch, "a.wav", b"one").status_code == 202
    refused(caller.send(batch, "a.wav", b"two"), 400, "path_used")
    assert caller.send(batch, "./a.wav", b"one").json()["known"]
    hidden = caller.send(batch, "a/.DS_Store", b"x").json()
    assert (hidden["outcome"], hidden["error"]["code"]) == ("refused", "hidden")


@pytest.mark.parametrize("second", ["file", "other"])
def test_two_files_in_one_request_are_refused(caller: Caller, second: str) -> None:
    batch = batches.create(caller.user, "trip")
    for address in ("/api/v1/clips/", f"/api/v1/batches/{batch.pk}/files/"):
        files = form(
            (b'name="file"; filename="a.wav"', b"one"),
            (b'name="%s"; filename="b.wav"' % second.encode(), b"two"),
        )
        refused(caller.client.post(address, *files), 400, "several_files")
    assert not Clip.objects.exists()


def test_a_plain_form_takes_several_files(anna: User) -> None:
    client = Client()
    client.force_login(anna)
    files = [SimpleUploadedFile(f"{n}.wav", b"%d" % n) for n in (1, 2)]
    shown = client.post("/clips/", {"file": files}, headers={"X-Requested-With": "fetch"})
    assert shown.status_code == 202
    assert "1.wav" in shown.content.decode() and "2.wav" in shown.content.decode()


# --- page ---------------------------------------------------------------------------------


def test_the_page_sends_any_path_and_recognises_it(anna: User) -> None:
    client = Client()
    client.force_login(anna)
    address = client.post("/batches/", {"name": "trip"}).json()["url"]
    for encoded, label in (("two%0Alines%25.wav", "two%0Alines%25.wav"), ("50%25.wav", "50%.wav")):
        file = SimpleUploadedFile("x.wav", label.encode())
        sent = client.post(f"{address}files/", {"path": encoded, "file": file})
        assert sent.json()["path"] == label
    known = client.get(f"{address}paths/").json()["paths"]
    assert set(known) == {"two\nlines%.wav", "50%.wav"}


# --- ZIP ----------------------------------------------------------------------------------


def zipped(path: Path, *members: tuple[bytes, bytes], system: int = 0, extra: bytes = b"") -> Path:
    """Write a ZIP whose names are these bytes, without saying what encoding they have."""
    with zipfile.ZipFile(path, "w") as archive:
        for number, (name, data) in enumerate(members):
            info = zipfile.ZipInfo(chr(ord("A") + number) * len(name))
            info.create_system, info.extra = system, extra
            archive.writestr(info, data)
    written = path.read_bytes()
    for number, (name, _) in enumerate(members):
        written = written.replace(bytes([ord("A") + number]) * len(name), name)
    path.write_bytes(written)
    return path


@pytest.mark.parametrize(
    ("names", "encoding", "system", "labels"),
    [
        (["Vögel/Käuzchen.wav", "a-longer-name.wav"], "utf-8", 0, None),
        (["録音/ソナタ.wav", "表.wav"], "cp932", 0, None),
        (["Château/Größe.wav", "Vögel.wav"], "cp437", 0, None),
        (["café.wav", "cafè-2.wav"], "latin-1", 3, ["caf%E9.wav", "caf%E8-2.wav"]),
        (["a\\b.wav", "a/b-2.wav"], "ascii", 0, None),
    ],
)
def test_names_in_a_zip_are_readable(
    anna: User,
    tmp_path: Path,
    names: list[str],
    encoding: str,
    system: int,
    labels: list[str] | None,
) -> None:
    batch = batches.create(anna, "trip")
    members = [(name.encode(encoding), name.encode()) for name in names]
    path = zipped(tmp_path / "x.zip", *members, system=system)
    unpacked = zip_import.take_in(batch, path)
    assert (unpacked.outcomes["accepted"], unpacked.not_taken) == (len(names), [])
    assert set(batch.files.values_list("path", flat=True)) == set(labels or names)


def test_the_unicode_path_of_a_member_is_used(anna: User, tmp_path: Path) -> None:
    batch, raw, name = batches.create(anna, "trip"), b"Z_rich.wav", "Zürich.wav".encode()
    value = struct.pack("<BI", 1, zlib.crc32(raw)) + name
    extra = struct.pack("<HH", 0x7075, len(value)) + value
    zip_import.take_in(batch, zipped(tmp_path / "x.zip", (raw, b"x"), extra=extra))
    assert batch.files.get().path == "Zürich.wav"


def test_two_members_with_one_name_do_not_become_one(anna: User, tmp_path: Path) -> None:
    batch = batches.create(anna, "trip")
    members = [(b"a.wav", b"one"), (b"a.wav", b"two"), (b"a.wav", b"one"), (b".a.wav", b"x")]
    path = zipped(tmp_path / "x.zip", *members)
    for _ in range(2):
        unpacked = zip_import.take_in(batch, path)
        assert (unpacked.outcomes, unpacked.repeated, unpacked.left_out) == (
            {"accepted": 1},
            1,
            [".a.wav"],
        )
        ((name, problem),) = unpacked.not_taken
        assert (name, problem.code) == ("a.wav", "path_used")
    assert batch.files.count() == 1


def test_a_good_member_after_a_refused_one_is_reported(anna: User, tmp_path: Path) -> None:
    batch = batches.create(anna, "trip")
    path = zipped(tmp_path / "x.zip", (b"a.wav", b""), (b"a.wav", b"two"))
    for _ in range(2):
        unpacked = zip_import.take_in(batch, path)
        assert unpacked.outcomes == {"refused": 1}
        assert [(name, why.code) for name, why in unpacked.not_taken] == [("a.wav", "path_used")]
    unpacked = zip_import.take_in(batch, zipped(tmp_path / "y.zip", (b"a.wav", b"two")))
    assert (unpacked.outcomes, unpacked.not_taken) == ({"accepted": 1}, [])
