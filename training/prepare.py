"""Prepare sounds for training: `python -m training.prepare [FOLDER | FILE.zip | FILE.csv]`.

Without an argument, ESC-50 is downloaded. Every file is decoded as in training, and those that
cannot be decoded are listed with the reason. The exit status is 1 if there is any problem.

Of an export of checked sounds, the parts of recordings are cut out first. With --unlabelled, sounds
without labels are selected for distillation instead.
"""

import argparse
import csv
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from ml.audio.decode import read
from ml.checkpoint_info import FeatureConfig
from ml.errors import AudioError
from training.config import PREPARED, esc50_dir
from training.data import download
from training.data.folds import shared_sources
from training.data.index import (
    DataError,
    Example,
    checked_table,
    class_names,
    describe,
    fold_numbers,
    is_esc50,
    read_index,
    read_unlabelled,
)
from training.data.parts import cut
from training.data.selection import Reason, Selection, select

ESC50_URL = "https://github.com/karoldvl/ESC-50/archive/master.zip"
ESC50_LICENCE = (
    "ESC-50 is licensed under CC BY-NC 3.0. The sounds, and weights trained on them, may not be "
    "used commercially."
)
MAX_NAMED = 40


@dataclass(frozen=True, slots=True)
class Checked:
    """The check of one file: its duration, or why it cannot be used.

    Attributes
    ----------
    problem : "" if the file can be used
    """

    example: Example
    duration_s: float
    problem: str


def check_file(example: Example) -> Checked:
    """Decode one file as training will."""
    if not example.path.is_file():
        return Checked(
            example, 0.0, "The file does not exist. Add it, or remove its row from the CSV file."
        )
    try:
        sound = read(example.path, FeatureConfig().sample_rate)
    except AudioError as error:
        return Checked(example, 0.0, str(error))
    except OSError as error:
        return Checked(example, 0.0, f"The file cannot be opened: {error.strerror}.")
    return Checked(example, sound.duration_s, "")


def check(examples: Sequence[Example]) -> list[Checked]:
    """Check all files in threads, in the order of `examples`."""
    with ThreadPoolExecutor() as pool:
        checked = pool.map(check_file, examples)
        return list(tqdm(checked, "checking", len(examples), unit="clip", disable=None))


def problems(checked: Sequence[Checked], data: Path) -> Iterator[str]:
    """Yield a line for each problem of the data."""
    for one in checked:
        if one.problem:
            path = one.example.path
            name = path.relative_to(data) if path.is_relative_to(data) else path
            yield f"{name}: {one.problem}"
    if is_esc50(data):  # its published folds stay, so that results can be compared
        return
    for source, folds in _shared(checked).items():
        where = " and ".join(map(str, folds))
        yield (
            f"Clips of source {source} are in folds {where}. All clips of one recording must be in "
            "the same fold, so that the test fold contains no training data. "
            "Correct the fold column."
        )


def _shared(checked: Sequence[Checked]) -> dict[str, list[int]]:
    examples = [one.example for one in checked]
    return shared_sources([e.source for e in examples], [e.fold for e in examples])


def remarks(checked: Sequence[Checked], data: Path) -> Iterator[str]:
    """Yield a line for each fact worth knowing that is not a problem."""
    if is_esc50(data) and (shared := _shared(checked)):
        yield (
            f"In ESC-50 as published, clips of {len(shared)} recordings are in two folds "
            f"(sources {', '.join(shared)})."
        )
    examples = [one.example for one in checked]
    window_s = FeatureConfig().window_s
    lengths = [one.duration_s for one in checked if not one.problem]
    short = sum(length < window_s - 0.01 for length in lengths)
    long = sum(length >= 1.5 * window_s for length in lengths)
    if short:
        yield f"Clips shorter than {window_s:g} s, which are padded with silence: {short}."
    if long:
        yield f"Clips cut into windows of {window_s:g} s, which share a fold: {long}."
    folds: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for example in examples:
        folds[example.label][example.fold] += 1
    every = fold_numbers(examples)
    lacking = [label for label in class_names(examples) if len(folds[label]) < len(every)]
    if lacking:
        yield (
            f"Classes without clips in some folds: {len(lacking)} "
            f"({', '.join(lacking[:8])}{' …' if len(lacking) > 8 else ''})."
        )


def write_csv(examples: Sequence[Example], file: Path) -> None:
    """Write the clips and their folds to a CSV file that training can read."""
    with file.open("w", newline="", encoding="utf-8") as target:
        table = csv.writer(target)
        table.writerow(["filename", "category", "fold", "source"])
        for example in examples:
            name = _name_in_csv(example.path, file)
            table.writerow([name, example.label, example.fold, example.source])


def _name_in_csv(path: Path, file: Path) -> str:
    """Return the path relative to the CSV file's folder, or an absolute one outside it."""
    path, folder = path.resolve(), file.resolve().parent
    return (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()


def fetch(url: str, out: Path, max_bytes: int, known_hash: str | None = None) -> Path:
    """Download the ZIP file at `url` and unpack it into `out`, unless `out` exists.

    Parameters
    ----------
    max_bytes : largest total size of the unpacked files
    known_hash : "ALGORITHM:HEX" that the ZIP file must have; None: not checked

    Raises
    ------
    DataError
        The download or the ZIP file failed.
    """
    if out.exists():
        print(f"{out} already exists; nothing is downloaded.")
        return out
    if url == ESC50_URL:
        print(ESC50_LICENCE)
    archive = out.with_name(out.name + ".zip")
    download.download(url, archive, known_hash)
    download.unpack(archive, out, max_bytes)
    archive.unlink()
    return out


def prepare(options: argparse.Namespace) -> Path:
    """Return the folder or CSV file that holds the data, downloaded or unpacked if necessary.

    Raises
    ------
    DataError
        The download or the ZIP file failed.
    """
    max_bytes = options.size_limit_mb * 1_000_000
    source: Path | None = options.source
    if source is None:
        return fetch(options.url, options.out, max_bytes, options.hash)
    if source.suffix.lower() == ".zip":
        download.unpack(source, options.out, max_bytes)
        return options.out
    return source


def prepare_unlabelled(source: Path, file: Path | None) -> int:
    """Select sounds without labels, and return the exit status.

    Parameters
    ----------
    source : a folder, or a CSV file with the column filename
    file : CSV file that lists the accepted sounds, for training; None: only report

    Raises
    ------
    DataError
        There are no sounds, or ESC-50 cannot be read.
    """
    files = read_unlabelled(source)
    data = esc50_dir()
    known = read_index(data) if data else []
    if known:
        print(f"{data}: {describe(known)}")
    selection = select(files, known)
    for line in _described(selection, source):
        print(line)
    print(f"Accepted: {len(selection.accepted):,} of {len(files):,} sounds, "
          f"{selection.duration_s / 60:.0f} minutes.")  # fmt: skip
    if not known:
        print(
            "ESC-50 is not installed, so the sounds were not compared with it, and an accuracy on "
            "it may be too high. Run `python -m training.prepare` or set ESC50_DIR first.",
            file=sys.stderr,
        )
    if file and selection.accepted:
        with file.open("w", newline="", encoding="utf-8") as target:
            table = csv.writer(target)
            table.writerow(["filename"])
            table.writerows([_name_in_csv(path, file)] for path in selection.accepted)
        print(f"Train with: python -m training.train --teacher FILE.onnx --unlabelled {file}")
    return 0 if selection.accepted else 1


def _described(selection: Selection, source: Path) -> Iterator[str]:
    """Yield lines that count the sounds that are left out by reason, and name them."""
    for reason in Reason:
        of_reason = [one for one in selection.left_out if one.reason == reason]
        if of_reason:
            yield f"Left out, {reason}: {len(of_reason):,}"
        for one in of_reason[:MAX_NAMED]:
            name = one.path.relative_to(source) if one.path.is_relative_to(source) else one.path
            yield f"  {name}{': ' if one.detail else ''}{one.detail}"
        if len(of_reason) > MAX_NAMED:
            yield f"  … and {len(of_reason) - MAX_NAMED:,} more."


def main(argv: list[str] | None = None) -> int:
    """Prepare and check the data; return the exit status, 1 if there is a problem."""
    parser = argparse.ArgumentParser(prog="python -m training.prepare", description=__doc__)
    parser.add_argument("source", type=Path, nargs="?", help="default: download ESC-50")
    parser.add_argument("--url", default=ESC50_URL, help="address of the ZIP to download")
    parser.add_argument("--out", type=Path, default=PREPARED, help="folder to unpack a ZIP into")
    parser.add_argument("--hash", metavar="sha256:HEX", help="expected hash of the downloaded ZIP")
    what = "maximum total size of the unpacked files, in MB"
    parser.add_argument("--size-limit-mb", type=int, default=8000, help=what)
    parser.add_argument("--write-csv", type=Path, metavar="FILE", help="write the folds to FILE")
    what = "select sounds without labels; with --write-csv, list them in FILE"
    parser.add_argument("--unlabelled", type=Path, metavar="PATH", help=what)
    options = parser.parse_args(argv)
    if options.unlabelled and options.source:
        parser.error("--unlabelled names the sounds itself; remove the other folder or file")
    try:
        if options.unlabelled:
            return prepare_unlabelled(options.unlabelled, options.write_csv)
        data = prepare(options)
        if table := checked_table(data):
            cut(table)
        examples = read_index(data)
    except DataError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{data}: {describe(examples)}")
    checked = check(examples)
    for remark in remarks(checked, data):
        print(remark)
    wrong = list(problems(checked, data))
    for line in wrong[:MAX_NAMED]:
        print(line, file=sys.stderr)
    if wrong:
        more = len(wrong) - MAX_NAMED
        rest = f"… and {more} more. " if more > 0 else ""
        print(f"{rest}Problems: {len(wrong)}.", file=sys.stderr)
        return 1
    if options.write_csv:
        write_csv(examples, options.write_csv)
        data = options.write_csv
    print(f"All clips can be decoded. Train with: python -m training.train --data {data}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
