"""The pages of batches, and what their script asks."""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from classifier import storage
from classifier.checkpoints import inventory
from classifier.links import checkpoint_page
from classifier.models import Batch, BatchFile, FileOutcome, State
from classifier.services import batches, zip_import
from classifier.services.exports.batch_files import sent_file
from classifier.services.uploads import UploadRefused

PAGE_BATCHES = 30
PAGE_ROWS = 50
MAX_PROBLEMS = 20
BLOCK_BYTES = 1 << 20
SHOWS = (*State.values, FileOutcome.REFUSED.value, FileOutcome.DUPLICATE.value)


def for_script(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """401 instead of a sign-in page, and refusals as {code, detail, hint}."""

    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            return JsonResponse({"code": "not_authenticated"}, status=401)
        try:
            return view(request, *args, **kwargs)
        except UploadRefused as error:
            body = {"code": error.code, "detail": error.detail, "hint": error.hint}
            return JsonResponse(body, status=error.status)

    return answer


# --- pages --------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
def batch_list(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return _create(request)
    return _list(request)


@for_script
def _create(request: HttpRequest) -> HttpResponse:
    asked = request.POST.get("checkpoint", "")
    batch = batches.create(request.user, request.POST.get("name", ""), checkpoint=asked)
    return JsonResponse({"url": reverse("batch", args=[batch.pk])}, status=201)


@login_required
def _list(request: HttpRequest) -> HttpResponse:
    pages = Paginator(Batch.objects.for_owner(request.user), PAGE_BATCHES)
    page = pages.get_page(request.GET.get("page"))
    rows = list(page.object_list)
    totals = batches.totals_of(rows)
    listed = [(batch, totals[batch.pk]) for batch in rows]
    return render(request, "classifier/batches.html", {"page": page, "listed": listed})


@login_required
@require_GET
def batch_new(request: HttpRequest) -> HttpResponse:
    context = {**_limits(), "checkpoints": inventory.offered()}
    return render(request, "classifier/batch_new.html", context)


@login_required
@require_GET
def batch_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    batch = _own(request, pk)
    show = request.GET.get("show", "")
    show = show if show in SHOWS else ""
    pages = Paginator(batch.files.for_page(show), PAGE_ROWS)
    context = {
        **_part_context(batch),
        **_limits(),
        "page": pages.get_page(request.GET.get("page")),
        "show": show,
    }
    return render(request, "classifier/batch.html", context)


@require_GET
def batch_part(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Totals, labels and problems, for htmx; 204 while they are as `seen` says."""
    if not request.user.is_authenticated:
        return HttpResponse(headers={"HX-Redirect": reverse("login")})
    batch = Batch.objects.for_owner(request.user).filter(pk=pk).first()
    if batch is None:
        return HttpResponse(headers={"HX-Redirect": reverse("batches")})
    totals = batches.totals(batch)
    if request.GET.get("seen") == _seen(batch, totals):
        return HttpResponse(status=204)
    response = render(request, "classifier/_batch.html", _part_context(batch, totals))
    response["Cache-Control"] = "no-store"
    return response


@require_GET
@for_script
def batch_rows(request: HttpRequest, pk: UUID) -> HttpResponse:
    """As `views.rows`, but a row is a file of the batch."""
    seen = dict(asked.partition(":")[::2] for asked in request.GET.getlist("row")[:PAGE_ROWS])
    numbers = [int(number) for number in seen if number.isdecimal() and len(number) < 19]
    known = {str(f.pk): f for f in _own(request, pk).files.for_page().filter(pk__in=numbers)}
    changed = {
        number: render_to_string("classifier/_file.html", {"file": file}, request)
        for number, file in known.items()
        if file.stage != seen[number]
    }
    gone = [number for number in seen if number not in known]
    return JsonResponse({"rows": changed, "gone": gone}, headers={"Cache-Control": "no-store"})


# --- what their script sends --------------------------------------------------------------


@require_GET
@for_script
def batch_paths(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What the batch has, so that nothing is sent twice."""
    paths = list(_own(request, pk).files.values_list("path", flat=True))
    return JsonResponse({"paths": paths}, headers={"Cache-Control": "no-store"})


@require_POST
@for_script
def batch_files(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One file and its path; of a file too large to send, its size and its path."""
    batch, path, sent = _own(request, pk), request.POST.get("path", ""), request.FILES.get("file")
    if sent:
        return JsonResponse(sent_file(batches.add_file(batch, path, sent.chunks()), known=False))
    declared = request.POST.get("size_bytes", "")
    if declared.isdecimal() and int(declared) > settings.MAX_UPLOAD_BYTES:
        file = batches.refuse(batch, path, too_large())
        return JsonResponse(sent_file(file, known=False))
    raise UploadRefused("no_file", "No file was sent.", "Send it in the field `file`.")


@require_POST
@for_script
def batch_unpack(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The bytes of a ZIP as the body, received without keeping it in memory."""
    batch = _own(request, pk)
    archive = storage.incoming_path(secrets.token_hex(16))
    try:
        _receive(request, archive)
        unpacked = zip_import.take_in(batch, archive)
    finally:
        archive.unlink(missing_ok=True)
    return JsonResponse({"outcomes": unpacked.outcomes, "hidden": unpacked.hidden})


@login_required
@require_POST
def batch_close(request: HttpRequest, pk: UUID) -> HttpResponse:
    batches.close(_own(request, pk))
    return redirect("batch", pk=pk)


@login_required
@require_POST
def batch_cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    batches.cancel(_own(request, pk))
    return redirect("batch", pk=pk)


@login_required
@require_POST
def batch_delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    batches.delete(_own(request, pk))
    return redirect("batches")


@login_required
@require_POST
def batch_retry(request: HttpRequest, pk: UUID) -> HttpResponse:
    batch = _own(request, pk)
    if not batch.cancelled_at:
        batches.retry_failed(batch)
    return redirect("batch", pk=pk)


def too_large() -> UploadRefused:
    return UploadRefused(
        "too_large",
        f"The file is larger than {settings.MAX_UPLOAD_BYTES / 1e6:.0f} MB.",
        "Cut it into parts, or save it in a compressed format such as FLAC.",
        status=413,
    )


def _own(request: HttpRequest, pk: UUID) -> Batch:
    return get_object_or_404(Batch.objects.for_owner(request.user), pk=pk)


def _receive(request: HttpRequest, path: Path) -> None:
    with path.open("wb") as file:
        while block := request.read(BLOCK_BYTES):
            file.write(block)


def _limits() -> dict[str, int | str]:
    return {
        "most_bytes": settings.MAX_UPLOAD_BYTES,
        "most_mb": settings.MAX_UPLOAD_BYTES // 10**6,
        "most_files": batches.MAX_FILES,
        "most_files_words": f"{batches.MAX_FILES:,}",
        "most_zip_bytes": settings.MAX_ZIP_BYTES,
    }


def _part_context(batch: Batch, totals: batches.Totals | None = None) -> dict[str, Any]:
    totals = totals or batches.totals(batch)
    problems: list[BatchFile] = []
    if totals.failed or totals.refused:
        problems = list(batch.files.with_problems()[:MAX_PROBLEMS])
    return {
        "batch": batch,
        "checkpoint_page": checkpoint_page(batch.checkpoint),
        "totals": totals,
        "seen": _seen(batch, totals),
        "problems": problems,
        "more_problems": totals.failed + totals.refused - len(problems),
        "labels": batches.labels(batch) if totals.done else [],
        "kinds": [(name, getattr(totals, name), show) for name, show in _KINDS],
    }


# The word on the page, and the filter behind it.
_KINDS = (
    ("done", "done"),
    ("running", "running"),
    ("waiting", "queued"),
    ("failed", "failed"),
    ("refused", "refused"),
    ("duplicate", "duplicate"),
    ("cancelled", "cancelled"),
)


def _seen(batch: Batch, totals: batches.Totals) -> str:
    counts = ".".join(str(count) for count in totals.as_dict().values())
    return f"{counts}.{int(batch.open)}.{int(bool(batch.cancelled_at))}"
