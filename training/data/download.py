"""Download a file over HTTP, and unpack a ZIP file."""

import shutil
import sys
import zipfile
import zlib
from pathlib import Path

import pooch

from training.data.index import DataError

CHUNK_BYTES = 1 << 20
TIMEOUT_S = 60
RETRIES = 3


def download(url: str, target: Path, known_hash: str | None = None) -> None:
    """Download `url` to `target`, unless `target` exists and has the hash.

    The file gets its name once it is complete. A failed download is retried from the beginning.

    Parameters
    ----------
    known_hash : "ALGORITHM:HEX" that the file must have; None: not checked

    Raises
    ------
    DataError
        The address is not HTTP, the download failed, or the hash is another.
    """
    if not url.startswith(("http://", "https://")):
        raise DataError(f"{url} is not an http:// or https:// address.")
    source = pooch.create(
        path=target.parent,
        base_url="",
        registry={target.name: known_hash},
        urls={target.name: url},
        retry_if_failed=RETRIES,
    )
    downloader = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(), chunk_size=CHUNK_BYTES, timeout=TIMEOUT_S
    )
    try:
        source.fetch(target.name, downloader=downloader)
    except OSError as error:  # requests' exceptions are of this kind
        raise DataError(
            f"{url} could not be downloaded: {error}\n"
            "Check the address and the internet connection, and run the command again. You can "
            "also download the file yourself and run: python -m training.prepare FILE.zip"
        ) from error
    except ValueError as error:
        raise DataError(f"The download from {url} was rejected. {error}") from error


def unpack(archive: Path, folder: Path, max_bytes: int) -> None:
    """Unpack a ZIP file into a new `folder`: all of it, or nothing if it fails.

    A single folder that wraps everything else, as in GitHub's archives, is removed. No member is
    written outside of `folder`, whatever its name says.

    Parameters
    ----------
    max_bytes : largest total size of the unpacked files

    Raises
    ------
    DataError
        `folder` exists, or the ZIP file is damaged, empty or too large.
    """
    if folder.exists():
        raise DataError(f"{folder} already exists. Remove it, or choose another --out.")
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as pack:
            # zipfile never writes more of a member than the size that is added up here.
            if sum(member.file_size for member in pack.infolist()) > max_bytes:
                raise DataError(
                    f"{archive.name} unpacks to more than {max_bytes / 1e6:.0f} MB. "
                    "If that is expected, raise --size-limit-mb."
                )
            pack.extractall(partial)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise DataError(
            f"{archive} is not a complete ZIP file ({error}). Remove it and download it again."
        ) from error
    inside = list(partial.iterdir()) if partial.is_dir() else []
    if not inside:
        raise DataError(f"{archive.name} is empty.")
    if len(inside) == 1 and inside[0].is_dir():
        inside[0].replace(folder)
        partial.rmdir()
    else:
        partial.replace(folder)
