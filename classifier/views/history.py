"""The history page, and the rows that pages poll while analyses run."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from classifier.models import Analysis, Clip
from classifier.services import deletion, uploads
from classifier.services.exports import formats
from classifier.services.problems import RequestRefused
from classifier.views.forms import HistoryForm
from classifier.views.parts import for_script, render_rows
from classifier.views.upload import refused

PAGE_ROWS = 50


@login_required
@require_GET
def history(request: HttpRequest) -> HttpResponse:
    form = HistoryForm(request.GET, user=request.user)
    filters = form.cleaned_data if form.is_valid() else {}
    pages = Paginator(Analysis.objects.for_history(request.user, **filters), PAGE_ROWS)
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        "form": form,
        "page": pages.get_page(request.GET.get("page")),
        "query": query.urlencode(),
        "filtered": any(filters.values()),
        "batch": filters.get("batch"),
        "exports": formats.NAMES.items(),
        "export_query": _export_query(filters),
    }
    return render(request, "classifier/history.html", context)


def _export_query(filters: dict[str, Any]) -> str:
    """Return the filters of the page as the API names them; its `label` is that of an event."""
    batch = filters.get("batch")
    asked = {
        "name": filters.get("name"),
        "top_label": filters.get("label"),
        "state": filters.get("state"),
        "judged": filters.get("judged"),
        "batch": batch.pk if batch else None,
    }
    query = urlencode({name: value for name, value in asked.items() if value})
    return f"{query}&" if query else ""


@require_GET
@for_script
def rows(request: HttpRequest) -> HttpResponse:
    """Return the rows of the history that changed, see `render_rows`."""
    mine = Analysis.objects.for_history(request.user)
    return render_rows(request, "classifier/_row.html", "analysis", mine)


@login_required
@require_POST
def again(request: HttpRequest, pk: UUID) -> HttpResponse:
    analysis = get_object_or_404(Analysis.objects.for_owner(request.user), pk=pk)
    try:
        new = uploads.analyse_again(analysis.clip, checkpoint=request.POST.get("checkpoint", ""))
    except RequestRefused as error:
        return refused(request, [(analysis.clip.name, error)])
    return redirect("result", pk=new.pk)


@login_required
@require_POST
def delete(request: HttpRequest, clip_id: UUID) -> HttpResponse:
    deletion.delete_clip(get_object_or_404(Clip.objects.for_owner(request.user), pk=clip_id))
    return redirect("history")
