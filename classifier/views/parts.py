"""What the pages' scripts ask for: parts of a page, and JSON."""

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse

from classifier.services.problems import RequestRefused

# Rows one request of a page may be about.
MAX_ROWS = 60

View = Callable[..., HttpResponse]


def for_htmx(gone: str) -> Callable[[View], View]:
    """Send the page to sign in, or to `gone` when what it shows is no longer there.

    By a header: htmx would follow a redirect and put that page into the part.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.is_authenticated:
                return HttpResponse(headers={"HX-Redirect": reverse("login")})
            try:
                return view(request, *args, **kwargs)
            except Http404:
                return HttpResponse(status=404, headers={"HX-Redirect": reverse(gone)})

        return answer

    return decorate


def for_script(view: View) -> View:
    """401 instead of a sign-in page, and refusals as {code, detail, hint}."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            return JsonResponse({"code": "not_authenticated"}, status=401)
        try:
            return view(request, *args, **kwargs)
        except RequestRefused as refused:
            return JsonResponse(refused.problem.as_dict(), status=refused.status)

    return answer


def render_part(
    request: HttpRequest,
    template: str,
    seen: str,
    context: Callable[[], dict[str, Any]],
    status: int = 200,
) -> HttpResponse:
    """The part, or 204 while the page shows it as it is: it says what it shows as `?seen=`."""
    if request.GET.get("seen") == seen:
        return HttpResponse(status=204)
    response = render(request, template, context(), status=status)
    response["Cache-Control"] = "no-store"
    return response


def render_rows(
    request: HttpRequest, template: str, name: str, rows: QuerySet[Any]
) -> JsonResponse:
    """`?row=ID:seen&…` → {"rows": {ID: html of those that look otherwise now}, "gone": [ID]}.

    The template knows each of `rows` by `name`.
    """
    seen = dict(asked.partition(":")[::2] for asked in request.GET.getlist("row")[:MAX_ROWS])
    keys = []
    for text in seen:
        with suppress(ValidationError):
            keys.append(rows.model._meta.pk.clean(text, None))
    known = {str(row.pk): row for row in rows.filter(pk__in=keys)}
    changed = {
        pk: render_to_string(template, {name: known[pk]}, request)
        for pk, stage in seen.items()
        if pk in known and known[pk].stage != stage
    }
    gone = [pk for pk in seen if pk not in known]
    return JsonResponse({"rows": changed, "gone": gone}, headers={"Cache-Control": "no-store"})
