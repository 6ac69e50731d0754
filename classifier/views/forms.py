"""Forms of the pages."""

from operator import itemgetter
from typing import Any

from django import forms
from django.contrib.auth.forms import UserCreationForm
from django.contrib.auth.models import User

from classifier.checkpoints.class_names import display_name
from classifier.models import Analysis, Batch, Owner, State


class SignUpForm(UserCreationForm):
    class Meta(UserCreationForm.Meta):
        model = User
        fields = ("username",)
        help_texts = {"username": "Letters, digits and @ . + - _"}


class HistoryForm(forms.Form):
    """The filters of the history page; they are part of its URL."""

    name = forms.CharField(required=False, max_length=100, label="Name contains")
    label = forms.ChoiceField(required=False, label="Class")
    state = forms.ChoiceField(
        required=False,
        choices=[("", "any"), *((state.value, state.label) for state in State)],
    )
    # Set by the link on a batch's page; there is no field to choose it.
    batch = forms.ModelChoiceField(
        Batch.objects.none(), required=False, widget=forms.HiddenInput, label="Batch"
    )

    def __init__(self, *args: Any, user: Owner, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        labels = Analysis.objects.labels_of(user)
        choice = self.fields["label"]
        assert isinstance(choice, forms.ChoiceField)
        named = sorted(((label, display_name(label)) for label in labels), key=itemgetter(1))
        choice.choices = [("", "any"), *named]
        batch = self.fields["batch"]
        assert isinstance(batch, forms.ModelChoiceField)
        batch.queryset = Batch.objects.for_owner(user)
