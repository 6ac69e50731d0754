"""API tokens: knox tokens with a name, a time of last use and one additional check."""

from datetime import timedelta

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.utils import timezone
from knox.auth import TokenAuthentication as KnoxAuthentication
from rest_framework.exceptions import AuthenticationFailed

from classifier.models import ApiToken, Owner

DEFAULT_DAYS, MAX_DAYS = 30, 3650
# The last use is written at most once in this time, not with each request.
USE_NOTED_EVERY = timedelta(minutes=1)


class TokenAuthentication(KnoxAuthentication):
    """Token authentication that rejects non-ASCII tokens instead of raising a server error."""

    def authenticate_credentials(self, token: bytes) -> tuple[User, ApiToken]:
        if not token.isascii():
            raise AuthenticationFailed("Invalid token.")
        user, found = super().authenticate_credentials(token)
        _note_use(found)
        return user, found


def create(user: Owner, name: str = "", days: int = DEFAULT_DAYS) -> tuple[ApiToken, str]:
    """Create a token.

    Returns
    -------
    tuple of ApiToken and str
        The token and its secret. The secret is not stored, so it can be shown only now.
    """
    return ApiToken.objects.create(user=user, expiry=timedelta(days=days), name=name)


def of(user: Owner) -> QuerySet[ApiToken]:
    """Return a user's valid tokens, newest first."""
    living = Q(expiry=None) | Q(expiry__gt=timezone.now())
    return ApiToken.objects.filter(living, user=user).order_by("-created", "-public_id")


def _note_use(token: ApiToken) -> None:
    now = timezone.now()
    if token.last_used_at and now - token.last_used_at < USE_NOTED_EVERY:
        return
    unnoted = Q(last_used_at=None) | Q(last_used_at__lt=now - USE_NOTED_EVERY)
    ApiToken.objects.filter(unnoted, pk=token.pk).update(last_used_at=now)
