"""Pages. Each: validate, one call, respond."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from csp.constants import SELF
from csp.decorators import csp_update
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET, require_POST

from classifier import checkpoints, uploads
from classifier.forms import HistoryForm
from classifier.models import Analysis, Clip
from classifier.uploads import UploadRefused

SAMPLES = Path(__file__).parent / "samples"
# A little more than the page's script asks of its recorder.
RECORDED_BYTES_PER_S = 20_000
PAGE_ROWS = 50
LATEST_ROWS = 8
# Rows one question of a page may be about.
MOST_ROWS = 60


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _fault(
        request,
        404,
        "not_found",
        "There is nothing here.",
        "Check the address, and that the token belongs to the owner.",
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _fault(
        request,
        400,
        "bad_request",
        "The request could not be understood.",
        "Send fewer fields or files at once, under the address that this Sonoscope is known by.",
    )


def server_error(request: HttpRequest) -> HttpResponse:
    return _fault(
        request,
        500,
        "internal",
        "Something broke on our side; it was written to the log.",
        "Try again in a minute.",
    )


def _fault(request: HttpRequest, status: int, code: str, detail: str, hint: str) -> HttpResponse:
    """In the words of whoever asks: a client gets JSON, a person a page that needs no database."""
    if request.path.startswith("/api/"):
        return JsonResponse({"code": code, "detail": detail, "hint": hint}, status=status)
    if status == 404:
        return render(request, "404.html", status=404)
    return HttpResponse(
        render_to_string("fault.html", {"detail": detail, "hint": hint}), status=status
    )


# A recording is heard before it is sent.
@csp_update({"media-src": [SELF, "blob:"]})
@login_required
@require_GET
def listen(request: HttpRequest) -> HttpResponse:
    latest = Analysis.objects.for_history(request.user)[:LATEST_ROWS]
    return render(
        request,
        "classifier/listen.html",
        {
            "latest": latest,
            "samples": sample_names(),
            "most_mb": settings.MAX_UPLOAD_BYTES // 10**6,
            "record_most_s": min(
                settings.MAX_DURATION_S, settings.MAX_UPLOAD_BYTES // RECORDED_BYTES_PER_S
            ),
            "checkpoints": checkpoints.offered(),
        },
    )


@login_required
@require_POST
def upload(request: HttpRequest) -> HttpResponse:
    """One file from the page's script, answered with its row; or a plain form with many."""
    sent = request.FILES.getlist("file")
    from_script = request.headers.get("X-Requested-With") == "fetch"
    if not sent:
        refused = UploadRefused("no_file", "No file was sent.", "Choose one or more sound files.")
        return _refused(request, [("", refused)], from_script)
    accepted, refusals = [], []
    asked = request.POST.get("checkpoint", "")
    for file in sent:
        try:
            analysis = uploads.accept(
                file.chunks(), name=file.name or "", owner=request.user, checkpoint=asked
            )
            accepted.append(analysis)
        except UploadRefused as error:
            refusals.append((file.name, error))
    if refusals:
        return _refused(request, refusals, from_script, len(accepted))
    return _accepted(request, accepted, from_script)


@login_required
@require_POST
def sample(request: HttpRequest, name: str) -> HttpResponse:
    if name not in sample_names():
        raise Http404
    path = SAMPLES / f"{name}.flac"
    from_script = request.headers.get("X-Requested-With") == "fetch"
    try:
        analysis = uploads.accept(
            [path.read_bytes()],
            name=path.name,
            owner=request.user,
            checkpoint=request.POST.get("checkpoint", ""),
        )
    except UploadRefused as error:
        return _refused(request, [(path.name, error)], from_script)
    return _accepted(request, [analysis], from_script)


@require_GET
def rows(request: HttpRequest) -> HttpResponse:
    """`?row=ID:seen&…` → {"rows": {ID: html of those that look otherwise now}, "gone": [ID]}."""
    if not request.user.is_authenticated:
        return JsonResponse({}, status=401)
    seen = dict(asked.partition(":")[::2] for asked in request.GET.getlist("row")[:MOST_ROWS])
    known = {
        str(a.pk): a for a in Analysis.objects.for_history(request.user).filter(pk__in=_ids(seen))
    }
    changed = {
        pk: render_to_string("classifier/_row.html", {"analysis": analysis}, request)
        for pk, analysis in known.items()
        if analysis.stage != seen[pk]
    }
    gone = [pk for pk in seen if pk not in known]
    return JsonResponse({"rows": changed, "gone": gone}, headers={"Cache-Control": "no-store"})


def _ids(texts: Iterable[str]) -> list[UUID]:
    ids = []
    for text in texts:
        with suppress(ValueError):
            ids.append(UUID(text))
    return ids


@login_required
@require_GET
def history(request: HttpRequest) -> HttpResponse:
    form = HistoryForm(request.GET, user=request.user)
    filters = form.cleaned_data if form.is_valid() else {}
    pages = Paginator(Analysis.objects.for_history(request.user, **filters), PAGE_ROWS)
    query = request.GET.copy()
    query.pop("page", None)
    return render(
        request,
        "classifier/history.html",
        {
            "form": form,
            "page": pages.get_page(request.GET.get("page")),
            "query": query.urlencode(),
            "filtered": any(filters.values()),
            "batch": filters.get("batch"),
        },
    )


@login_required
@require_POST
def again(request: HttpRequest, pk: UUID) -> HttpResponse:
    analysis = get_object_or_404(Analysis.objects.for_owner(request.user), pk=pk)
    asked = request.POST.get("checkpoint", "")
    try:
        new = uploads.analyse_again(analysis.clip, checkpoint=asked)
    except UploadRefused as error:
        return _refused(request, [(analysis.clip.name, error)], from_script=False)
    return redirect("result", pk=new.pk)


@login_required
@require_POST
def delete(request: HttpRequest, clip_id: UUID) -> HttpResponse:
    uploads.delete_clip(get_object_or_404(Clip.objects.for_owner(request.user), pk=clip_id))
    return redirect("history")


def sample_names() -> list[str]:
    return sorted(path.stem for path in SAMPLES.glob("*.flac"))


def _accepted(request: HttpRequest, analyses: list[Analysis], from_script: bool) -> HttpResponse:
    if from_script:
        return render(request, "classifier/_row.html", {"analysis": analyses[0]}, status=202)
    if len(analyses) == 1:
        return redirect("result", pk=analyses[0].pk)
    return redirect("history")


def _refused(
    request: HttpRequest,
    refusals: list[tuple[str | None, UploadRefused]],
    from_script: bool,
    accepted: int = 0,
) -> HttpResponse:
    template = "classifier/_refused.html" if from_script else "classifier/refused.html"
    context = {"refusals": refusals, "accepted": accepted}
    return render(request, template, context, status=refusals[0][1].status)
