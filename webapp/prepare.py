"""Prepare the data folder before the processes start: `python -m webapp.prepare`.

`make run` does it automatically; in Compose it is a separate service that the others wait for.
"""

import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

import django
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader


def prepare() -> None:
    """Migrate the database, collect static files, and create folders and the first admin.

    A generated admin password is printed once.

    Raises
    ------
    ImproperlyConfigured
        The data was written by another version.
    """
    check_data_version()
    call_command("migrate", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)
    # Empty, so that administrators find where to put checkpoints.
    Path(settings.CHECKPOINTS).mkdir(parents=True, exist_ok=True)
    users = get_user_model().objects
    if users.filter(is_superuser=True).exists():
        return
    password = settings.ADMIN_PASSWORD or secrets.token_urlsafe(12)
    users.create_superuser(settings.ADMIN_USER, password=password)
    shown = "as in ADMIN_PASSWORD" if settings.ADMIN_PASSWORD else f"{password}  (shown only once)"
    print(f"First admin: {settings.ADMIN_USER}\nPassword:    {shown}", flush=True)


def check_data_version() -> None:
    """Check that this version knows all migrations of the database.

    Raises
    ------
    ImproperlyConfigured
        The database has a migration of another version.
    """
    migrations = MigrationLoader(connection)
    unknown = set(migrations.applied_migrations) - set(migrations.disk_migrations)
    if any(app == "classifier" for app, _ in unknown):
        raise ImproperlyConfigured(
            f"The data in {settings.DATA} was written by another version of Sonoscope and cannot "
            "be used by this one. Move that folder elsewhere, or set SONOSCOPE_DATA (and "
            "DATABASE_URL, if it is set) to a new location, and start again."
        )


def main(work: Callable[[], None] = prepare) -> int:
    """Set up Django, do the work and return an exit status.

    If the work raises ImproperlyConfigured, its message is printed and the status is 1.
    """
    # Uploads are private: no file created from here on is readable by other system users.
    os.umask(0o077)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
    try:
        django.setup()
        work()
    except ImproperlyConfigured as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
