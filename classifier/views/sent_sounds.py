"""The sounds that a browser sent without an account, and their way into an account.

A signed cookie lists the share links of these sounds, so that a browser without an account needs no
session, and whoever only has a link cannot claim to have sent the sound.
"""

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from classifier.models import ShareLink
from classifier.services import visitors

COOKIE = "sent_sounds"
# A browser stores cookies of about 4 KB.
MAX_TOKENS = 100
SEPARATOR = "."  # in no token


def remember(request: HttpRequest, response: HttpResponse, link: ShareLink) -> None:
    """Add a sound to those that this browser has sent."""
    tokens = [*_tokens(request), link.token][-MAX_TOKENS:]
    response.set_signed_cookie(
        COOKIE,
        SEPARATOR.join(tokens),
        max_age=_kept_s(),
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def was_sent_here(request: HttpRequest, link: ShareLink) -> bool:
    """Whether this browser sent the sound of a visitor's link."""
    return link.kept_until is not None and link.token in _tokens(request)


def go_on(request: HttpRequest, user: User, address: str) -> HttpResponse:
    """Give the sounds of this browser to the user who has just signed in, and redirect.

    Parameters
    ----------
    address : str
        Where to go; "" for the page of the last of these sounds, or without one the Upload page.
    """
    last = visitors.hand_over(_tokens(request), user)
    if not address:
        address = reverse("result", args=[last.pk]) if last else reverse("home")
    # Not `redirect`, which would take an address without a slash for the name of a URL.
    response = HttpResponseRedirect(address)
    response.delete_cookie(COOKIE, samesite="Lax")
    return response


def _tokens(request: HttpRequest) -> list[str]:
    """Return the tokens of the cookie, the oldest first; none if its signature is wrong."""
    text = request.get_signed_cookie(COOKIE, default="", max_age=_kept_s())
    return text.split(SEPARATOR) if text else []


def _kept_s() -> int:
    return 60 * settings.VISITOR_KEEP_MINUTES
