"""Sign-in and sign-up, with limits on password attempts.

A username is locked for one IP address after a number of failures (django-axes keeps the count
in the database). The sign-in page, the admin and API tokens share this lock. In addition, each
IP address is limited to a number of requests per minute for all usernames together.
"""

import functools
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.template.defaultfilters import pluralize
from django.template.loader import render_to_string
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from rest_framework.request import Request
from rest_framework.views import APIView

from classifier.services.rate_limits import SignInThrottle
from classifier.views import sent_sounds
from classifier.views.forms import SignUpForm

BACKEND = "django.contrib.auth.backends.ModelBackend"
View = Callable[..., HttpResponseBase]


def locked(request: HttpRequest, *_: Any) -> HttpResponse:
    """Show the page for a username with too many failed attempts."""
    minutes = settings.LOCKED_MINUTES
    detail = "There were too many failed sign-in attempts for this username from your IP address."
    hint = (
        f"Wait {minutes} minutes, then try again. An administrator can unlock the account sooner."
    )
    return _wait(request, 60 * minutes, detail, hint)


def rate_limited(view: View) -> View:
    """Limit POST requests to this view by IP address; return 429 beyond the limit per minute."""

    @functools.wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        throttle = SignInThrottle()
        if request.method == "POST" and not throttle.allow_request(Request(request), APIView()):
            wait_s = int(throttle.wait())
            detail = "There were too many attempts from your IP address."
            hint = f"Wait {wait_s} second{pluralize(wait_s)}, then try again."
            return _wait(request, wait_s, detail, hint)
        return view(request, *args, **kwargs)

    return inner


@method_decorator(rate_limited, name="dispatch")
class SignIn(LoginView):
    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            sign_up_open=settings.SIGN_UP_OPEN, email_enabled=bool(settings.EMAIL_HOST), **kwargs
        )

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        user = form.get_user()
        login(self.request, user)
        return sent_sounds.go_on(self.request, user, self.get_redirect_url())


@rate_limited
def sign_up(request: HttpRequest) -> HttpResponse:
    if not settings.SIGN_UP_OPEN:
        raise Http404
    form = SignUpForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        user = form.save()
        login(request, user, backend=BACKEND)
        return sent_sounds.go_on(request, user, _next(request))
    context = {"form": form, "next": _next(request)}
    return render(request, "registration/sign_up.html", context)


def _next(request: HttpRequest) -> str:
    """Return the address in `?next=` if it is on this site, otherwise ""."""
    address = request.GET.get("next", "")
    here = {request.get_host()}
    safe = url_has_allowed_host_and_scheme(address, here, require_https=request.is_secure())
    return address if safe else ""


def _wait(request: HttpRequest, seconds: int, detail: str, hint: str) -> HttpResponse:
    page = render_to_string("registration/wait.html", {"detail": detail, "hint": hint}, request)
    return HttpResponse(page, status=429, headers={"Retry-After": str(seconds)})
