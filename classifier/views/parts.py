"""Helpers for requests from the pages' scripts: parts of a page, and JSON."""

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
from ml.file_names import OTHER_EXTENSIONS

# A page may ask for at most this many rows in one request.
MAX_ROWS = 60

View = Callable[..., HttpResponse]


def for_htmx(gone: str) -> Callable[[View], View]:
    """Redirect the page to sign-in, or to `gone` if the view raises Http404.

    The redirect is a header: htmx would follow a normal redirect and insert that page as the part.
    A share link, whose `token` the view gets, needs no sign-in; the page is loaded again, and says
    that it is gone.

    Parameters
    ----------
    gone : str
        Name of the URL to go to.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            token = kwargs.get("token")
            if not token and not request.user.is_authenticated:
                return HttpResponse(headers={"HX-Redirect": reverse("login")})
            try:
                return view(request, *args, **kwargs)
            except Http404:
                address = reverse("share", args=[token]) if token else reverse(gone)
                return HttpResponse(status=404, headers={"HX-Redirect": address})

        return answer

    return decorate


def for_script(view: View) -> View:
    """Answer 401 instead of a redirect to sign-in, and refused requests as {code, detail, hint}.

    A share link, whose `token` the view gets, needs no sign-in.
    """

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not kwargs.get("token") and not request.user.is_authenticated:
            return JsonResponse({"code": "not_authenticated"}, status=401)
        try:
            return view(request, *args, **kwargs)
        except RequestRefused as refused:
            return JsonResponse(refused.problem.as_dict(), status=refused.status)

    return answer


def from_script(request: HttpRequest) -> bool:
    """Whether the page's script sent the request, not a plain form."""
    return request.headers.get("X-Requested-With") == "fetch"


def other_extensions() -> str:
    """Return the extensions of files that contain no audio, separated by slashes."""
    return "/".join(sorted(OTHER_EXTENSIONS))


def render_part(
    request: HttpRequest,
    template: str,
    seen: str,
    context: Callable[[], dict[str, Any]],
    status: int = 200,
) -> HttpResponse:
    """Render a part of a page, or return 204 if the page already shows it.

    Parameters
    ----------
    seen : str
        State of the part; the page sends the state it shows as `?seen=`.
    context : callable
        Called only if the part is rendered.
    status : int
        HTTP status of a rendered part.
    """
    if request.GET.get("seen") == seen:
        return HttpResponse(status=204)
    response = render(request, template, context(), status=status)
    response["Cache-Control"] = "no-store"
    return response


def render_rows(
    request: HttpRequest, template: str, name: str, rows: QuerySet[Any]
) -> JsonResponse:
    """Return the rows whose state differs from what the page shows.

    The page sends `?row=ID:seen&…`, at most `MAX_ROWS` of them.

    Parameters
    ----------
    name : str
        Variable of the row in the template.
    rows : QuerySet
        The rows that the user may see.

    Returns
    -------
    JsonResponse
        {"rows": {ID: HTML of a changed row}, "gone": [ID of a deleted row]}.
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
