"""The index of sounds on disk: either edition of ESC-50, other data, or sounds without labels."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml.file_names import escaped, is_hidden
from training.data.csv_table import DataError, read_rows
from training.data.folds import Piece, by_source

# fold-source-take-target, as ESC-50 names its clips.
ESC50_NAME = re.compile(r"([1-9])-(\d+)-([A-Z]+)-(\d+)\.\w+")
# Files with these suffixes in a folder of sounds are ignored.
IGNORED_SUFFIXES = {".csv", ".txt", ".md", ".json", ".yaml", ".yml", ".ini", ".pdf", ".html"}


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled file. `source` names the recording that it was cut from."""

    path: Path
    fold: int
    label: str
    source: str


@dataclass(frozen=True, slots=True)
class _Row:
    """One file as found on disk. Without a source, the file is its own recording."""

    path: Path
    label: str
    fold: int | None
    source: str


def is_esc50(data: Path) -> bool:
    """Return whether the folder has ESC-50's layout."""
    return (data / "meta" / "esc50.csv").is_file()


def checked_table(data: Path) -> Path | None:
    """Return the table of an export of checked sounds, None for other data."""
    table = data / "meta" / "sounds.csv"
    return table if table.is_file() else None


def audio_folder(table: Path) -> Path:
    """Return the folder with the sounds of a table that lies in a folder of its own, `meta`."""
    return table.parent.parent / "audio"


def name_of(data: Path) -> str:
    return "ESC-50" if is_esc50(data) else data.stem


def read_index(data: Path) -> list[Example]:
    """Return the labelled files of a data set, with their folds.

    ESC-50 keeps its own order and folds; other data is in the order of its rows or names.

    Parameters
    ----------
    data : ESC-50's folder (Ogg or WAV), an export of checked sounds from the web application, a
        CSV file, or a folder with one folder per class

    Raises
    ------
    DataError
        There is no data, it has fewer than two classes, or a row is invalid.
    """
    if is_esc50(data):
        rows = list(_csv_rows(data / "meta" / "esc50.csv", data / "audio"))
    elif table := checked_table(data):
        _check_cut(table)
        rows = list(_csv_rows(table, audio_folder(table)))
    elif data.is_file() and data.suffix.lower() == ".csv":
        rows = list(_csv_rows(data, data.parent))
    elif data.is_dir():
        rows = list(_folder_rows(data))
    else:
        raise DataError(f"{data} is neither a folder nor a CSV file.")
    if len({row.label for row in rows}) < 2:
        raise DataError(
            f"{data} contains fewer than two classes. Use a folder with one folder of sounds per "
            "class, or a CSV file with the columns filename and category."
        )
    return _with_folds(rows)


def _csv_rows(table: Path, sounds: Path) -> Iterator[_Row]:
    """Yield the rows of a CSV file: filename, category, and fold and source if there are any.

    ESC-50 calls the source src_file.
    """
    for row in read_rows(table, "filename", "category"):
        name, label, fold = row.cells["filename"], row.cells["category"], row.cells.get("fold", "")
        if not name or not label:
            raise DataError(f"{row.where}: filename and category must not be empty.")
        if fold and not (fold.isdecimal() and int(fold) > 0):
            raise DataError(
                f"{row.where}: the fold is {fold!r}; it must be a whole number of at least 1."
            )
        source = row.cells.get("source") or row.cells.get("src_file", "")
        yield _row(sounds, name, label, int(fold) if fold else None, source)


def _check_cut(table: Path) -> None:
    """Raise DataError if a row is a part of a recording, which `parts.cut` cuts out."""
    for row in read_rows(table):
        if row.cells.get("start_s"):
            raise DataError(
                f"{row.where}: this is a part of a recording that was not cut out. Run "
                f"python -m training.prepare {table.parent.parent}"
            )


def _folder_rows(data: Path) -> Iterator[_Row]:
    """`class/sound.wav`, or `class/recording/piece.wav` for several pieces of one recording."""
    folders = (path for path in data.iterdir() if path.is_dir() and not is_hidden(path.name))
    for folder in sorted(folders):
        for path in sounds_in(folder):
            inside = path.relative_to(folder)
            source = f"{folder.name}/{inside.parts[0]}" if len(inside.parts) > 1 else ""
            yield _row(data, path.relative_to(data).as_posix(), folder.name, None, source)


def sounds_in(folder: Path) -> Iterator[Path]:
    """Yield the files at any depth, sorted, without hidden ones and those that are no sounds.

    Raises
    ------
    DataError
        A name is not UTF-8, so that no CSV file could list the sound.
    """
    for path in sorted(folder.rglob("*")):
        inside = str(path.relative_to(folder))
        if not path.is_file() or is_hidden(inside) or path.suffix.lower() in IGNORED_SUFFIXES:
            continue
        if not _is_utf8(inside):
            raise DataError(f"{escaped(inside)}: the file name is not in UTF-8. Rename the file.")
        yield path


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_unlabelled(source: Path) -> tuple[Path, ...]:
    """Return the files of sounds without labels.

    Parameters
    ----------
    source : a folder, or a CSV file with the column filename, relative to its own folder

    Raises
    ------
    DataError
        There are no sounds, or a file does not exist.
    """
    if source.is_dir():
        files = tuple(sounds_in(source))
    elif source.is_file() and source.suffix.lower() == ".csv":
        files = tuple(_listed(source))
    else:
        raise DataError(f"{source} is neither a folder nor a CSV file.")
    if not files:
        raise DataError(f"{source} contains no sounds.")
    return files


def _listed(table: Path) -> Iterator[Path]:
    for row in read_rows(table, "filename"):
        path = table.parent / row.cells["filename"]
        if not path.is_file():
            raise DataError(f"{row.where}: {path} does not exist.")
        yield path


def _row(sounds: Path, name: str, label: str, fold: int | None, source: str) -> _Row:
    """Fill in a missing fold or source from a file name in ESC-50's format."""
    match = ESC50_NAME.fullmatch(Path(name).name)
    if match:
        fold, source = fold or int(match[1]), source or match[2]
    return _Row(sounds / name, label, fold, source or name)


def _with_folds(rows: Sequence[_Row]) -> list[Example]:
    """Return examples with the given folds, or with folds by source if there are none.

    Raises DataError if only some rows have a fold.
    """
    given = [row.fold for row in rows if row.fold is not None]
    if given and len(given) < len(rows):
        lost = next(row for row in rows if row.fold is None)
        raise DataError(
            f"{len(given)} of {len(rows)} clips have a fold, but {lost.path.name} has none. "
            "Assign a fold to every clip or to none of them."
        )
    folds = given or by_source([Piece(row.source, row.label) for row in rows])
    return [
        Example(row.path, fold, row.label, row.source)
        for row, fold in zip(rows, folds, strict=True)
    ]


def class_names(examples: Sequence[Example]) -> tuple[str, ...]:
    return tuple(sorted({example.label for example in examples}))


def fold_numbers(examples: Sequence[Example]) -> tuple[int, ...]:
    return tuple(sorted({example.fold for example in examples}))


def fingerprint(examples: Sequence[Example]) -> str:
    """Return 12 hex digits that identify the clips, labels and folds.

    They do not depend on where the files are.
    """
    listed = "\n".join(f"{e.path.name} {e.fold} {e.label}" for e in examples)
    return hashlib.sha256(listed.encode()).hexdigest()[:12]


def fingerprint_of_files(files: Sequence[Path]) -> str:
    """Return 12 hex digits that identify files by their names and sizes, "" for no files."""
    if not files:
        return ""
    listed = "\n".join(f"{path.name} {path.stat().st_size}" for path in files)
    return hashlib.sha256(listed.encode()).hexdigest()[:12]


def describe(examples: Sequence[Example]) -> str:
    """Return a one-line summary."""
    folds = Counter(example.fold for example in examples)
    each = ", ".join(f"{fold}: {folds[fold]}" for fold in sorted(folds))
    return f"{len(examples)} clips in {len(class_names(examples))} classes; folds {each}"
