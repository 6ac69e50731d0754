"""Pages. Each: validate, one call, respond."""

from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from classifier import scope, uploads
from classifier.forms import HistoryForm, SignUpForm
from classifier.models import Analysis, Clip, State
from classifier.uploads import UploadRefused

SAMPLES = Path(__file__).parent / "samples"
PAGE_ROWS = 50
LATEST_ROWS = 8


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """In the words of whoever asks."""
    if request.path.startswith("/api/"):
        body = {
            "code": "not_found",
            "detail": "There is nothing here.",
            "hint": "Check the address, and that the token belongs to the owner.",
        }
        return JsonResponse(body, status=404)
    return render(request, "404.html", status=404)


class SignIn(LoginView):
    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(sign_up_open=settings.SIGN_UP_OPEN, **kwargs)


def sign_up(request: HttpRequest) -> HttpResponse:
    if not settings.SIGN_UP_OPEN:
        raise Http404
    form = SignUpForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        login(request, form.save())
        return redirect("listen")
    return render(request, "registration/sign_up.html", {"form": form})


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
    for file in sent:
        try:
            accepted.append(uploads.accept(file.chunks(), name=file.name or "", owner=request.user))
        except UploadRefused as error:
            refusals.append((file.name, error))
    if refusals:
        return _refused(request, refusals, from_script)
    return _accepted(request, accepted, from_script)


@login_required
@require_POST
def sample(request: HttpRequest, name: str) -> HttpResponse:
    if name not in sample_names():
        raise Http404
    path = SAMPLES / f"{name}.flac"
    analysis = uploads.accept([path.read_bytes()], name=path.name, owner=request.user)
    from_script = request.headers.get("X-Requested-With") == "fetch"
    return _accepted(request, [analysis], from_script)


@login_required
@require_GET
def result(request: HttpRequest, pk: UUID) -> HttpResponse:
    analysis = get_object_or_404(Analysis.objects.for_owner(request.user), pk=pk)
    # htmx asks again while the page says that the analysis goes on: only the changing part.
    partial = "HX-Request" in request.headers
    template = "classifier/_result.html" if partial else "classifier/result.html"
    return render(request, template, _result_context(analysis))


@login_required
@require_GET
def row(request: HttpRequest, pk: UUID) -> HttpResponse:
    analysis = get_object_or_404(Analysis.objects.for_history(request.user), pk=pk)
    return render(request, "classifier/_row.html", {"analysis": analysis})


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
        },
    )


@login_required
@require_POST
def again(request: HttpRequest, pk: UUID) -> HttpResponse:
    analysis = get_object_or_404(Analysis.objects.for_owner(request.user), pk=pk)
    return redirect("result", pk=uploads.analyse_again(analysis.clip).pk)


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
    request: HttpRequest, refusals: list[tuple[str | None, UploadRefused]], from_script: bool
) -> HttpResponse:
    template = "classifier/_refused.html" if from_script else "classifier/refused.html"
    return render(request, template, {"refusals": refusals}, status=refusals[0][1].status)


def _result_context(analysis: Analysis) -> dict[str, Any]:
    context: dict[str, Any] = {"analysis": analysis, "clip": analysis.clip}
    if analysis.state == State.DONE:
        duration_s = analysis.clip.duration_s or 0.0

        def map_url(name: str) -> str:
            return reverse("map", args=[analysis.pk, name])

        context |= {
            "best": analysis.predictions[:5],
            "rest": analysis.predictions[5:],
            "time_ticks": scope.time_ticks(duration_s),
            "frequency_ticks": scope.frequency_ticks(analysis.scope["ticks"]),
            "stages": scope.stages(analysis.maps, map_url),
            "shown_to_s": analysis.scope["shown_from_s"] + analysis.scope["window_s"],
        }
    return context
