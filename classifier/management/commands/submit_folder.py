"""Submit a folder as a batch: `manage.py submit_folder DIR --user NAME`.

Run again with the same user, name, folder and checkpoint, it continues the same batch and adds only
new files. The exit status is 1 if a file was refused, failed or cancelled.
"""

import json
import os
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.files import File
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from classifier.models import Batch
from classifier.services import batches, uploads
from classifier.services.dispatch import missing_worker
from classifier.services.problems import RequestRefused
from ml.errors import Problem

BLOCK_BYTES = 1 << 20
POLL_EVERY_S = 1.0


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
        owner = User.objects.filter(username=options["user"]).first()
        if owner is None:
            raise CommandError(f"User {options['user']} does not exist.")
        if not folder.is_dir():
            raise CommandError(f"{folder} is not a folder.")
        paths = list(files_in(folder))
        if len(paths) > batches.MAX_FILES:
            raise CommandError(
                f"{folder} contains {len(paths):,} files; a batch holds at most "
                f"{batches.MAX_FILES:,}. Submit its subfolders separately."
            )
        try:
            checkpoint = uploads.checkpoint_asked(options["checkpoint"])
        except RequestRefused as error:
            raise CommandError(str(error)) from error
        batch = batch_for(owner, options["name"] or folder.name, str(folder), checkpoint)
        submit(batch, folder, paths)
        if options["close"]:
            batches.close(batch)
        if options["wait"]:
            wait(batch)
        self.report(batch, as_json=options["json"])

    def report(self, batch: Batch, *, as_json: bool) -> None:
        totals = batches.totals(batch)
        if as_json:
            summary = {
                "batch": str(batch.pk),
                "name": batch.name,
                "open": batch.open,
                "totals": totals.as_dict(),
                "labels": {row.label: row.count for row in batches.labels(batch).counts},
            }
            self.stdout.write(json.dumps(summary, ensure_ascii=False))
        else:
            counts = ", ".join(f"{count} {name}" for name, count in totals.as_dict().items())
            self.stdout.write(f"{batch.name}: {counts}. Page: /batches/{batch.pk}/")
            for file in batch.files.with_problems():
                self.stderr.write(f"{file.path}: {file.error}")
        if totals.refused or totals.failed or totals.cancelled:
            sys.exit(1)


def files_in(folder: Path) -> Iterator[str]:
    """Yield sorted paths inside the folder; skip hidden ones, and folders behind links."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not batches.hidden(name))
        inside = Path(root).relative_to(folder)
        yield from (str(inside / name) for name in sorted(names) if not batches.hidden(name))


def batch_for(owner: User, name: str, source: str, checkpoint: str) -> Batch:
    """Return the open batch with that name, folder and checkpoint, or create one."""
    mine = Batch.objects.for_owner(owner).filter(
        name=name[:255], source=source, checkpoint=checkpoint, closed_at=None
    )
    return mine.first() or batches.create(owner, name, source, checkpoint)


def submit(batch: Batch, folder: Path, paths: list[str]) -> None:
    known = set(batch.files.values_list("path", flat=True))
    new = {path: label for path in paths if (label := text_of(path)) not in known}
    with tqdm(total=len(paths), initial=len(paths) - len(new), unit="file", desc="sent") as bar:
        for path, label in new.items():
            take_in(batch, label, folder / path)
            bar.update()


def take_in(batch: Batch, path: str, file: Path) -> None:
    """Add a file to the batch; a file that cannot be read or accepted is refused.

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
        batches.refuse(batch, path, Problem("unreadable", detail, hint))
    except RequestRefused as error:
        if not error.blames_file:
            raise CommandError(str(error)) from error
        tqdm.write(f"{path}: {error}", file=sys.stderr)


def text_of(path: str) -> str:
    """Return a path as the batch will store it; undecodable bytes are replaced."""
    text = os.fsencode(path).decode(errors="replace")
    try:
        return batches.path_of(text)
    except RequestRefused:
        return text


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
