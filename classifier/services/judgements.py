"""What users say that their sounds are, and how often the answers agree with it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from classifier.models import (
    Analysis,
    Clip,
    Event,
    Judged,
    Judgement,
    Owner,
    State,
    beside,
    judged,
)
from classifier.services.problems import refusal

# Of the normal distribution, for a 95 % confidence interval.
Z95 = 1.959964


def judge_clip(analysis: Analysis, label: str, user: Owner) -> Judgement:
    """Save what the clip of an analysis is as a whole; an earlier judgement is replaced.

    Parameters
    ----------
    label : str
        A class of the analysis's checkpoint; "" if it is none of them.

    Raises
    ------
    RequestRefused
        The analysis is not done (409), has no such class (400), or was deleted (404).
    """
    if analysis.state != State.DONE:
        raise refusal(
            "not_done",
            "Only a finished analysis can be judged.",
            "Wait until the state of the analysis is done.",
            status=409,
        )
    return _save(analysis, {"clip": analysis.clip}, label, user)


def judge_event(event: Event, label: str, user: Owner) -> Judgement:
    """Save what an event is; an earlier judgement is replaced. Raises as `judge_clip`."""
    return _save(event.analysis, {"event": event}, label, user)


def remove(judged: Clip | Event) -> None:
    """Delete the judgement of a clip as a whole, or of an event, if there is one."""
    Judgement.objects.filter(**{judged._meta.model_name or "": judged}).delete()


def _save(analysis: Analysis, judged: dict[str, Any], label: str, user: Owner) -> Judgement:
    _check(analysis, label)
    values = {
        "label": label,
        "checkpoint": analysis.checkpoint,
        "user": user,
        "created_at": timezone.now(),
    }
    with transaction.atomic():
        # Locked, so that it is not deleted before the judgement is saved.
        if not Analysis.objects.select_for_update().filter(pk=analysis.pk).first():
            hint = "If the clip still exists, analyse it again."
            raise refusal("not_found", "The analysis was deleted.", hint, status=404)
        return Judgement.objects.update_or_create(**judged, defaults=values)[0]


def _check(analysis: Analysis, label: str) -> None:
    classes = classes_of(analysis)
    if label and label not in classes:
        raise refusal(
            "unknown_label",
            f"The checkpoint has no class {label[:80]!r}.",
            f"Send a class of the checkpoint, for example {', '.join(classes[:3])}, or no class "
            "if the sound is none of them.",
        )


def classes_of(analysis: Analysis) -> list[str]:
    """Return the classes of the checkpoint that made a finished analysis, sorted."""
    return sorted(prediction["class"] for prediction in analysis.predictions)


# --- how often the answers are right ------------------------------------------------------


@dataclass(slots=True)
class Precision:
    """How many answers with one class agree with their judgements.

    Attributes
    ----------
    checkpoint : str
        name@sha256.
    of : str
        clips, answers for a clip as a whole; or events.
    instead : dict of str to int
        What the other answers should have been, most frequent first; "" is none of the classes.
    """

    checkpoint: str
    of: str
    label: str
    right: int = 0
    instead: dict[str, int] = field(default_factory=dict)

    @property
    def judged(self) -> int:
        return self.right + sum(self.instead.values())

    @property
    def precision(self) -> float:
        return self.right / self.judged

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval of the precision."""
        return wilson(self.right, self.judged)


def wilson(right: int, judged: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of the share `right` / `judged`, which is above 0."""
    share, z2 = right / judged, Z95**2
    middle = (share + z2 / (2 * judged)) / (1 + z2 / judged)
    half = Z95 * math.sqrt(share * (1 - share) / judged + z2 / (4 * judged**2)) / (1 + z2 / judged)
    return max(0.0, middle - half), min(1.0, middle + half)


def precision(user: Owner) -> list[Precision]:
    """Return the precision of each class: that of clips, then that of events, by checkpoint.

    Analyses that are not sure give no answer and are left out. A clip that one checkpoint analysed
    several times counts once.
    """
    # The few judged clips lead to the analyses, not the owner.
    mine = beside(owner=user.pk, state=State.DONE)
    clips = Analysis.objects.filter(mine, judged(Judged.JUDGED), not_sure=False).values_list(
        "checkpoint", "label", "clip__judgement__label"
    )
    events = Judgement.objects.filter(event__analysis__owner=user.pk).values_list(
        "event__analysis__checkpoint", "event__label", "label"
    )
    return [
        *_counted("clips", clips.annotate(count=Count("clip", distinct=True)).order_by()),
        *_counted("events", events.annotate(count=Count("pk")).order_by()),
    ]


def _counted(of: str, rows: Iterable[tuple[str, str, str, int]]) -> list[Precision]:
    """Sum up rows of checkpoint, label, what was judged, and their number."""
    found: dict[tuple[str, str], Precision] = {}
    for checkpoint, label, said, count in sorted(rows, key=lambda row: (*row[:2], -row[3], row[2])):
        one = found.setdefault((checkpoint, label), Precision(checkpoint, of, label))
        if said == label:
            one.right = count
        else:
            one.instead[said] = count
    return list(found.values())
