"""URLs used by several of pages, API and admin."""

from urllib.parse import quote

from django.conf import settings
from django.contrib.auth.models import User
from django.urls import reverse

from classifier.checkpoints import inventory
from classifier.models import Inspection, InspectionKind, ShareLink, State
from classifier.services import inspections, passwords


def checkpoint_page(identity: str) -> str | None:
    """Return the URL of the checkpoint's evaluation, or None if it is not installed."""
    for one in inventory.installed():
        if one.identity == identity:
            return f"{reverse('models')}#{quote(one.name)}"
    return None


def result_url(name: str, *args: object, link: ShareLink | None = None) -> str:
    """Return a URL of an analysis or inspection: its owner's, or the one under a share link."""
    return reverse(f"shared:{name}", args=[link.token, *args]) if link else reverse(name, args=args)


def inspection_files(inspection: Inspection, link: ShareLink | None = None) -> dict[str, str]:
    """Return the URL of each file of a finished inspection, and of each picture in its archive."""
    if inspection.state != State.DONE:
        return {}
    names = inspections.FILES[InspectionKind(inspection.kind)]
    found = {name: result_url("inspection_file", inspection.pk, name, link=link) for name in names}
    if archive := inspections.archive(inspection):
        for name in archive.index.picture_names():
            address = result_url("inspection_map", inspection.pk, name, link=link)
            found[f"maps/{name}.png"] = address
    return found


def shared_page(link: ShareLink) -> str:
    """Return the absolute URL of a share link."""
    return settings.ORIGIN + reverse("share", args=[link.token])


def password_reset(user: User) -> str:
    """Return a new absolute URL at which the user can set a password without the old one."""
    return settings.ORIGIN + reverse("password_reset_confirm", args=passwords.link_parts(user))
