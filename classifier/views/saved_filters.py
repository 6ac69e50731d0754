"""Saved filters of the history page."""

from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from classifier.models import Owner, SavedFilter
from classifier.views.history_form import HistoryForm

MAX_SAVED = 50


class SaveForm(forms.Form):
    name = forms.CharField(max_length=60, label="Name")
    query = forms.CharField(required=False, max_length=2000, label="Filters")


@login_required
@require_POST
def save(request: HttpRequest) -> HttpResponse:
    """Save the filters of a page under a name; an earlier one of that name is replaced."""
    form = SaveForm(request.POST)
    query = form.data.get("query", "")
    page = HistoryForm(QueryDict(query), user=request.user)
    if "query" in form.errors:
        messages.error(request, "These filters are too long to be saved.")
    elif not form.is_valid():
        messages.error(request, "Enter a name of at most 60 characters.")
    elif not page.is_valid() or not page.query:
        messages.error(request, "There are no valid filters to save.")
    elif not store(request.user, form.cleaned_data["name"], page.query):
        messages.error(request, f"You have {MAX_SAVED} saved filters already. Delete one first.")
    else:
        messages.success(request, f"The filters were saved as “{form.cleaned_data['name']}”.")
    return redirect(f"{reverse('history')}?{query}" if page.is_valid() else "history")


def store(user: Owner, name: str, query: str) -> bool:
    """Create or replace a saved filter; return False if the user has too many."""
    assert isinstance(user, User)
    with transaction.atomic():
        # One at a time, so that no name is used twice.
        get_user_model().objects.select_for_update(no_key=True).get(pk=user.pk)
        mine = SavedFilter.objects.filter(owner=user.pk)
        # As the constraint compares them.
        same = mine.alias(lower=Lower("name")).filter(lower=Lower(Value(name)))
        if same.update(name=name, query=query):
            return True
        if mine.count() >= MAX_SAVED:
            return False
        SavedFilter.objects.create(owner_id=user.pk, name=name, query=query)
        return True


@login_required
@require_POST
def delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    found = get_object_or_404(SavedFilter, owner=request.user.pk, pk=pk)
    found.delete()
    messages.success(request, f"The saved filters “{found.name}” were deleted.")
    return redirect("history")
