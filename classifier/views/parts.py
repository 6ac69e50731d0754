"""What the pages' scripts ask for: parts of a page, and JSON."""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

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
    request: HttpRequest, template: str, name: str, find: Callable[[list[str]], Iterable[Any]]
) -> JsonResponse:
    """`?row=ID:seen&…` → {"rows": {ID: html of those that look otherwise now}, "gone": [ID]}.

    `find` gives the rows of some ids; the template knows each by `name`.
    """
    seen = dict(asked.partition(":")[::2] for asked in request.GET.getlist("row")[:MAX_ROWS])
    known = {str(row.pk): row for row in find(list(seen))}
    changed = {
        pk: render_to_string(template, {name: row}, request)
        for pk, row in known.items()
        if row.stage != seen[pk]
    }
    gone = [pk for pk in seen if pk not in known]
    return JsonResponse({"rows": changed, "gone": gone}, headers={"Cache-Control": "no-store"})
