"""Forms of the pages."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.forms import UserCreationForm
from django.contrib.auth.models import User

from classifier.checkpoints.class_names import display_name

# By what a recording's events can be sorted, and the columns for it.
EVENT_ORDERS = {
    "start": ("start_s", "pk"),
    "label": ("label", "start_s", "pk"),
    "confidence": ("confidence", "start_s", "pk"),
}


class SignUpForm(UserCreationForm):
    class Meta(UserCreationForm.Meta):
        model = User
        fields = ("username", "email")
        labels = {"email": "E-mail address (optional)"}
        help_texts = {
            "username": "Letters, digits and @ . + - _",
            "email": "Only used if you forget your password, and to tell you that a batch has "
            "finished if you ask for that.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not settings.EMAIL_HOST:
            del self.fields["email"]


class EventsForm(forms.Form):
    """The filters and the order of a recording's events; they are part of the page's URL."""

    label = forms.ChoiceField(required=False, label="Sound")
    min_confidence = forms.TypedChoiceField(
        required=False,
        label="Confidence",
        coerce=float,
        choices=[("", "any"), *((str(p / 100), f"{p} % or more") for p in (50, 70, 90))],
    )
    # Set by the links in the table's header.
    sort = forms.ChoiceField(
        required=False,
        widget=forms.HiddenInput,
        choices=[(f"{sign}{name}", name) for name in EVENT_ORDERS for sign in ("", "-")],
    )

    def __init__(self, *args: Any, labels: Sequence[dict[str, Any]], **kwargs: Any) -> None:
        """Take the labels of the recording, as `EventQuerySet.labels` returns them."""
        super().__init__(*args, **kwargs)
        choice = self.fields["label"]
        assert isinstance(choice, forms.ChoiceField)
        named = sorted(((display_name(row["label"]), row) for row in labels), key=itemgetter(0))
        options = [(row["label"], f"{name} ({row['events']})") for name, row in named]
        choice.choices = [("", "any"), *options]
