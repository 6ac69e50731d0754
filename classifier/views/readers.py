"""Whose results a request may see: those of its user, or the single one of a share link."""

from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import Http404, HttpRequest

from classifier.models import Analysis, Clip, Inspection, Owner, ShareLink
from classifier.views import sent_sounds


@dataclass(frozen=True, slots=True)
class Reader:
    """Whose results may be seen, or which one.

    Attributes
    ----------
    owner : Owner
        The owner of the results.
    link : ShareLink or None
        With it, only the analysis of the link and its inspections may be seen.
    is_sender : bool
        Whether the request comes from the browser that sent the sound without an account.
    """

    owner: Owner
    link: ShareLink | None = None
    is_sender: bool = False

    @property
    def analyses(self) -> QuerySet[Analysis]:
        rows = Analysis.objects.for_owner(self.owner)
        return rows.filter(pk=self.link.analysis_id) if self.link else rows

    @property
    def clips(self) -> QuerySet[Clip]:
        rows = Clip.objects.for_owner(self.owner)
        return rows.filter(pk=self.link.analysis.clip_id) if self.link else rows

    @property
    def inspections(self) -> QuerySet[Inspection]:
        rows = Inspection.objects.for_owner(self.owner)
        return rows.filter(analysis=self.link.analysis_id) if self.link else rows

    @property
    def may_ask(self) -> bool:
        """Whether new inspections may be requested."""
        return self.link is None or self.link.may_explain

    @property
    def context(self) -> dict[str, Any]:
        """What the templates of a result need about the reader."""
        return {
            "link": self.link,
            "can_ask": self.may_ask,
            "is_sender": self.is_sender,
            "sign_up_open": settings.SIGN_UP_OPEN,
        }


def holder_of(token: str) -> Reader:
    """Return the reader who has the share link with this token.

    Raises
    ------
    Http404
        There is no such link, or it has expired.
    """
    link = ShareLink.objects.open(token)
    if link is None:
        raise Http404
    return Reader(link.owner, link)


def reader_of(request: HttpRequest, token: str) -> Reader:
    """Return the holder of the share link, or without a token the user of the request."""
    if not token:
        return Reader(request.user)
    reader = holder_of(token)
    assert reader.link is not None
    return replace(reader, is_sender=sent_sounds.was_sent_here(request, reader.link))
