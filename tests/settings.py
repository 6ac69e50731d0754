"""The settings of the servers that tests start: those of the project, with a fast password hash."""

from webapp.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
