"""Sounds of visitors, who have no account: accept them, and delete them soon after.

A built-in account owns them, so that every row has an owner. Nobody can sign in to it. A visitor
sees a result through its share link and nothing else.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from classifier.checkpoints import inventory
from classifier.checkpoints.inventory import Installed
from classifier.models import (
    UNFINISHED,
    VISITORS,
    Analysis,
    Clip,
    Inspection,
    InspectionKind,
    ShareLink,
    State,
)
from classifier.services import deletion, inspections, sharing, uploads
from classifier.services.inspections import Question
from classifier.services.problems import refusal, too_large
from classifier.services.samples import EXAMPLE, sample_path

# The last of them is answered after some seconds. The clips of users go first.
MAX_WAITING = 20
# Those of users wait among them.
MAX_WAITING_INSPECTIONS = 8
# These two and VISITOR_MAX_MB bound the space on the disk: a sound has its file, its result and the
# files of its inspections.
MAX_KEPT = 500
# Enough for each class and each map of a short sound.
MAX_INSPECTIONS = 80
# What takes a worker seconds, or is made for exports, needs an account.
ALLOWED_KINDS = (
    InspectionKind.EXPLANATION,
    InspectionKind.CHANNELS,
    InspectionKind.WINDOW,
    InspectionKind.TILE,
)


def account() -> User:
    """Return the account that owns the sounds of visitors; create it if it does not exist."""
    facts = {"is_active": False, "password": make_password(None)}
    return get_user_model().objects.get_or_create(username=VISITORS, defaults=facts)[0]


def accept(chunks: Iterable[bytes], *, name: str, size_bytes: int) -> ShareLink:
    """Accept a visitor's sound and return the link to its result.

    Both are deleted after VISITOR_KEEP_MINUTES.

    Parameters
    ----------
    name : str
        Label of the file's name, see `ml.file_names`.
    size_bytes : int
        Length of the file, before it is stored.

    Raises
    ------
    RequestRefused
        The file is larger than VISITOR_MAX_MB (413), there are too many sounds of visitors (429),
        or as `uploads.accept` raises it.
    """
    if size_bytes > settings.VISITOR_MAX_BYTES:
        raise too_large(settings.VISITOR_MAX_BYTES)
    owner = account()
    _check_room(owner)
    analysis = uploads.accept(chunks, name=name, owner=owner)
    link, _ = sharing.share(analysis, expires_at=analysis.created_at + _keep())
    return link


def _check_room(owner: User) -> None:
    """Raise RequestRefused if as many sounds of visitors wait, or are kept, as is allowed."""
    if Analysis.objects.filter(owner=owner, state__in=UNFINISHED).count() >= MAX_WAITING:
        raise refusal(
            "too_many_visitors",
            "Many people are trying sounds at the moment.",
            "Try again in a minute, or sign in.",
            status=429,
        )
    if Clip.objects.for_owner(owner).count() >= MAX_KEPT:
        raise refusal(
            "visitors_full",
            "There is no room for another sound of people without an account.",
            f"Each is deleted after {settings.VISITOR_KEEP_MINUTES} min. Try again later, or sign "
            "in.",
            status=429,
        )


def explain(analysis: Analysis, question: Question) -> Inspection:
    """Return the inspection that answers a visitor's question, as `inspections.ask` does.

    Raises
    ------
    RequestRefused
        Visitors cannot request this kind (403). Or the inspection is not finished yet, and too many
        of visitors wait, or the analysis has too many (429). Or as `inspections.ask` raises it.
    """
    hint = "Create an account, which keeps this sound, and request it there."
    if question.kind not in ALLOWED_KINDS:
        raise refusal("account_required", "This needs an account.", hint, status=403)
    known = inspections.find(analysis, question)
    if known and known.state != State.FAILED:
        return known
    if Inspection.objects.filter(analysis=analysis).count() >= MAX_INSPECTIONS:
        detail = f"This result has {MAX_INSPECTIONS} inspections, the most without an account."
        raise refusal("too_many_inspections", detail, hint, status=429)
    waiting = Inspection.objects.for_owner(account()).filter(state__in=UNFINISHED)
    if waiting.count() >= MAX_WAITING_INSPECTIONS:
        hint = "Try again in a few seconds."
        raise refusal("too_many_visitors", "Many people are trying sounds.", hint, status=429)
    return inspections.ask(analysis, question)


# --- into an account, or deleted at once --------------------------------------------------


def hand_over(tokens: Sequence[str], user: User) -> Analysis | None:
    """Give sounds of visitors, with all their results, to a user; their share links end.

    A running analysis continues. The sounds count towards the user's quotas, but none is refused.

    Parameters
    ----------
    tokens : sequence of str
        Tokens of the share links; those of sounds that are gone are ignored.

    Returns
    -------
    Analysis or None
        The newest analysis of these sounds, if there is one.
    """
    if not tokens:
        return None
    theirs = Clip.objects.of_visitors()
    with transaction.atomic():
        asked = list(theirs.filter(analyses__shares__token__in=tokens).values_list("pk", flat=True))
        # Analyses before clips, as in a deletion.
        runs = Analysis.objects.filter(clip__in=asked).order_by("pk").select_for_update()
        list(runs.values_list("pk"))
        rows = theirs.filter(pk__in=asked).order_by("pk").select_for_update(of=("self",))
        kept = list(rows.values_list("pk", flat=True))
        Clip.objects.filter(pk__in=kept).update(owner=user)
        analyses = Analysis.objects.filter(clip__in=kept)
        analyses.update(owner=user)
        ShareLink.objects.filter(analysis__clip__in=kept).delete()
        return analyses.order_by("-created_at").first()


def delete_sound(link: ShareLink) -> None:
    """Delete the sound of a visitor's link at once, unless it was handed over."""
    deletion.delete_clips(Clip.objects.of_visitors().filter(pk=link.analysis.clip_id))


# --- the example of the front page --------------------------------------------------------


def example() -> ShareLink | None:
    """Return the link to the default checkpoint's analysis of a sample sound; make both at first.

    Returns
    -------
    ShareLink or None
        None if no usable checkpoint is installed.
    """
    default = inventory.find("")
    if default is None:
        return None
    if known := _examples(default).first():
        return known
    with transaction.atomic():
        # Locked, so that two requests do not make two examples.
        owner = get_user_model().objects.select_for_update(no_key=True).get(pk=account().pk)
        if known := _examples(default).first():
            return known
        path = sample_path(EXAMPLE)
        analysis = uploads.accept(
            [path.read_bytes()], name=path.name, owner=owner, checkpoint=default.identity
        )
        return sharing.share(analysis)[0]


def example_explanation(analysis: Analysis) -> Inspection | None:
    """Return the explanation of the example's answer; None until the analysis is done."""
    if analysis.state != State.DONE or analysis.metadata is None:
        return None
    window = analysis.metadata.shown_window
    question = Question(InspectionKind.EXPLANATION, window, analysis.label)
    return inspections.find(analysis, question) or inspections.ask(analysis, question)


def _examples(checkpoint: Installed) -> QuerySet[ShareLink]:
    rows = ShareLink.objects.filter(
        owner__username=VISITORS, analysis__checkpoint=checkpoint.identity, expires_at=None
    )
    return rows.select_related("analysis__clip", "owner").order_by("pk")


# --- removed by the sweep -----------------------------------------------------------------


def remove_old(limit: int) -> int:
    """Remove the sounds of visitors that are older than VISITOR_KEEP_MINUTES.

    The current example stays, unless it failed: then it is made again.

    Parameters
    ----------
    limit : int
        Remove at most this many.

    Returns
    -------
    int
        The number of removed clips.
    """
    old = Clip.objects.of_visitors().filter(created_at__lt=timezone.now() - _keep())
    if default := inventory.find(""):
        current = _examples(default).exclude(analysis__state=State.FAILED)
        old = old.exclude(pk__in=current.values("analysis__clip"))
    some = list(old.order_by("created_at").values_list("pk", flat=True)[:limit])
    if some:
        # Under all conditions: a clip may have been handed over meanwhile.
        deletion.delete_clips(old.filter(pk__in=some))
    return len(some)


def _keep() -> timedelta:
    return timedelta(minutes=settings.VISITOR_KEEP_MINUTES)
