"""Paths of stored files. Folders are sharded by the first two characters of a name.

clips/ab/<file_key>            the uploaded bytes
analyses/ab/<id>-<token>/      files of one claim of one analysis, some of them early
inspections/ab/<id>-<token>/   files of one claim of one inspection
incoming/                      uploads still arriving, and a worker's unnamed temporary files
"""

import errno
import os
import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO
from uuid import UUID

from django.conf import settings

CLIPS, ANALYSES, INSPECTIONS, INCOMING = "clips", "analyses", "inspections", "incoming"
SPECTROGRAM, STRIP, MAPS = "spectrogram.png", "strip.png", "maps.zip"
PEAKS, PLAYABLE = "peaks.json", "playable.flac"
EXPLANATION = "explanation.zip"
KEPT, REST = "kept.flac", "rest.flac"
SOUNDS = "sounds.zip"
SHEET, CHANNELS, MEAN = "sheet.png", "channels.npy", "mean.npy"
TILE = "tile.png"
FOLDERS_AT_ONCE = 8
FILES_AT_ONCE = 8
# No upload or result is written below this, so that running work has room to finish.
MIN_FREE_BYTES = 8_000_000

# What a file is written from: bytes, or an open temporary file if they would be many.
Content = bytes | IO[bytes]


def root() -> Path:
    return Path(settings.MEDIA_ROOT)


def clip_path(file_key: str) -> Path:
    return root() / CLIPS / file_key[:2] / file_key


def analysis_folder(analysis_id: UUID, token: str) -> Path:
    return root() / ANALYSES / str(analysis_id)[:2] / f"{analysis_id}-{token}"


def inspection_folder(inspection_id: UUID, token: str) -> Path:
    return root() / INSPECTIONS / str(inspection_id)[:2] / f"{inspection_id}-{token}"


def incoming_folder() -> Path:
    """Return the folder for uploads and for a worker's temporary files; create it if necessary."""
    folder = root() / INCOMING
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def incoming_path(file_key: str) -> Path:
    """Return the path for an incoming upload."""
    return incoming_folder() / file_key


def has_room() -> bool:
    """Whether the disk has room for uploads and results."""
    root().mkdir(parents=True, exist_ok=True)
    return shutil.disk_usage(root()).free >= MIN_FREE_BYTES


def is_full(error: OSError) -> bool:
    """Whether the error means that the disk or our quota on it is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def write_all(folder: Path, contents: Mapping[str, Content]) -> None:
    """Write every file into one folder, as `write_folders` does for several."""
    write_folders({folder: contents})


def write_folders(folders: Mapping[Path, Mapping[str, Content]]) -> None:
    """Write every file into its folder and sync it to the disk.

    In parallel, because the disk syncs many files at once in the time of a few.

    Parameters
    ----------
    folders : mapping of Path to mapping of str to bytes or open file
        For each folder, the content of each new file by name. A folder may have other files of
        the same claim. Open files are read from their beginning and closed.

    Raises
    ------
    OSError
        A file cannot be written, or exists; the folders are removed then.
    """
    files = [(folder / name, data) for folder in folders for name, data in folders[folder].items()]
    try:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(FILES_AT_ONCE) as threads:
            list(threads.map(_write, *zip(*files, strict=True)))
    except OSError:
        remove_folders(folders)
        raise


def _write(path: Path, content: Content) -> None:
    with path.open("xb") as file:
        if isinstance(content, bytes):
            file.write(content)
        else:
            with content:
                content.seek(0)
                shutil.copyfileobj(content, file)
        file.flush()
        os.fsync(file.fileno())


def remove_folders(folders: Iterable[Path]) -> None:
    """Remove folders in parallel, because each removal takes a few milliseconds on a busy disk."""
    with ThreadPoolExecutor(FOLDERS_AT_ONCE) as threads:
        list(threads.map(remove_folder, folders))


def remove_folder(folder: Path) -> None:
    # Another process may be removing it too; it must be gone when either of them returns.
    while folder.exists():
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)
