"""Labels of file names: text stays, everything else is escaped, and no two labels are equal."""

import itertools

import pytest

from ml.file_names import is_hidden, label_of, original_of, text_of

TEXTS = (
    "Recording at 9.41\N{NARROW NO-BREAK SPACE}AM.wav",
    "no\N{NO-BREAK SPACE}break.wav",
    "録音\N{IDEOGRAPHIC SPACE}2.wav",
    "👩\N{ZERO WIDTH JOINER}🎤 می\N{ZERO WIDTH NON-JOINER}خواهم.flac",
    "Ka\N{COMBINING DIAERESIS}uzchen.wav",
    "Käuzchen.wav",
    " spaces at both ends ",
    "back\\slash.wav",
    "line\N{LINE SEPARATOR}separator.wav",
    "private \ue000 and unassigned \u0378.wav",
    "100%.wav",
    "50%25.wav",
    "a%20b%2Fc.wav",
    "caf%C3%A9.wav",
    "\N{REPLACEMENT CHARACTER}.wav",
)


@pytest.mark.parametrize("name", TEXTS)
def test_text_is_its_own_label(name: str) -> None:
    assert label_of(f"folder/{name}") == f"folder/{name}"
    assert original_of(name) == name


@pytest.mark.parametrize(
    ("name", "label"),
    [
        (b"caf\xe9.wav", "caf%E9.wav"),
        (b"caf%E9.wav", "caf%25E9.wav"),
        (b"caf%25E9.wav", "caf%2525E9.wav"),
        (b"caf%e9.wav", "caf%25e9.wav"),
        (b"100%\xff.wav", "100%25%FF.wav"),
        ("ä".encode() + b"\xc3.wav", "ä%C3.wav"),
        (b"two\nlines\x1b[31m\x7f.wav", "two%0Alines%1B[31m%7F.wav"),
        ("next\x85line.wav".encode(), "next%C2%85line.wav"),
        (b"/../../etc/./passwd", "etc/passwd"),
        (b"a//b/", "a/b"),
        (b"..", ""),
    ],
)
def test_what_is_not_text_is_escaped(name: bytes, label: str) -> None:
    assert label_of(text_of(name)) == label


def test_different_names_have_different_labels() -> None:
    pieces = (b"%", b"25", b"E9", b"\xe9", b"\n", b"0A", b"3", b"a", "é".encode())
    names = {
        b"".join(chosen)
        for size in range(1, 6)
        for chosen in itertools.product(pieces, repeat=size)
    }
    names |= {b"%" * depth + b"3" * depth + b"5E9" for depth in range(1, 30)}
    names |= {b"%" + b"25" * depth + b"E9" for depth in range(1, 30)}
    labels = {label_of(text_of(name)) for name in names}
    assert len(labels) == len(names)
    assert {original_of(label) for label in labels} == {text_of(name) for name in names}
    assert all(label.isprintable() for label in labels)


@pytest.mark.parametrize(
    "path",
    [
        ".git/x.wav",
        "__MACOSX/a.wav",
        "a/._b.wav",
        "a/Thumbs.db",
        "Desktop.ini",
        ".x",
        "$RECYCLE.BIN/a",
    ],
)
def test_hidden_and_system_files_are_recognised(path: str) -> None:
    assert is_hidden(path)
    assert not is_hidden(f"./a/../not{path.replace('/', '.')}")
