"""Reset of a forgotten password: the secret of its link, and what ends with the old password.

A link has no row. Its secret is a signature of the user's password, address and last sign-in, so
it expires when one of them changes, or after `RESET_LINK_DAYS`.
"""

from axes.utils import reset
from django.contrib.auth.models import User
from django.contrib.auth.tokens import default_token_generator
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from classifier.models import ApiToken


def link_parts(user: User) -> tuple[str, str]:
    """Return the user's id and the secret, for the URL of a link that resets the password."""
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    return uid, default_token_generator.make_token(user)


def revoke_access(user: User) -> None:
    """Revoke a user's API tokens and unlock the username.

    Sessions need no deletion: they are valid only with the password they began with.
    """
    ApiToken.objects.filter(user=user).delete()
    reset(username=user.get_username())
