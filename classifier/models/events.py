"""Events of a recording."""

from typing import TYPE_CHECKING, Any, Self

from django.db import models
from django.db.models import Count, Max

from classifier.models.analyses import Analysis
from classifier.models.clips import Owner
from classifier.models.judgements import judgement_of

if TYPE_CHECKING:
    from ml.events import Event as FoundEvent


class EventQuerySet(models.QuerySet["Event"]):
    def for_owner(self, user: Owner) -> Self:
        """Return a user's events."""
        return self.filter(analysis__owner=user.pk)

    def strongest(self) -> "Event | None":
        """Return the event with the highest confidence."""
        return self.order_by("-confidence", "start_s", "pk").first()

    def labels(self) -> models.QuerySet[Any, Any]:
        """Return the labels of these events, the most frequent first, then by confidence.

        Each row has label, events (their number) and best (their highest confidence).
        """
        rows = self.values("label").annotate(events=Count("pk"), best=Max("confidence"))
        return rows.order_by("-events", "-best", "label")


class Event(models.Model):
    """A span of one label in a recording, as one analysis found it. Saved with the analysis."""

    analysis = models.ForeignKey(Analysis, models.CASCADE, related_name="events", db_index=False)
    label = models.CharField(max_length=80)
    start_s = models.FloatField()
    end_s = models.FloatField()
    confidence = models.FloatField(help_text="The highest score, 0 to 1.")
    peak_s = models.FloatField(help_text="Where the score is highest.")
    low_hz = models.FloatField(null=True, help_text="Null if it is not known.")
    high_hz = models.FloatField(null=True, help_text="Null if it is not known.")

    objects = EventQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["analysis", "start_s", "id"], name="event_of_analysis"),
        ]

    def __str__(self) -> str:
        return f"{self.label} {self.start_s:g}–{self.end_s:g} s"

    @property
    def right(self) -> bool | None:
        """Whether the label agrees with the judgement; None without one."""
        said = judgement_of(self)
        return said.label == self.label if said else None

    @classmethod
    def of(cls, analysis: Analysis, found: "FoundEvent") -> "Event":
        """Return the unsaved row of an event that was found."""
        return cls(
            analysis=analysis,
            label=found.label,
            start_s=found.start_s,
            end_s=found.end_s,
            confidence=found.confidence,
            peak_s=found.peak_s,
            low_hz=found.low_hz,
            high_hz=found.high_hz,
        )
