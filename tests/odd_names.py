"""Folders whose files have every kind of name that a Linux disk can hold."""

import os
from pathlib import Path

ODD_NAMES = (
    b"plain.wav",
    "no\u00a0break.wav".encode(),
    "narrow\u202fno-break.wav".encode(),
    "ideographic\u3000space.wav".encode(),
    "joined 👩\u200d🎤.wav".encode(),
    "می\u200cخواهم.wav".encode(),
    "emoji 🦉🌲.wav".encode(),
    "Käuzchen.wav".encode(),
    "Ka\u0308uzchen.wav".encode(),
    "か\u3099.wav".encode(),
    "が.wav".encode(),
    "録音.wav".encode(),
    "録音.wav".encode("cp932"),
    b"caf\xe9.wav",
    b"caf\xe8.wav",
    b"caf%E9.wav",
    b"caf%25E9.wav",
    b"\xff\xfe%.wav",
    b"100%.wav",
    b"a%20b.wav",
    b"caf%C3%A9.wav",
    b"two\nlines.wav",
    b"two%0Alines.wav",
    b"return\r.wav",
    b"escape\x1b[31m.wav",
    "c1\u0085.wav".encode(),
    b"back\\slash.wav",
    b"back/slash.wav",
    b" spaces ",
    b"quote\"'.wav",
    b"comma, semicolon;.wav",
    b"=formula().wav",
    b"'=formula().wav",
    b"-minus.wav",
    "\u202egpj.wav".encode(),
    "separator\u2028.wav".encode(),
    "private\ue000.wav".encode(),
    "\ufffd.wav".encode(),
    b"&amp;<b>.wav",
)


def folder_of(folder: Path, count: int) -> list[bytes]:
    """Create a folder of different files.

    Returns
    -------
    list of bytes
        The path of each file inside the folder. After the names above, they are in subfolders with
        these names.
    """
    names = []
    for number in range(count):
        turn, index = divmod(number, len(ODD_NAMES))
        name = ODD_NAMES[index]
        if turn:
            name = (
                b"%d " % turn
                + ODD_NAMES[(turn * 7) % len(ODD_NAMES)].replace(b"/", b"")
                + b"/"
                + name
            )
        path = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d " % number + name)
        names.append(name)
    return names
