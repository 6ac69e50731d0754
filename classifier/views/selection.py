"""What the history page does with the selected rows."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.template.defaultfilters import pluralize
from django.urls import reverse
from django.views.decorators.http import require_POST

from classifier.models import Analysis, Owner
from classifier.models.analyses import AnalysisQuerySet
from classifier.services import selection
from classifier.services.exports import analysis_rows, formats, recordings
from classifier.services.exports.analysis_rows import RowFormat
from classifier.services.file_responses import download
from classifier.services.problems import RequestRefused, refusal
from classifier.views.history_form import HistoryForm
from classifier.views.times import time_of

# Rows that can be ticked one by one; a page has fewer.
MAX_TICKED = 500
NOT_SELECTED = refusal("nothing_selected", "Nothing is selected.", "Tick at least one sound.")


@dataclass(frozen=True, slots=True)
class Ticked:
    """The selected rows of a request.

    Attributes
    ----------
    form : HistoryForm
        The filters of the page.
    """

    user: Owner
    form: HistoryForm
    rows: AnalysisQuerySet


View = Callable[[HttpRequest, Ticked], HttpResponseBase]


def with_selection(view: View) -> Callable[[HttpRequest], HttpResponseBase]:
    """Pass the selected rows to the view; after RequestRefused show the page with the problem.

    Selected are the rows in `analysis`, or with `all` those that match the filters in `query` and
    existed when the page was made, at the time `now`.
    """

    @wraps(view)
    @login_required
    @require_POST
    def answer(request: HttpRequest) -> HttpResponseBase:
        form = HistoryForm(QueryDict(request.POST.get("query", "")), user=request.user)
        try:
            return view(request, Ticked(request.user, form, _rows(request, form)))
        except RequestRefused as error:
            messages.error(request, str(error.problem))
            return _back(form)

    return answer


def _rows(request: HttpRequest, form: HistoryForm) -> AnalysisQuerySet:
    if "all" in request.POST:
        now = time_of(request.POST.get("now", ""))
        if not form.is_valid() or now is None:
            raise refusal("invalid", "The filters are not valid.", "Load the history again.")
        rows = Analysis.objects.matching(request.user, form.filters)
        return rows.filter(created_at__lte=now)
    keys = []
    for text in request.POST.getlist("analysis")[:MAX_TICKED]:
        with suppress(ValueError):
            keys.append(UUID(text))
    if not keys:
        raise NOT_SELECTED
    return Analysis.objects.for_owner(request.user).filter(pk__in=keys)


def _back(form: HistoryForm) -> HttpResponse:
    address = reverse("history")
    return redirect(f"{address}?{form.query}" if form.query else address)


@with_selection
def export(request: HttpRequest, ticked: Ticked) -> HttpResponseBase:
    """Download the rows as a table in the order of the page, or the events of the finished ones."""
    asked = request.POST.get("format", "")
    if asked in list(RowFormat):
        return analysis_rows.download_of(ticked.rows, ticked.form.order, RowFormat(asked))
    try:
        form = formats.Format(asked)
    except ValueError as error:
        raise refusal("invalid", "There is no such format.", "Choose one of the list.") from error
    file = formats.file_of(form, "history", several=True)
    found = recordings.of_analyses(ticked.rows, Q())
    return download(file.write(found), file.content_type, f"history{file.suffix}")


@with_selection
def again(request: HttpRequest, ticked: Ticked) -> HttpResponse:
    # A ticked sound is meant even if it was analysed again since.
    rows = ticked.rows.latest_of_clips() if "all" in request.POST else ticked.rows
    done = selection.analyse_again(ticked.user, rows, request.POST.get("checkpoint", ""))
    said = [f"{_sounds(done.queued)} will be analysed again."]
    if done.waiting:
        said.append(f"{_sounds(done.waiting)} {_were(done.waiting)} already waiting.")
    if done.left:
        said.append(
            f"{_sounds(done.left)} {_were(done.left)} left out: you have reached the limit for "
            "unfinished sounds. Try again when some are finished."
        )
    if not (done.queued or done.waiting or done.left):
        said = ["Nothing was queued: the selected sounds were analysed again since."]
    if done.more:
        said.append(
            f"At most {selection.MAX_AGAIN:,} are analysed again at once: repeat this for the "
            "others."
        )
    (messages.warning if done.left else messages.success)(request, " ".join(said))
    return _back(ticked.form)


@with_selection
def tag(request: HttpRequest, ticked: Ticked) -> HttpResponse:
    """Add the tag in `tag`, or remove it if the button `remove` was used."""
    name = request.POST.get("tag", "")
    if "remove" in request.POST:
        done, verb, none = selection.untag(ticked.user, ticked.rows, name), "removed from", "no"
    else:
        done, verb, none = selection.tag(ticked.user, ticked.rows, name), "added to", "each"
    said = f"The tag “{name.strip()}” was {verb} {_sounds(done.clips)}."
    if not done.clips:
        said = f"Nothing was changed: {none} selected sound has the tag “{name.strip()}”."
    if done.more:
        said += " There are more: repeat this to change them too."
    messages.success(request, said)
    return _back(ticked.form)


@with_selection
def delete(request: HttpRequest, ticked: Ticked) -> HttpResponse:
    """Ask for confirmation, also if other sounds match than the user confirmed; then delete."""
    found = selection.selected(ticked.rows)
    confirmed = request.POST.get("confirmed")
    if confirmed != found.digest:
        if confirmed:
            messages.warning(request, "Other sounds match now. Check their number.")
        kept = [(name, value) for name in ("query", "now", "all", "analysis")
                for value in request.POST.getlist(name)]  # fmt: skip
        context = {
            "count": len(found.clips), "more": found.more, "digest": found.digest,
            "fields": kept, "form": ticked.form,
        }  # fmt: skip
        return render(request, "classifier/history_delete.html", context)
    done = selection.delete(ticked.user, found)
    more = " There are more: repeat this to delete them too." if done.more else ""
    messages.success(request, f"{_sounds(done.clips)} {_were(done.clips)} deleted.{more}")
    return _back(ticked.form)


def _sounds(count: int) -> str:
    return f"{count:,} sound{pluralize(count)}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
