"""Read forms with files without changing the names of the files.

Django drops a part whose header is not UTF-8, removes characters from file names, and replaces
bytes in fields that are not UTF-8. Here the name of an uploaded file is the label of the name that
was sent, and the field `path` is text as `os.fsdecode` returns it.
"""

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from django.core.files.uploadhandler import (
    FileUploadHandler,
    MemoryFileUploadHandler,
    TemporaryFileUploadHandler,
)
from django.http import QueryDict
from django.http.multipartparser import MultiPartParser
from django.utils.datastructures import MultiValueDict

from ml.file_names import label_of, text_of

# This encoding keeps all bytes, so that they can be decoded again.
BYTES = "latin-1"
BLOCK_BYTES = 1 << 16
# Django refuses longer headers.
MAX_HEADER_BYTES = 1024
# How browsers, curl and requests write these characters in a file name, as HTML prescribes.
_QUOTED = {"%22": '"', "%0D": "\r", "%0A": "\n"}
# In a header, stands for a byte that is not UTF-8. The byte's two hex digits follow.
_MARK = "\0"


class NamedFiles(FileUploadHandler):
    """Parses the form in place of Django. Small files are kept in memory, others on the disk."""

    def handle_raw_input(
        self,
        input_data: Any,
        META: dict[str, Any],
        content_length: int,
        boundary: Any,
        encoding: str | None = None,
    ) -> tuple[QueryDict, MultiValueDict]:
        handlers = [MemoryFileUploadHandler(self.request), _OnDisk(self.request)]
        # Only its method `read` is used.
        body: Any = _Body(input_data, b"--" + boundary)
        fields, files = _Parser(META, body, handlers, BYTES).parse()
        decoded = QueryDict(mutable=True)
        for name, values in fields.lists():
            errors = "surrogateescape" if name == "path" else "replace"
            decoded.setlist(name, [value.encode(BYTES).decode(errors=errors) for value in values])
        decoded._mutable = False
        return decoded, files


class _OnDisk(TemporaryFileUploadHandler):
    """Writes to a file whose name does not end like the uploaded file's, which may be too long."""

    def new_file(self, field_name: str, file_name: str, *facts: Any) -> None:
        super().new_file(field_name, "upload", *facts)
        self.file.name = file_name


class _Parser(MultiPartParser):
    def sanitize_file_name(self, file_name: str) -> str:
        """Return the label of the sent name. Without one, the file is called `unnamed`."""
        sent = file_name.encode(BYTES).decode()
        sent = re.sub("|".join(_QUOTED), lambda quoted: _QUOTED[quoted[0]], sent)
        sent = re.sub(f"{_MARK}([0-9A-F]{{2}})", lambda byte: text_of(bytes.fromhex(byte[1])), sent)
        return label_of(sent).rsplit("/", 1)[-1] or "unnamed"


class _Body:
    """The body of a form, with bytes in headers that are not UTF-8 replaced by marks."""

    def __init__(self, body: BinaryIO, delimiter: bytes) -> None:
        self.blocks = self._marked(body, delimiter)

    def read(self, size: int | None = None) -> bytes:
        """Return the next block, of any size; b"" at the end."""
        return next(filter(None, self.blocks), b"")

    def _marked(self, body: BinaryIO, delimiter: bytes) -> Iterator[bytes]:
        held = b""
        while block := body.read(BLOCK_BYTES):
            held += block
            while (start := held.find(delimiter)) >= 0:
                end = held.find(b"\r\n\r\n", start, start + MAX_HEADER_BYTES)
                if end < 0 and len(held) < start + MAX_HEADER_BYTES:
                    break  # the rest of the header is in the next block
                end = max(end, start + len(delimiter))
                yield held[:start] + _mark(held[start:end])
                held = held[end:]
            else:
                # The end may be the beginning of a delimiter.
                keep = min(len(delimiter), len(held))
                yield held[:-keep]
                held = held[-keep:]
        yield held


def _mark(header: bytes) -> bytes:
    text = text_of(header.replace(b"\0", b""))
    marked = re.sub("[\udc80-\udcff]", lambda byte: f"{_MARK}{ord(byte[0]) - 0xDC00:02X}", text)
    return marked.encode()
