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


def robots(request: HttpRequest) -> HttpResponse:
    """Let search engines read the front page only.

    Share links may be fetched for the previews of messengers; their pages refuse to be indexed.
    """
    rules = ("User-agent: *", "Allow: /$", "Allow: /static/", "Allow: /s/", "Disallow: /")
    return HttpResponse("\n".join((*rules, "")), content_type="text/plain")


urlpatterns = [
    path("favicon.ico", favicon),
    path("robots.txt", robots),
    # Before the admin, because it limits sign-ins there too.
    path("", include("classifier.urls")),
    path("admin/", admin.site.urls),
]
