"""The history page, and the rows that pages poll while analyses run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from classifier.checkpoints import inventory
from classifier.models import Analysis, Clip, Owner, SavedFilter
from classifier.services import deletion, uploads
from classifier.services.exports import analysis_rows, formats
from classifier.services.problems import RequestRefused
from classifier.views.history_form import HistoryForm
from classifier.views.parts import for_script, render_rows
from classifier.views.upload import refused

PAGE_ROWS = 50
# Rows are counted up to here.
MAX_COUNTED = 1000


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Some rows of the history.

    Attributes
    ----------
    count : int or None
        Of all rows that match; None if there are more than MAX_COUNTED.
    number : int
        Of the page, from 1.
    """

    rows: list[Analysis]
    count: int | None
    number: int
    has_next: bool

    @property
    def previous(self) -> int:
        return self.number - 1

    @property
    def next(self) -> int:
        return self.number + 1

    @property
    def pages(self) -> int | None:
        return None if self.count is None else max(1, -(-self.count // PAGE_ROWS))


@login_required
@require_GET
def history(request: HttpRequest) -> HttpResponse:
    form = HistoryForm(request.GET, user=request.user)
    valid = form.is_valid()
    found = HistoryPage([], 0, 1, has_next=False)
    if valid:
        found = page_of(request.user, form.filters, form.cleaned_data["page"] or 1)
    context: dict[str, Any] = {
        "form": form,
        "page": found,
        "most": MAX_COUNTED,
        "now": timezone.now().isoformat(),
        "batch": form.cleaned_data.get("batch"),
        "saved": SavedFilter.objects.filter(owner=request.user.pk),
        "table_exports": analysis_rows.NAMES.items(),
        "exports": formats.NAMES.items(),
        "checkpoints": inventory.offered(),
    }
    return render(request, "classifier/history.html", context, status=200 if valid else 400)


def page_of(user: Owner, filters: Mapping[str, Any], number: int) -> HistoryPage:
    """Return a page of the rows that match; their keys come from an index alone."""
    first = (number - 1) * PAGE_ROWS
    if first < MAX_COUNTED:
        found = Analysis.objects.first_keys(user, filters, MAX_COUNTED + 1)
        count = len(found) if len(found) <= MAX_COUNTED else None
        found = found[first:]
    else:
        keys = Analysis.objects.matching(user, filters).values_list("pk", flat=True)
        found, count = list(keys[first : first + PAGE_ROWS + 1]), None
    shown = found[:PAGE_ROWS]
    by_key = Analysis.objects.light().in_bulk(shown)
    # A row may have been deleted since.
    listed = [by_key[key] for key in shown if key in by_key]
    return HistoryPage(listed, count, number, has_next=len(found) > PAGE_ROWS)


@require_GET
@for_script
def rows(request: HttpRequest) -> HttpResponse:
    """Return the rows of a short list that changed, see `render_rows`."""
    mine = Analysis.objects.for_history(request.user)
    return render_rows(request, "classifier/_row.html", "analysis", mine)


@require_GET
@for_script
def history_rows(request: HttpRequest) -> HttpResponse:
    """Return the rows of the history that changed, see `render_rows`."""
    mine = Analysis.objects.for_history(request.user)
    return render_rows(request, "classifier/_history_row.html", "analysis", mine)


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
    clip = get_object_or_404(Clip.objects.for_owner(request.user), pk=clip_id)
    deletion.delete_clip(clip)
    messages.success(request, f"Deleted {clip.name}.")
    return redirect("history")
