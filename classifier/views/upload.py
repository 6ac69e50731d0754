"""The Upload page: uploads, recordings and sample sounds."""

from collections.abc import Iterable

from csp.decorators import csp_update
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_POST, require_safe

from classifier.checkpoints import inventory
from classifier.models import Analysis
from classifier.services import uploads
from classifier.services.problems import RequestRefused, refusal
from classifier.services.samples import sample_names, sample_path
from classifier.views import visitors
from classifier.views.parts import from_script, other_extensions
from classifier.views.visitors import PLAYS_RECORDINGS, RECORDED_BYTES_PER_S

LATEST_ROWS = 8


# The page is not stored by the browser, so that Back, from the page of a sound that was just sent,
# lists that sound.
@csp_update(PLAYS_RECORDINGS)
@cache_control(no_store=True)
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show the Upload page to a signed-in user, and the front page to anybody else."""
    if not request.user.is_authenticated:
        return visitors.front(request)
    most_bytes = settings.MAX_UPLOAD_BYTES
    context = {
        "latest": Analysis.objects.for_history(request.user)[:LATEST_ROWS],
        "samples": sample_names(),
        "most_mb": most_bytes // 10**6,
        "most_bytes": most_bytes,
        "most_s": settings.MAX_DURATION_S,
        "other_extensions": other_extensions(),
        "record_most_s": min(settings.MAX_DURATION_S, most_bytes // RECORDED_BYTES_PER_S),
        "checkpoints": inventory.offered(),
    }
    return render(request, "classifier/upload.html", context)


@login_required
@require_POST
def upload(request: HttpRequest) -> HttpResponse:
    """Accept one file from the page's script and return its row, or several from a plain form."""
    sent = request.FILES.getlist("file")
    if not sent:
        problem = refusal("no_file", "No file was sent.", "Choose one or more sound files.")
        return refused(request, [("", problem)])
    return _accept(request, ((file.name or "", file.chunks()) for file in sent))


@login_required
@require_POST
def sample(request: HttpRequest, name: str) -> HttpResponse:
    if name not in sample_names():
        raise Http404
    path = sample_path(name)
    return _accept(request, [(path.name, [path.read_bytes()])])


def _accept(request: HttpRequest, files: Iterable[tuple[str, Iterable[bytes]]]) -> HttpResponse:
    """Accept files, given as names and bytes."""
    accepted, refusals = [], []
    asked = request.POST.get("checkpoint", "")
    for name, chunks in files:
        try:
            analysis = uploads.accept(chunks, name=name, owner=request.user, checkpoint=asked)
            accepted.append(analysis)
        except RequestRefused as error:
            refusals.append((name, error))
    if refusals:
        return refused(request, refusals, len(accepted))
    if from_script(request):
        rows = [
            render_to_string("classifier/_row.html", {"analysis": a}, request) for a in accepted
        ]
        return HttpResponse("".join(rows), status=202)
    if len(accepted) == 1:
        return redirect("result", pk=accepted[0].pk)
    return redirect("history")


def refused(
    request: HttpRequest, refusals: list[tuple[str, RequestRefused]], accepted: int = 0
) -> HttpResponse:
    name = "_refused" if from_script(request) else "refused"
    context = {"refusals": refusals, "accepted": accepted}
    return render(request, f"classifier/{name}.html", context, status=refusals[0][1].status)
