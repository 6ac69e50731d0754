from django.contrib import admin
from django.urls import include, path

handler400 = "classifier.views.bad_request"
handler404 = "classifier.views.not_found"
handler500 = "classifier.views.server_error"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("classifier.urls")),
]
