"""The account page: API tokens, e-mail address, data export and account deletion."""

from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib.auth import authenticate, get_user_model, logout
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET, require_POST

from classifier.models import ApiToken
from classifier.services import account_export, deletion, tokens
from classifier.services.usage import usage_of
from classifier.views.password_reset import requires_email
from classifier.views.sign_in import rate_limited

MAX_SHOWN = 100


class TokenForm(forms.Form):
    name = forms.CharField(
        required=False, max_length=100, help_text="For your own reference, for example “laptop”."
    )
    expires_in_days = forms.IntegerField(
        min_value=1,
        max_value=tokens.MAX_DAYS,
        initial=tokens.DEFAULT_DAYS,
        label="Expires in (days)",
    )


class ConfirmedForm(forms.Form):
    """A form that the user confirms with their password."""

    password = forms.CharField(
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        help_text="Enter your password to confirm.",
    )

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request

    def clean(self) -> None:
        username = self.request.user.get_username()
        password = self.cleaned_data.get("password", "")
        # Uses the sign-in backends, so failed attempts count towards the lockout.
        if authenticate(self.request, username=username, password=password) is None:
            self.add_error("password", "The password is incorrect.")


class DeleteAccountForm(ConfirmedForm):
    def clean(self) -> None:
        if deletion.is_last_superuser(self.request.user):
            raise forms.ValidationError(
                "You are the only superuser. Make another user a superuser in the admin first."
            )
        super().clean()


class EmailForm(ConfirmedForm):
    field_order = ("email", "password")
    email = forms.EmailField(
        required=False,
        max_length=254,
        label="E-mail address",
        help_text="Only used if you forget your password, and to tell you that a batch has "
        "finished if you ask for that. Leave it empty to remove it.",
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )


@login_required
def account(request: HttpRequest) -> HttpResponse:
    """List the tokens; after POST also show the secret of the new token, once."""
    form = TokenForm(request.POST or None)
    made, secret = None, ""
    if request.method == "POST" and form.is_valid():
        wanted = form.cleaned_data
        made, secret = tokens.create(request.user, wanted["name"], wanted["expires_in_days"])
        form = TokenForm()
    rows = list(tokens.of(request.user)[: MAX_SHOWN + 1])
    context = {
        "form": form,
        "made": made,
        "secret": secret,
        "tokens": rows[:MAX_SHOWN],
        "more": len(rows) > MAX_SHOWN,
        "email_enabled": bool(settings.EMAIL_HOST),
    }
    refused = request.method == "POST" and made is None
    response = render(request, "classifier/account.html", context, status=400 if refused else 200)
    response["Cache-Control"] = "no-store"
    return response


@login_required
@requires_email
@rate_limited
def email(request: HttpRequest) -> HttpResponse:
    """Change the address to which a password reset is sent."""
    user = request.user
    assert isinstance(user, User)
    form = EmailForm(request.POST or None, request=request, initial={"email": user.email})
    if request.method == "POST" and form.is_valid():
        User.objects.filter(pk=user.pk).update(email=form.cleaned_data["email"])
        return redirect("account")
    status = 400 if request.method == "POST" else 200
    return render(request, "classifier/account_email.html", {"form": form}, status=status)


@login_required
@require_POST
def revoke(request: HttpRequest, pk: UUID) -> HttpResponse:
    get_object_or_404(ApiToken, user=request.user, public_id=pk).delete()
    return redirect("account")


@login_required
@require_GET
def export(request: HttpRequest) -> HttpResponseBase:
    """Return all data of the user as a ZIP."""
    name = f"sonoscope {request.user.get_username()} {timezone.now():%Y-%m-%d}.zip"
    pieces, disposition = account_export.of(request.user), content_disposition_header(True, name)
    headers = {"Content-Disposition": disposition or "", "Cache-Control": "no-store"}
    return StreamingHttpResponse(pieces, content_type="application/zip", headers=headers)


@login_required
@rate_limited
def delete(request: HttpRequest) -> HttpResponse:
    pk = request.user.pk
    assert pk is not None
    form = DeleteAccountForm(request.POST or None, request=request)
    if request.method == "POST" and form.is_valid():
        user = get_user_model().objects.get(pk=pk)
        logout(request)
        deletion.delete_account(user)
        return render(request, "classifier/account_deleted.html")
    context = {"form": form, "usage": usage_of([pk])[pk]}
    status = 400 if request.method == "POST" else 200
    return render(request, "classifier/account_delete.html", context, status=status)
