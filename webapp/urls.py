from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.templatetags.static import static
from django.urls import include, path

handler400 = "classifier.views.errors.bad_request"
handler404 = "classifier.views.errors.not_found"
handler500 = "classifier.views.errors.server_error"


def favicon(request: HttpRequest) -> HttpResponse:
    """Redirect to the icon, for the admin, whose pages do not link one."""
    return redirect(static("icon.svg"))


urlpatterns = [
    path("favicon.ico", favicon),
    # Before the admin, because it limits sign-ins there too.
    path("", include("classifier.urls")),
    path("admin/", admin.site.urls),
]
