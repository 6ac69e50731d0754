"""Decode the names in a ZIP, most of which say nothing about their encoding."""

import re
import struct
import zipfile
import zlib
from collections.abc import Sequence

from ml.file_names import text_of

_IS_UTF8 = 0x800
_MADE_ON_DOS = 0
# An extra field with the name in UTF-8, written by Info-ZIP and WinZip (APPNOTE.TXT, 4.6.9).
_UNICODE_PATH = 0x7075
# One such character can be a European letter read as Shift-JIS; two in a row are Japanese.
_JAPANESE = re.compile("[\u3040-\u30ff\u3400-\u9fff]{2}")


def names_of(members: Sequence[zipfile.ZipInfo]) -> list[str]:
    """Return the names of the members, with surrogate escapes where they are not text.

    A name is in UTF-8 if the ZIP says so or if it is valid UTF-8. The others are in Shift-JIS if
    all of them are valid and one looks Japanese. Otherwise, names from DOS and Windows are in
    code page 437, as the format prescribes, and those from other systems keep their bytes.
    """
    names = [_utf8_name(info) for info in members]
    others = [_raw(info) for info, name in zip(members, names, strict=True) if name is None]
    japanese = _are_japanese(others)
    return [
        _legacy_name(info, japanese) if name is None else name
        for info, name in zip(members, names, strict=True)
    ]


def _raw(info: zipfile.ZipInfo) -> bytes:
    """Return the bytes of a name that zipfile decoded from code page 437."""
    return info.orig_filename.encode("cp437")


def _utf8_name(info: zipfile.ZipInfo) -> str | None:
    if info.flag_bits & _IS_UTF8:
        return info.orig_filename
    raw = _raw(info)
    try:
        return (_unicode_path(info.extra, raw) or raw).decode()
    except UnicodeDecodeError:
        return None


def _unicode_path(extra: bytes, raw: bytes) -> bytes | None:
    """Return the name in the extra field, if it belongs to the name `raw`."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        value, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and value[:5] == struct.pack("<BI", 1, zlib.crc32(raw)):
            return value[5:]
    return None


def _are_japanese(names: Sequence[bytes]) -> bool:
    try:
        decoded = [name.decode("cp932") for name in names]
    except UnicodeDecodeError:
        return False
    return any(map(_JAPANESE.search, decoded))


def _legacy_name(info: zipfile.ZipInfo, japanese: bool) -> str:
    if japanese:
        return _raw(info).decode("cp932")
    return info.orig_filename if info.create_system == _MADE_ON_DOS else text_of(_raw(info))
