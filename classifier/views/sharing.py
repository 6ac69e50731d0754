"""Share links: the page of a link, and their owners' control of them."""

from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from classifier.links import shared_page
from classifier.models import Analysis, ShareLink, State
from classifier.services import sharing
from classifier.services.problems import RequestRefused
from classifier.views import results
from classifier.views.cards import card_of
from classifier.views.parts import for_htmx
from classifier.views.readers import reader_of


@require_safe
def page(request: HttpRequest, token: str) -> HttpResponse:
    """Show the result; the query is that of the owner's page.

    Unknown, revoked and expired links get the same 404.
    """
    reader = reader_of(request, token)
    assert reader.link is not None
    analysis = reader.link.analysis
    context = results.page_context(reader, analysis, request.GET)
    context["visitors_open"] = settings.VISITORS
    if analysis.state == State.DONE:
        context["preview"] = {
            "card": card_of(analysis),
            "page": shared_page(reader.link),
            "picture": settings.ORIGIN + reverse("share_card", args=[token]),
        }
    return render(request, "classifier/shared.html", context)


@require_POST
@for_htmx(gone="history")
def share(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Make a link to an analysis; return its part of the result page, or go back to the page."""
    analysis = get_object_or_404(Analysis.objects.for_owner(request.user), pk=pk)
    try:
        sharing.share(analysis)
    except RequestRefused:
        return redirect("history")  # it was deleted meanwhile
    return _part(request, analysis)


@require_POST
@for_htmx(gone="history")
def revoke(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Revoke the link to an analysis; return its part of the result page, or go back to it."""
    analysis = get_object_or_404(Analysis.objects.for_owner(request.user), pk=pk)
    if link := sharing.link_of(analysis):
        sharing.revoke(link)
    return _part(request, analysis)


def _part(request: HttpRequest, analysis: Analysis) -> HttpResponse:
    if "HX-Request" not in request.headers:
        return redirect("result", pk=analysis.pk)
    context = {"analysis": analysis, "shared": results.shared_context(analysis), "opened": True}
    return render(request, "classifier/_shared_parts.html", context)


@login_required
@require_POST
def revoke_listed(request: HttpRequest, token: str) -> HttpResponse:
    """Revoke a link of the list on the account page."""
    sharing.revoke(get_object_or_404(ShareLink.objects.for_owner(request.user), token=token))
    return redirect("account")
