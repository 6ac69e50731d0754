"""Import a ZIP as a batch: member by member, with every limit counted in actual bytes.

Member names are only labels; nothing is written under them. An archive inside an archive is a
file like any other: the worker will report that it contains no audio.
"""

import io
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from classifier.models import Batch, FileOutcome
from classifier.services import batches, zip_names
from classifier.services.problems import RequestRefused, refusal
from ml.errors import Problem
from ml.file_names import is_hidden, is_other, label_of

MAX_RATIO = 100
# Silence can exceed any ratio. Files below this size are harmless and always accepted.
HARMLESS_BYTES = 10_000_000
BLOCK_BYTES = 1 << 16
# The directory is read into memory at once; this is enough for 10,000 long names.
_MAX_DIRECTORY_BYTES = 32_000_000
_ENTRY = b"PK\x01\x02"
_ENCRYPTED = 0x1
# Not LZMA: a few bytes can request gigabytes of memory to unpack.
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError,
    NotImplementedError, RuntimeError, OSError, ValueError, OverflowError,
)  # fmt: skip


@dataclass(slots=True)
class Unpacked:
    """The result of importing a ZIP.

    Attributes
    ----------
    outcomes : Counter of str
        Number of members by file outcome.
    left_out : list of str
        Labels of the members that are skipped, because they are hidden or no audio by their names.
    repeated : int
        Number of members with the path and the bytes of an earlier one.
    not_taken : list of tuple of str and Problem
        Path and problem of each member without a row: the path is invalid, or belongs to a file
        with other bytes or to a refused member.
    left_bytes : int
        Unpacked bytes that the limit still allows.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    left_out: list[str] = field(default_factory=list)
    repeated: int = 0
    not_taken: list[tuple[str, Problem]] = field(default_factory=list)
    left_bytes: int = 0


class _TooLarge(RequestRefused):
    """The members together exceed the size limit of a ZIP; no single file is the reason."""

    blames_file = False


def take_in(batch: Batch, path: Path) -> Unpacked:
    """Add every member of the ZIP to the batch; an invalid member becomes a refused row.

    Members added before a limit was reached stay in the batch. If the ZIP is sent again, the import
    continues there.

    Raises
    ------
    RequestRefused
        The file is not a ZIP or is damaged (400), holds too many files or bytes (413), or exceeds
        the owner's quota (429); or the batch accepts no more files (409), or the disk is full
        (507).
    """
    unpacked = Unpacked(left_bytes=settings.MAX_ZIP_BYTES)
    with _Guarded(io.FileIO(path)) as file, _opened(file) as archive:
        members = archive.infolist()
        named = zip(members, zip_names.names_of(members), strict=True)
        files = [(info, name) for info, name in named if not name.endswith("/")]
        wanted = []
        for info, name in files:
            if is_hidden(name) or is_other(name):
                unpacked.left_out.append(label_of(name))
            else:
                wanted.append((info, label_of(name)))
        batches.note_left_out(batch, len(unpacked.left_out))
        if len(wanted) > batches.MAX_FILES:
            raise _too_many()
        taken: dict[str, str] = {}
        for info, label in wanted:
            if taken.get(label) == FileOutcome.REFUSED:
                # Only a later request replaces a refused file.
                unpacked.not_taken.append((label, batches.PATH_USED))
                continue
            try:
                sent = batches.add_file(batch, label, _blocks(archive, info, unpacked))
            except RequestRefused as error:
                if not error.blames_file:
                    raise
                unpacked.not_taken.append((label, error.problem))
                continue
            if label in taken:
                unpacked.repeated += 1
            else:
                unpacked.outcomes[sent.outcome] += 1
            taken[label] = sent.outcome
    return unpacked


class _Guarded(io.BufferedReader):
    """A reader that refuses a central directory too large for memory, before it is parsed.

    zipfile reads the directory in one piece, whatever the end of the file says about it. The check
    is on that read, so it cannot disagree with zipfile about where the directory is or how long.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MAX_DIRECTORY_BYTES:
            raise _too_many()
        data = super().read(size)
        # Folders and hidden files are entries too: the files alone are counted later.
        if data.count(_ENTRY) > 4 * batches.MAX_FILES:
            raise _too_many()
        return data


def _opened(file: _Guarded) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except _DAMAGED as error:
        raise refusal(
            "no_zip",
            "This is not a ZIP file, or it is damaged.",
            "Create the ZIP again, or choose the folder instead.",
        ) from error


def _blocks(archive: zipfile.ZipFile, info: zipfile.ZipInfo, unpacked: Unpacked) -> Iterator[bytes]:
    if info.flag_bits & _ENCRYPTED:
        raise refusal(
            "encrypted",
            "The file is password-protected.",
            "Create the ZIP again without a password.",
        )
    if info.compress_type not in _PACKINGS:
        raise refusal(
            "unsupported",
            "The compression method of the file is not supported.",
            "Create the ZIP with Deflate compression, or send the file on its own.",
        )
    size_bytes = 0
    try:
        with archive.open(info) as member:
            while block := member.read(BLOCK_BYTES):
                size_bytes += len(block)
                unpacked.left_bytes -= len(block)
                if unpacked.left_bytes < 0:
                    raise _too_large()
                if size_bytes > max(HARMLESS_BYTES, MAX_RATIO * info.compress_size):
                    raise refusal(
                        "compressed_too_well",
                        f"The file unpacks to more than {MAX_RATIO} times its compressed size.",
                        "Send the file on its own, not in a ZIP.",
                    )
                yield block
    except _DAMAGED as error:
        raise refusal(
            "damaged",
            "The file in the ZIP is damaged.",
            "Create the ZIP again, or send the file on its own.",
        ) from error


def _too_large() -> _TooLarge:
    problem = Problem(
        "zip_too_large",
        f"The unpacked files exceed {settings.MAX_ZIP_BYTES / 1e9:.0f} GB; "
        "the remaining files were not added.",
        "Split the ZIP into several smaller ones, or choose the folder instead.",
    )
    return _TooLarge(problem, status=413)


def _too_many() -> RequestRefused:
    return refusal(
        "too_many_files",
        f"The ZIP contains more than {batches.MAX_FILES:,} files.",
        "Split the ZIP into several smaller ones and submit each as a separate batch.",
        status=413,
    )
