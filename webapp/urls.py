from django.contrib import admin
from django.urls import include, path

handler404 = "classifier.views.not_found"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("classifier.urls")),
]
