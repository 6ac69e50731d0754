"""The account page: API tokens, and the way to a new password."""

from uuid import UUID

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from classifier import tokens
from classifier.models import ApiToken

MOST_SHOWN = 100


class TokenForm(forms.Form):
    name = forms.CharField(
        required=False, max_length=100, help_text="What you will know it by: garden box, laptop …"
    )
    expires_in_days = forms.IntegerField(
        min_value=1,
        max_value=tokens.MOST_DAYS,
        initial=tokens.DEFAULT_DAYS,
        label="Ends after (days)",
    )


@login_required
def account(request: HttpRequest) -> HttpResponse:
    """The list; after POST also the new token's secret, which no other page ever shows."""
    form = TokenForm(request.POST or None)
    made, secret = None, ""
    if request.method == "POST" and form.is_valid():
        wanted = form.cleaned_data
        made, secret = tokens.create(request.user, wanted["name"], wanted["expires_in_days"])
        form = TokenForm()
    rows = list(tokens.of(request.user)[: MOST_SHOWN + 1])
    context = {
        "form": form,
        "made": made,
        "secret": secret,
        "tokens": rows[:MOST_SHOWN],
        "more": len(rows) > MOST_SHOWN,
    }
    refused = request.method == "POST" and made is None
    response = render(request, "classifier/account.html", context, status=400 if refused else 200)
    response["Cache-Control"] = "no-store"
    return response


@login_required
@require_POST
def revoke(request: HttpRequest, pk: UUID) -> HttpResponse:
    deleted, _ = ApiToken.objects.filter(user=request.user, public_id=pk).delete()
    if not deleted:
        raise Http404
    return redirect("account")
