"""Names of files as labels, and which files of a folder are left out.

A name is text as `os.fsdecode` returns it: bytes that are not UTF-8 are surrogate escapes. A label
is what is stored, shown and exported. Different names have different labels:

- Text stays as it is: spaces of every kind, joiners, emoji, composed and decomposed accents, and
  the backslash. Only `/` separates folders.
- A byte that is not UTF-8, and a control character, become `%` and two hex digits per byte.
- `%` becomes `%25` in names with such escapes, and in names that look like one that has them.
"""

import re
from urllib.parse import unquote

# Created by Windows and macOS, in lower case. Other such files start with a dot.
SYSTEM_NAMES = frozenset(
    {
        "__macosx",
        "$recycle.bin",
        "desktop.ini",
        "ehthumbs.db",
        "system volume information",
        "thumbs.db",
    }
)
# Extensions, in lower case, of files that contain no audio: texts, tables, pictures, programs, and
# what audio editors write beside sounds. Without those that a sound could have, such as "ts", "raw"
# or "tmp", and without archives, which may contain sounds.
OTHER_EXTENSIONS = frozenset((
    "txt", "md", "rst", "rtf", "log", "nfo", "pdf", "doc", "docx", "odt", "ppt", "pptx", "odp",
    "xls", "xlsx", "ods", "csv", "tsv", "json", "jsonl", "xml", "html", "htm", "css", "js",
    "yaml", "yml", "toml", "ini", "cfg", "conf", "srt", "vtt", "lrc", "cue", "m3u", "m3u8", "pls",
    "textgrid", "eaf", "jams", "jpg", "jpeg", "png", "gif", "bmp", "tif", "tiff", "webp", "heic",
    "heif", "svg", "ico", "psd", "cr2", "nef", "arw", "dng", "db", "sqlite", "parquet", "npy",
    "npz", "kml", "kmz", "gpx", "geojson", "exe", "dll", "py", "ipynb", "lnk", "url",
    "sfk", "pkf", "reapeaks", "md5", "sha1", "sha256", "sfv",
))  # fmt: skip
_NOT_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\udc80-\udcff]")
# A name that is still escaped after this many rounds of unescaping counts as escaped.
_MAX_ROUNDS = 8


def text_of(name: bytes) -> str:
    """Return a name as text, like `os.fsdecode` on a system that uses UTF-8."""
    return name.decode(errors="surrogateescape")


def label_of(path: str) -> str:
    """Return the label of a name or of a path in a folder, without its parts `.` and `..`.

    `original_of` is the inverse. "" means that the path has no other parts.
    """
    return escaped("/".join(part for part in path.split("/") if part not in ("", ".", "..")))


def escaped(name: str) -> str:
    """Return a name with everything escaped that is not text."""
    if _NOT_TEXT.search(name) or _is_escaped(name):
        return _NOT_TEXT.sub(_escape, name.replace("%", "%25"))
    return name


def original_of(label: str) -> str:
    """Return the name or the path with this label."""
    return _unescaped(label) if _is_escaped(label) else label


def folder_of(path: str) -> str:
    """Return the folder of a path, without a final slash; "" if it has none."""
    return path.rpartition("/")[0]


def is_hidden(path: str) -> bool:
    """Whether the path is hidden or was created by the operating system, not by the user."""
    parts = [part for part in path.split("/") if part not in (".", "..")]
    return any(part.startswith(".") or part.lower() in SYSTEM_NAMES for part in parts)


def is_other(path: str) -> bool:
    """Whether the extension says that the file contains no audio.

    An unknown extension does not: such a file may be a sound.
    """
    stem, dot, extension = path.rpartition("/")[2].rpartition(".")
    return bool(stem and dot) and extension.lower() in OTHER_EXTENSIONS


def _is_escaped(text: str) -> bool:
    """Whether unescaping the text, perhaps repeatedly, returns something that is not text.

    Repeatedly, so that an escaped name differs from every name that looks like it.
    """
    for _ in range(_MAX_ROUNDS):
        plain = _unescaped(text)
        if _NOT_TEXT.search(plain):
            return True
        if plain == text:
            return False
        text = plain
    return True


def _unescaped(text: str) -> str:
    return unquote(text, errors="surrogateescape")


def _escape(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode(errors="surrogateescape"))
