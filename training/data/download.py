"""Download a file over HTTP, and unpack a ZIP file."""

import shutil
import stat
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path, PurePosixPath

from training.data.index import DataError

BLOCK_BYTES = 1 << 20
TIMEOUT_S = 60


def download(
    url: str, target: Path, most_bytes: int, on_bytes: Callable[[int, int | None], None]
) -> None:
    """Stream `url` to `target`, which only ever exists complete.

    An interrupted download stays as `target`.part, and the next call continues it if the server
    supports ranges.

    Parameters
    ----------
    most_bytes : largest size that is accepted
    on_bytes : called after each block with the bytes so far and the total, None if unknown

    Raises
    ------
    DataError
        The address is not HTTP, the file is too large, or the download failed.
    """
    if not url.startswith(("http://", "https://")):
        raise DataError(f"{url} is no http:// or https:// address.")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "sonoscope-training"})  # noqa: S310 - checked above
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            if answer.status != 206:
                have = 0
            length = answer.headers.get("Content-Length")
            total = have + int(length) if length else None
            if total and total > most_bytes:
                raise _too_large(url, most_bytes)
            with part.open("ab" if have else "wb") as file:
                while block := answer.read(BLOCK_BYTES):
                    have += len(block)
                    if have > most_bytes:
                        raise _too_large(url, most_bytes)
                    file.write(block)
                    on_bytes(have, total)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # what is here is not the start of what is there
            part.unlink(missing_ok=True)
            return download(url, target, most_bytes, on_bytes)
        raise DataError(f"{url} answered {error.code} {error.reason}.") from error
    except (OSError, HTTPException) as error:
        raise DataError(
            f"The download from {url} broke off after {have / 1e6:.0f} MB ({error}). "
            "Start it again: it goes on from there if the server lets it."
        ) from error
    if total is not None and have < total:
        raise DataError(
            f"The download from {url} broke off after {have / 1e6:.0f} of {total / 1e6:.0f} MB. "
            "Start it again: it goes on from there if the server lets it."
        )
    part.replace(target)
    return None


def _too_large(url: str, most_bytes: int) -> DataError:
    return DataError(
        f"{url} holds more than {most_bytes / 1e6:.0f} MB. If that is right, allow more with "
        "--size-limit-mb."
    )


def unpack(archive: Path, folder: Path, most_bytes: int) -> None:
    """Unpack a ZIP file into a new `folder`: all of it, or nothing if it fails.

    A single folder that wraps everything else, as in GitHub's archives, is removed.

    Parameters
    ----------
    most_bytes : largest total size of the unpacked files

    Raises
    ------
    DataError
        `folder` exists, or the ZIP file is broken, empty, too large or unsafe.
    """
    if folder.exists():
        raise DataError(f"{folder} is there already: remove it, or choose another --out.")
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as pack:
            left = most_bytes
            for member in pack.infolist():
                left -= _extract(pack, member, partial, left)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise DataError(
            f"{archive.name} is no whole ZIP file ({error}). Remove it and fetch it again."
        ) from error
    except DataError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    inside = list(partial.iterdir()) if partial.is_dir() else []
    if not inside:
        raise DataError(f"{archive.name} holds nothing.")
    if len(inside) == 1 and inside[0].is_dir():
        inside[0].replace(folder)
        partial.rmdir()
    else:
        partial.replace(folder)


def _extract(pack: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, left: int) -> int:
    """Write one member below `folder` and return its size, counted while unpacking."""
    name = PurePosixPath(member.filename)
    link = stat.S_ISLNK(member.external_attr >> 16)
    if name.is_absolute() or ".." in name.parts or "\\" in member.filename or link:
        raise DataError(f"The ZIP file wants to write outside its folder: {member.filename!r}.")
    target = folder / name
    if member.is_dir() or not name.parts:
        target.mkdir(parents=True, exist_ok=True)
        return 0
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with pack.open(member) as source, target.open("wb") as file:
        while block := source.read(BLOCK_BYTES):
            written += len(block)
            if written > left:
                raise DataError("The ZIP file unpacks to more than --size-limit-mb allows.")
            file.write(block)
    return written
