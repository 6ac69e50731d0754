"""The notice about finished batches, for every page that shows the header."""

from functools import partial
from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from classifier.services import batch_notices


def finished_batch(request: HttpRequest) -> dict[str, Any]:
    """Return the notice of the user as `finished`; the database is read only if a page uses it."""
    if not request.user.is_authenticated:
        return {}
    return {"finished": SimpleLazyObject(partial(batch_notices.unseen, request.user))}
