"""Submit a folder as a batch: `manage.py submit_folder DIR --user NAME`.

Run again with the same user, name, folder and checkpoint, it continues the same batch and adds only
new files. Hidden files, files of the operating system and files whose names say that they contain
no audio are left out, and folders behind links are not entered; all are counted. The exit status is
1 if a file was refused, failed, was cancelled or not taken, or if a folder was not entered.
"""

import json
import os
import sys
import time
from argparse import ArgumentParser
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.files import File
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from classifier.models import Batch
from classifier.services import batch_summary, batches, uploads
from classifier.services.dispatch import missing_worker
from classifier.services.problems import RequestRefused
from ml.errors import Problem
from ml.file_names import escaped, is_hidden, is_other, label_of, text_of

BLOCK_BYTES = 1 << 20
POLL_EVERY_S = 1.0


@dataclass(slots=True)
class Listing:
    """The content of a folder.

    Attributes
    ----------
    paths : list of Path
        Paths of the files inside the folder, sorted, without those that are left out.
    hidden : int
        Number of hidden files and folders.
    other : int
        Number of files that are no audio by their names.
    linked : list of str
        Labels of the folders behind links.
    unreadable : dict of str to str
        Label of each folder that cannot be read, and the reason.
    """

    paths: list[Path] = field(default_factory=list)
    hidden: int = 0
    other: int = 0
    linked: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", metavar="DIR", type=Path)
        parser.add_argument("--user", required=True, metavar="NAME", help="owner of the batch")
        parser.add_argument("--name", help="name of the batch (default: the folder's name)")
        parser.add_argument(
            "--checkpoint", default="", help="checkpoint to use, if not the default"
        )
        parser.add_argument("--wait", action="store_true", help="wait until all files are finished")
        parser.add_argument("--close", action="store_true", help="close the batch to new files")
        parser.add_argument("--json", action="store_true", help="print the summary as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        folder: Path = options["folder"].resolve()
        username = User.normalize_username(options["user"])
        owner = User.objects.filter(username=username).first()
        if owner is None:
            raise CommandError(f"User {options['user']} does not exist.")
        if not folder.is_dir():
            raise CommandError(f"{label_at(folder)} is not a folder.")
        found = listing_of(folder)
        if len(found.paths) > batches.MAX_FILES:
            raise CommandError(
                f"{label_at(folder)} contains {len(found.paths):,} files; a batch holds at most "
                f"{batches.MAX_FILES:,}. Submit its subfolders separately."
            )
        try:
            checkpoint = uploads.checkpoint_asked(options["checkpoint"])
        except RequestRefused as error:
            raise CommandError(str(error)) from error
        name = batches.name_of(options["name"] or text_of(os.fsencode(folder.name)))
        batch = batch_for(owner, name, label_at(folder), checkpoint)
        batches.note_left_out(batch, found.hidden + found.other)
        not_taken = submit(batch, folder, found.paths)
        if options["close"]:
            batches.close(batch)
        if options["wait"]:
            wait(batch)
        totals = batches.totals(batch)
        self.report(batch, totals, found, not_taken, as_json=options["json"])
        incomplete = not_taken or found.linked or found.unreadable
        if incomplete or totals.refused or totals.failed or totals.cancelled:
            sys.exit(1)

    def report(
        self,
        batch: Batch,
        totals: batches.Totals,
        found: Listing,
        not_taken: dict[str, Problem],
        *,
        as_json: bool,
    ) -> None:
        if as_json:
            summary = {
                "batch": str(batch.pk),
                "name": batch.name,
                "open": batch.open,
                "totals": totals.as_dict(),
                "labels": {row.label: row.count for row in batch_summary.labels(batch).counts},
                "left_out": {
                    "hidden": found.hidden,
                    "other": found.other,
                    "linked_folders": found.linked,
                    "unreadable_folders": found.unreadable,
                },
                "not_taken": {path: problem.as_dict() for path, problem in not_taken.items()},
            }
            self.stdout.write(json.dumps(summary, ensure_ascii=False))
            return
        counts = f"{totals.total:,} total" + (f", {totals.words}" if totals.words else "")
        self.stdout.write(f"{batch.name}: {counts}. Page: /batches/{batch.pk}/")
        if found.hidden:
            self.stdout.write(f"Left out: hidden or system files and folders: {found.hidden}.")
        if found.other:
            self.stdout.write(f"Left out: files that contain no audio: {found.other}.")
        for path in found.linked:
            self.stderr.write(
                f"{path}: The folder is a link, so its files were left out. Submit it separately."
            )
        for path, reason in found.unreadable.items():
            self.stderr.write(f"{path}: The folder cannot be read: {reason}.")
        if not found.paths:
            self.stderr.write("The folder contains no files that can be submitted.")
        for path, problem in not_taken.items():
            self.stderr.write(f"{path}: {problem}")
        for file in batch.files.with_problems():
            self.stderr.write(f"{file.path}: {file.error}")


def label_at(path: Path) -> str:
    """Return an absolute path as a label."""
    return escaped(text_of(os.fsencode(path)))


def label_in(path: Path) -> str:
    """Return the label of a path inside a folder."""
    return label_of(text_of(os.fsencode(path.as_posix())))


def listing_of(folder: Path) -> Listing:
    """List a folder at any depth. Folders behind links are not entered, because links may loop."""
    found = Listing()

    def note(error: OSError) -> None:
        path = Path(error.filename).relative_to(folder)
        found.unreadable[label_in(path) or "."] = error.strerror or str(error)

    for root, folders, names in os.walk(folder, onerror=note):
        inside = Path(root).relative_to(folder)
        found.hidden += sum(map(is_hidden, [*folders, *names]))
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        found.linked += [
            label_in(inside / name) for name in folders if Path(root, name).is_symlink()
        ]
        seen = [name for name in sorted(names) if not is_hidden(name)]
        taken = [name for name in seen if not is_other(name)]
        found.other += len(seen) - len(taken)
        found.paths += [inside / name for name in taken]
    return found


def batch_for(owner: User, name: str, source: str, checkpoint: str) -> Batch:
    """Return the open batch with that name, folder and checkpoint, or create one."""
    mine = Batch.objects.for_owner(owner).filter(
        name=name, source=source, checkpoint=checkpoint, closed_at=None
    )
    return mine.first() or batches.create(owner, name, source, checkpoint)


def submit(batch: Batch, folder: Path, paths: list[Path]) -> dict[str, Problem]:
    """Add files to the batch; return the problem of each file for which there is no row.

    Files of an earlier run are read again, because their content may have changed.
    """
    not_taken = {}
    for path in tqdm(paths, unit="file", desc="sent"):
        label = label_in(path)
        if problem := take_in(batch, label, folder / path):
            not_taken[label] = problem
    return not_taken


def take_in(batch: Batch, path: str, file: Path) -> Problem | None:
    """Add a file to the batch; a file that cannot be read or accepted is refused.

    Returns
    -------
    Problem or None
        The problem of a file for which no row can be created.

    Raises
    ------
    CommandError
        The file is not the reason: the batch is closed, a quota is exceeded or the disk is full.
    """
    try:
        # Reading a pipe or a device might never end.
        if not file.is_file():
            raise OSError("it is not a regular file")
        with file.open("rb") as content:
            batches.add_file(batch, path, File(content).chunks(BLOCK_BYTES))
    except OSError as error:
        detail = f"The file cannot be read: {error.strerror or error}."
        hint = "Check that the file still exists and that you have permission to read it."
        return refuse(batch, path, Problem("unreadable", detail, hint))
    except RequestRefused as error:
        if not error.blames_file:
            raise CommandError(str(error)) from error
        return error.problem
    return None


def refuse(batch: Batch, path: str, problem: Problem) -> Problem | None:
    """Add a row for a refused file; return its problem if no row can be created."""
    try:
        batches.refuse(batch, path, problem)
    except RequestRefused as error:
        if not error.blames_file:
            raise CommandError(str(error)) from error
        return problem
    return None


def wait(batch: Batch) -> None:
    """Wait until no file is unfinished. If no worker is responding, report it and keep waiting."""
    totals, reported = batches.totals(batch), None
    with tqdm(total=totals.total, initial=totals.finished, unit="file", desc="finished") as bar:
        while totals.unfinished:
            time.sleep(POLL_EVERY_S)
            totals = batches.totals(batch)
            bar.update(totals.finished - bar.n)
            notice = missing_worker(totals.unfinished, batch.created_at)
            if notice and notice != reported:
                tqdm.write(str(notice), file=sys.stderr)
            reported = notice
