"""Judgements: what a person says that a sound is."""

from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from classifier.models.clips import Clip, beside
from classifier.models.leasing import State

if TYPE_CHECKING:
    from classifier.models.events import Event


class Judged(models.TextChoices):
    """What a filter by judgement selects."""

    RIGHT = "right", "right"
    WRONG = "wrong", "wrong"
    JUDGED = "judged", "checked"
    NOT_JUDGED = "not_judged", "not checked"


class Judgement(models.Model):
    """What a person says that a clip as a whole, or an event of a recording, is.

    Whether an answer was right is not stored but compared, so that a judgement of a clip also
    applies to its other analyses; one without a class only to those of the same checkpoint, because
    another checkpoint may have the class. Each clip and each event has at most one; judging again
    replaces it.
    """

    clip = models.OneToOneField(Clip, models.CASCADE, null=True, related_name="judgement")
    event = models.OneToOneField(
        "classifier.Event", models.CASCADE, null=True, related_name="judgement"
    )
    label = models.CharField(
        max_length=80,
        blank=True,
        help_text="The right class; empty if it is none of the checkpoint's classes.",
    )
    checkpoint = models.CharField(
        max_length=120, help_text="The checkpoint whose answer was judged, as name@sha256."
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="judgements"
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(clip=None, event__isnull=False) | Q(clip__isnull=False, event=None),
                name="judgement_of_a_clip_or_an_event",
            )
        ]

    def __str__(self) -> str:
        return self.label or "none of the classes"

    @property
    def by(self) -> str | None:
        """Name of the user who judged; None if the account was deleted."""
        return self.user.get_username() if self.user else None


def judgement_of(judged: "Clip | Event") -> Judgement | None:
    """Return the judgement of a clip as a whole, or of an event; None without one."""
    try:
        return judged.judgement
    except ObjectDoesNotExist:
        return None


def judged(choice: str) -> Q:
    """Return the condition that selects analyses by the judgement of their clip as a whole.

    Only a finished analysis is right or wrong. One that is not sure is also right if the clip is
    none of the classes.

    Parameters
    ----------
    choice : str
        A value of `Judged`; "" for any analysis.
    """
    said = Judgement.objects.filter(clip=OuterRef("clip"))
    labelled = said.exclude(label="")
    none = said.filter(label="", checkpoint=OuterRef("checkpoint"))
    # First a subquery over the few judgements, not a join: it is evaluated once, not for each
    # analysis.
    known = Q(clip__in=Judgement.objects.filter(clip__isnull=False).values("clip"))
    known &= Q(Exists(labelled) | Exists(none))
    done = known & beside(state=State.DONE)
    right = Exists(labelled.filter(label=OuterRef("label"))) | (Q(not_sure=True) & Exists(none))
    conditions = {
        "": Q(),
        Judged.RIGHT: done & right,
        Judged.WRONG: done & ~right,
        Judged.JUDGED: known,
        Judged.NOT_JUDGED: ~known,
    }
    return conditions[choice]
