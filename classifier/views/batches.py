"""The batch pages, and the requests of their script."""

import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import unquote, urlencode
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from classifier import storage
from classifier.checkpoints import inventory
from classifier.links import checkpoint_page
from classifier.models import Batch, FileOutcome, State
from classifier.services import batch_notices, batch_summary, batches, deletion, zip_import
from classifier.services.dispatch import missing_worker
from classifier.services.exports import formats
from classifier.services.exports.batch_files import sent_file
from classifier.services.problems import RequestRefused, refusal, too_large
from classifier.services.uploads import one_file
from classifier.views.parts import for_htmx, for_script, other_extensions, render_part, render_rows
from classifier.views.times import time_of
from ml.errors import Problem
from ml.file_names import SYSTEM_NAMES, label_of, original_of

PAGE_BATCHES = 30
PAGE_ROWS = 50
PAGE_FOLDERS = 20
MAX_PROBLEMS = 20
BLOCK_BYTES = 1 << 20
ACTIONS: dict[str, Callable[[Batch], object]] = {
    "close": batches.close,
    "cancel": batches.cancel,
    "delete": deletion.delete_batch,
    "retry": batches.retry_failed,
}
SHOWS = (*State.values, FileOutcome.REFUSED.value, FileOutcome.DUPLICATE.value)


# --- pages --------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
def batch_list(request: HttpRequest) -> HttpResponse:
    return _create(request) if request.method == "POST" else _list(request)


@for_script
def _create(request: HttpRequest) -> HttpResponse:
    asked = request.POST.get("checkpoint", "")
    name = batches.name_of(request.POST.get("name", ""))
    mail = bool(request.POST.get("mail"))
    batch = batches.create(request.user, name, checkpoint=asked, mail=mail)
    return JsonResponse({"url": reverse("batch", args=[batch.pk])}, status=201)


@login_required
def _list(request: HttpRequest) -> HttpResponse:
    pages = Paginator(Batch.objects.for_owner(request.user), PAGE_BATCHES)
    page = pages.get_page(request.GET.get("page"))
    totals = batches.totals_of(list(page))
    listed = [(batch, totals[batch.pk]) for batch in page]
    return render(request, "classifier/batches.html", {"page": page, "listed": listed})


@login_required
@require_GET
def batch_new(request: HttpRequest) -> HttpResponse:
    user = request.user
    assert isinstance(user, User)
    may_mail = batches.may_mail(user)
    context = {**_limits(), "checkpoints": inventory.offered(), "may_mail": may_mail}
    return render(request, "classifier/batch_new.html", context)


@login_required
@require_GET
def batch_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    batch = _own(request, pk)
    asked = request.GET.get("show", "")
    show, folder = asked if asked in SHOWS else "", _folder(request)
    pages = Paginator(batch.files.for_page(show, folder), PAGE_ROWS)
    page = pages.get_page(request.GET.get("page"))
    totals = batches.totals(batch)
    batch_notices.mark_seen(batch, totals)
    notice = missing_worker(totals.unfinished, batch.created_at)
    context = _part_context(request, batch, totals, notice)
    context |= {**_limits(), "page": page, "show": show}
    shown = {"show": show, "folder": folder}
    context["filters"] = urlencode({name: value for name, value in shown.items() if value})
    return render(request, "classifier/batch.html", context)


@require_GET
@for_htmx(gone="batches")
def batch_part(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Return totals, labels and problems for htmx; 204 if they are as in `seen`."""
    batch = _own(request, pk)
    totals = batches.totals(batch)
    notice = missing_worker(totals.unfinished, batch.created_at)
    seen, template = _seen(batch, totals, notice), "classifier/_batch.html"
    context = partial(_part_context, request, batch, totals, notice)
    return render_part(request, template, seen, context)


@require_GET
@for_script
def batch_rows(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Return the rows of files that changed, see `render_rows`."""
    files = _own(request, pk).files.for_page()
    return render_rows(request, "classifier/_file.html", "file", files)


# --- requests of the script ---------------------------------------------------------------


@require_GET
@for_script
def batch_paths(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Return the paths of the batch's accepted files, so that none of them is sent twice.

    They are the names on the user's disk, not their labels.
    """
    accepted = _own(request, pk).files.exclude(outcome=FileOutcome.REFUSED)
    paths = [original_of(path) for path in accepted.values_list("path", flat=True)]
    return JsonResponse({"paths": paths}, headers={"Cache-Control": "no-store"})


@require_POST
@for_script
def batch_files(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take one file and its path, or the size and path of a file too large to send.

    The path is percent-encoded, because browsers change line breaks in fields.
    """
    batch, path = _own(request, pk), label_of(unquote(request.POST.get("path", "")))
    if sent := one_file(request.FILES):
        return JsonResponse(sent_file(batches.add_file(batch, path, sent.chunks()), known=False))
    declared = request.POST.get("size_bytes", "")
    if declared.isdecimal() and int(declared) > settings.MAX_UPLOAD_BYTES:
        file = batches.refuse(batch, path, too_large().problem)
        return JsonResponse(sent_file(file, known=False))
    raise refusal("no_file", "No file was sent.", "Send the file in the form field `file`.")


@require_POST
@for_script
def batch_unpack(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take a ZIP as the request body, received without keeping it in memory."""
    batch = _own(request, pk)
    archive = storage.incoming_path(secrets.token_hex(16))
    try:
        with archive.open("wb") as file:
            shutil.copyfileobj(request, file, BLOCK_BYTES)
        unpacked = zip_import.take_in(batch, archive)
    finally:
        archive.unlink(missing_ok=True)
    not_taken = [{"path": path, "error": why.as_dict()} for path, why in unpacked.not_taken]
    counts = {"left_out": unpacked.left_out, "repeated": unpacked.repeated}
    return JsonResponse({"outcomes": unpacked.outcomes, **counts, "not_taken": not_taken})


@login_required
@require_POST
def batch_action(request: HttpRequest, pk: UUID, name: str) -> HttpResponse:
    """Run one of ACTIONS. If it is refused, the next page shows the current state of the batch.

    The script that sends a folder closes its batch with the number of files that it left out.
    """
    batch = _own(request, pk)
    if (left_out := request.POST.get("left_out", "")).isdecimal():
        batches.note_left_out(batch, int(left_out))
    with suppress(RequestRefused):
        ACTIONS[name](batch)
    return redirect("batches") if name == "delete" else redirect("batch", pk=pk)


@login_required
@require_POST
def batches_seen(request: HttpRequest) -> HttpResponse:
    """Dismiss the notice about finished batches that a page shows."""
    until = time_of(request.POST.get("until", ""))
    if until is None:
        return HttpResponseBadRequest()
    batch_notices.dismiss(request.user, until)
    return HttpResponse() if request.headers.get("HX-Request") else redirect("batches")


def _own(request: HttpRequest, pk: UUID) -> Batch:
    return get_object_or_404(Batch.objects.for_owner(request.user), pk=pk)


def _limits() -> dict[str, int | str]:
    return {
        "most_bytes": settings.MAX_UPLOAD_BYTES,
        "most_mb": settings.MAX_UPLOAD_BYTES // 10**6,
        "most_files": batches.MAX_FILES,
        "most_files_words": f"{batches.MAX_FILES:,}",
        "most_zip_bytes": settings.MAX_ZIP_BYTES,
        # A name cannot contain a slash.
        "system_names": "/".join(sorted(SYSTEM_NAMES)),
        "other_extensions": other_extensions(),
    }


def _part_context(
    request: HttpRequest, batch: Batch, totals: batches.Totals, notice: Problem | None
) -> dict[str, Any]:
    problems = batches.problems(batch, totals, MAX_PROBLEMS)
    return {
        "batch": batch,
        "checkpoint_page": checkpoint_page(batch.checkpoint),
        "totals": totals,
        "notice": notice,
        "pace": None if notice else batch_summary.pace(batch, totals),
        "seen": _seen(batch, totals, notice),
        "exports": formats.NAMES.items(),
        "retryable": batch_summary.retryable(batch, totals),
        "problems": problems,
        "more_problems": totals.failed + totals.refused - len(problems),
        "labels": batch_summary.labels(batch) if totals.done else None,
        # Name on the page, count, and value of the `show` filter.
        "kinds": [
            (name, count, State.QUEUED if name == "waiting" else name)
            for name, count in totals.shown.items()
        ],
    } | _folders(request, batch)


def _folders(request: HttpRequest, batch: Batch) -> dict[str, Any]:
    """Return the folders inside the one that the page shows, a page of them at a time."""
    folder = _folder(request)
    pages = Paginator(batch_summary.folders(batch, folder), PAGE_FOLDERS)
    parts = folder.split("/") if folder else []
    return {
        "folder": folder,
        "folders": pages.get_page(request.GET.get("folders")),
        # The folder and those it is in, with their paths.
        "trail": [(name, "/".join(parts[: place + 1])) for place, name in enumerate(parts)],
    }


def _folder(request: HttpRequest) -> str:
    return request.GET.get("folder", "")[: batches.MAX_PATH_CHARACTERS].replace("\0", "")


def _seen(batch: Batch, totals: batches.Totals, notice: Problem | None) -> str:
    counts = ".".join(str(count) for count in totals.as_dict().values())
    seen = f"{counts}.{int(batch.open)}.{int(bool(batch.cancelled_at))}"
    return f"{seen}.{notice.code}" if notice else seen
