"""Reset of a forgotten password with a link, from an e-mail or from an administrator."""

import functools
import threading
from typing import Any

from django.conf import settings
from django.contrib.auth.forms import PasswordResetForm, SetPasswordForm
from django.contrib.auth.views import PasswordResetConfirmView, PasswordResetView
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.utils.decorators import method_decorator

from classifier.services import passwords, rate_limits
from classifier.views.sign_in import View, rate_limited


def requires_email(view: View) -> View:
    """Return 404 unless the server can send e-mail."""

    @functools.wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not settings.EMAIL_HOST:
            raise Http404
        return view(request, *args, **kwargs)

    return inner


class ForgottenPasswordForm(PasswordResetForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].label = "E-mail address"

    def send_mail(
        self,
        subject_template_name: str,
        email_template_name: str,
        context: Any,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Send the e-mail in a thread, so that the response time does not reveal accounts.

        If the SMTP server fails, Django logs the error.
        """
        if rate_limits.may_send_reset(context["user"].pk):
            message = (subject_template_name, email_template_name, context, *args)
            threading.Thread(target=super().send_mail, args=message, kwargs=kwargs).start()


@method_decorator((requires_email, rate_limited), name="dispatch")
class ForgotPassword(PasswordResetView):
    """Send a link to every user with the address; the response is the same if there is none."""

    form_class = ForgottenPasswordForm
    email_template_name = "registration/password_reset_email.txt"
    # Not the host of the request, which the sender of the request chooses.
    extra_email_context = {"origin": settings.ORIGIN, "days": settings.RESET_LINK_DAYS}


@method_decorator(rate_limited, name="dispatch")
class ResetPassword(PasswordResetConfirmView):
    """Set a new password; ends all sessions of the user and revokes their API tokens."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(email_enabled=bool(settings.EMAIL_HOST), **kwargs)

    def form_valid(self, form: SetPasswordForm) -> HttpResponse:
        with transaction.atomic():
            passwords.revoke_access(form.user)
            return super().form_valid(form)
