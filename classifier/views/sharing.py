"""The page of a share link: one result, read only, without an account."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from classifier.views import results
from classifier.views.readers import holder_of


@require_safe
def page(request: HttpRequest, token: str) -> HttpResponse:
    """Show the result; the query is that of the owner's page.

    Unknown, revoked and expired links get the same 404.
    """
    reader = holder_of(token)
    assert reader.link is not None
    context = results.page_context(reader, reader.link.analysis, request.GET)
    context["sign_up_open"] = settings.SIGN_UP_OPEN
    context["address"] = settings.ORIGIN + reverse("share", args=[token])
    return render(request, "classifier/shared.html", context)
