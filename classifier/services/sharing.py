"""Make and revoke share links."""

from datetime import datetime

from django.db import transaction

from classifier.models import Analysis, ShareLink
from classifier.services.problems import refusal


def share(analysis: Analysis, expires_at: datetime | None = None) -> tuple[ShareLink, bool]:
    """Return the live link to an analysis, or make one.

    Parameters
    ----------
    expires_at : datetime or None
        When a new link stops working; None means never. An existing link keeps its own time.

    Returns
    -------
    tuple of ShareLink and bool
        The link, and whether it is new.

    Raises
    ------
    RequestRefused
        The analysis was deleted (404).
    """
    with transaction.atomic():
        # Locked, so that two requests do not make two links.
        if not Analysis.objects.select_for_update().filter(pk=analysis.pk).exists():
            hint = "If the clip still exists, analyse it again."
            raise refusal("not_found", "The analysis was deleted.", hint, status=404)
        if known := link_of(analysis):
            return known, False
        made = ShareLink.objects.create(
            analysis=analysis, owner_id=analysis.owner_id, expires_at=expires_at
        )
        return made, True


def link_of(analysis: Analysis) -> ShareLink | None:
    """Return the live link to an analysis, None if there is none."""
    return ShareLink.objects.live().filter(analysis=analysis).first()


def revoke(link: ShareLink) -> None:
    """Delete a link, so that it is not found from now on."""
    link.delete()


def remove_expired() -> int:
    """Delete the links that have expired and return how many; they are not found anyway."""
    return ShareLink.objects.expired().delete()[0]
