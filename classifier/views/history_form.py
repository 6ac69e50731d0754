"""The filters of the history page, as its address has them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import QueryDict
from django.utils import timezone

from classifier.checkpoints.class_names import display_name
from classifier.checkpoints.descriptions import title_of
from classifier.models import MAX_FOLDER_CHARACTERS, Analysis, Batch, Judged, Owner, State, Tag
from classifier.models.history import DEFAULT_SORT, SORTS
from classifier.services import notes
from classifier.services.problems import RequestRefused
from ml import notices

NOTICES = {
    notices.CHANNELS_CANCELLED: "Channels cancel out",
    notices.CUT_SHORT: "End is missing",
    notices.LENGTH_WRONG: "Longer than its header",
    notices.PART_SKIPPED: "Damaged part left out",
    notices.PARTS_JOINED: "Several recordings joined",
    notices.RATE_CHANGED: "Sample rate changes",
    notices.SECOND_TRACK_USED: "Another track used",
    notices.SILENT: "Silent",
    notices.START_SKIPPED: "Start left out",
}
# What a filter is called where it is active; the value takes the place of {}.
CHIPS = {
    "name": "Name: {}",
    "label": "{}",
    "min_confidence": "{} % or more",
    "max_confidence": "{} % or less",
    "since": "From {}",
    "until": "Until {}",
    "min_length": "{} s or longer",
    "max_length": "{} s or shorter",
    "folder": "Folder: {}",
    "batch": "Batch: {}",
    "state": "State: {}",
    "checkpoint": "Model: {}",
    "notice": "Notice: {}",
    "tag": "Tag: {}",
    "judged": "Checked: {}",
}
RANGES = (("min_confidence", "max_confidence"), ("since", "until"), ("min_length", "max_length"))
# The batches and folders that are offered; a link may name any other.
MAX_BATCHES = 50
MAX_FOLDERS = 200
MAX_PAGE = 100_000


@dataclass(frozen=True, slots=True)
class Chip:
    """An active filter, and the query string without it."""

    text: str
    rest: str


def _percent(label: str) -> forms.FloatField:
    return forms.FloatField(required=False, min_value=0, max_value=100, label=label)


def _seconds(label: str) -> forms.FloatField:
    return forms.FloatField(required=False, min_value=0, max_value=1_000_000, label=label)


def _day(label: str) -> forms.DateField:
    limits = [MinValueValidator(date(1970, 1, 1)), MaxValueValidator(date(2999, 12, 31))]
    widget = forms.DateInput(attrs={"type": "date"})
    return forms.DateField(required=False, label=label, widget=widget, validators=limits)


def _choice(label: str, most: int) -> forms.CharField:
    """Return a field with choices that also takes other values, which nothing may match."""
    return forms.CharField(required=False, label=label, max_length=most, widget=forms.Select)


class HistoryForm(forms.Form):
    """The filters and the order of the history page; they are part of its URL."""

    name = forms.CharField(required=False, max_length=100, label="Name contains")
    label = _choice("Class", 80)
    min_confidence = _percent("Confidence from (%)")
    max_confidence = _percent("to (%)")
    since = _day("Uploaded from")
    until = _day("to")
    min_length = _seconds("Length from (s)")
    max_length = _seconds("to (s)")
    batch = _choice("Batch", 36)
    folder = forms.CharField(
        required=False,
        max_length=MAX_FOLDER_CHARACTERS - 1,
        label="Folder",
        widget=forms.TextInput(attrs={"list": "known-folders", "autocomplete": "off"}),
    )
    state = forms.ChoiceField(
        required=False, choices=[("", "any"), *((one.value, one.label) for one in State)]
    )
    checkpoint = _choice("Model", 120)
    notice = forms.ChoiceField(required=False, choices=[("", "any"), *NOTICES.items()])
    tag = _choice("Tag", 60)
    judged = forms.ChoiceField(
        required=False, label="Checked", choices=[("", "any"), *Judged.choices]
    )
    sort = forms.ChoiceField(
        required=False,
        label="Order",
        choices=[
            ("" if name == DEFAULT_SORT else name, sort.title) for name, sort in SORTS.items()
        ],
    )
    page = forms.IntegerField(required=False, min_value=1, max_value=MAX_PAGE)

    ALWAYS_SHOWN = ("name", "label", "sort")

    def __init__(self, asked: QueryDict, *, user: Owner) -> None:
        super().__init__(asked)
        self.asked = asked
        self.user = user
        batches = Batch.objects.for_owner(user)[:MAX_BATCHES]
        tags = list(Tag.objects.filter(owner=user.pk))
        labels = ((one, display_name(one)) for one in Analysis.objects.values_of(user, "label"))
        checkpoints = Analysis.objects.values_of(user, "checkpoint")
        for name in ("state", "notice", "judged", "sort"):
            self.fields[name].error_messages["invalid_choice"] = "“%(value)s” is not a choice."
        self._offer("label", sorted(labels, key=lambda pair: pair[1]))
        self._offer("batch", ((str(batch.pk), batch.name) for batch in batches))
        self._offer("checkpoint", ((one, title_of(one)) for one in checkpoints))
        self._offer("tag", ((tag.name, tag.name) for tag in tags))
        self.tags = tags
        self.folders = [
            one.rstrip("/") for one in Analysis.objects.values_of(user, "clip_folder", MAX_FOLDERS)
        ]

    def _offer(self, name: str, choices: Iterable[tuple[str, str]]) -> None:
        """Set the choices of a field, with its present value among them."""
        found = dict(choices)
        if current := self.data.get(name):
            found.setdefault(current, display_name(current) if name == "label" else current)
        widget = self.fields[name].widget
        assert isinstance(widget, forms.Select)
        widget.choices = [("", "any"), *found.items()]

    def clean_batch(self) -> Batch | None:
        if not (asked := self.cleaned_data["batch"]):
            return None
        try:
            found = Batch.objects.for_owner(self.user).filter(pk=UUID(asked)).first()
        except ValueError:
            found = None
        if found is None:
            raise ValidationError("This batch does not exist.")
        self._offer("batch", [*self.fields["batch"].widget.choices[1:], (asked, found.name)])
        return found

    def clean_tag(self) -> Tag | None:
        if not (asked := self.cleaned_data["tag"]):
            return None
        try:
            found = notes.named(self.user, asked)
        except RequestRefused:  # the text is not the name of a tag
            found = None
        if found is None:
            raise ValidationError(f"You have no tag “{asked}”.")
        return found

    def clean(self) -> None:
        if unknown := sorted(set(self.data) - set(self.fields)):
            raise ValidationError(f"There is no filter “{unknown[0][:40]}”.")
        if twice := [name for name in self.data if len(self.asked.getlist(name)) > 1]:
            raise ValidationError(f"The filter “{twice[0]}” is given more than once.")
        for low, high in RANGES:
            first, last = self.cleaned_data.get(low), self.cleaned_data.get(high)
            if first is not None and last is not None and first > last:
                self.add_error(high, "The range ends before it starts.")

    @property
    def filters(self) -> dict[str, Any]:
        """The filters of a valid form, as `AnalysisQuerySet.matching` takes them."""
        found = {
            name: value
            for name, value in self.cleaned_data.items()
            if name not in ("page", "since", "until") and value not in (None, "")
        }
        for name in ("min_confidence", "max_confidence"):
            if name in found:
                found[name] /= 100
        if since := self.cleaned_data["since"]:
            found["created_after"] = _start_of(since)
        if until := self.cleaned_data["until"]:
            found["created_before"] = _start_of(until + timedelta(days=1))
        return found

    @property
    def order(self) -> str:
        """The order, a name in `models.history.SORTS`; the default one if the form is not valid."""
        return (self.is_valid() and self.cleaned_data["sort"]) or DEFAULT_SORT

    @property
    def query(self) -> str:
        """The query string of the filters and the order, without the page."""
        return self._query("page")

    @property
    def chips(self) -> list[Chip]:
        """The active filters of a valid form."""
        return [Chip(text, self._query("page", name)) for name, text in self._texts()]

    def _texts(self) -> Iterable[tuple[str, str]]:
        for name, text in CHIPS.items():
            if value := self.data.get(name):
                choices = dict(getattr(self.fields[name].widget, "choices", ()))
                yield name, text.format(choices.get(value, value))

    def _query(self, *without: str) -> str:
        kept = {name: self.data.get(name) for name in self.fields if name not in without}
        return urlencode({name: value for name, value in kept.items() if value})

    @property
    def further_fields(self) -> list[forms.BoundField]:
        """The fields that are shown on demand."""
        return [one for one in self if one.name not in (*self.ALWAYS_SHOWN, "page")]

    @property
    def first_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.ALWAYS_SHOWN]

    @property
    def further(self) -> bool:
        """Whether a field that is shown on demand has a value."""
        return any(self.data.get(one.name) for one in self.further_fields)


def _start_of(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
