from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path

from classifier import account as accounts
from classifier import (
    batch_urls,
    health,
    media,
    model_views,
    result_views,
    sign_in,
    study_views,
    views,
)

pages = [
    path("", views.listen, name="listen"),
    path("clips/", views.upload, name="upload"),
    path("samples/<slug:name>/", views.sample, name="sample"),
    path("analyses/<uuid:pk>/", result_views.result, name="result"),
    path("analyses/<uuid:pk>/part/", result_views.part, name="part"),
    path("rows/", views.rows, name="rows"),
    path("analyses/<uuid:pk>/again/", views.again, name="again"),
    path("clips/<uuid:clip_id>/delete/", views.delete, name="delete"),
    path("analyses/<uuid:pk>/studies/", study_views.ask, name="study_ask"),
    path("studies/<uuid:pk>/part/", study_views.part, name="study_part"),
    path("history/", views.history, name="history"),
    path("models/", model_views.models, name="models"),
    path("models/<str:name>/<slug:kind>.png", model_views.picture, name="model_picture"),
]
account = [
    path("account/", accounts.account, name="account"),
    path("account/tokens/<uuid:pk>/revoke/", accounts.revoke, name="token_revoke"),
    path("account/export/", accounts.export, name="account_export"),
    path("account/delete/", accounts.delete, name="account_delete"),
    path("account/sign-up/", sign_in.sign_up, name="sign_up"),
    path("account/sign-in/", sign_in.SignIn.as_view(), name="login"),
    path("admin/login/", sign_in.knocking(admin.site.login)),
    path("account/sign-out/", auth.LogoutView.as_view(), name="logout"),
    path("account/password/", auth.PasswordChangeView.as_view(), name="password_change"),
    path(
        "account/password/done/",
        auth.PasswordChangeDoneView.as_view(),
        name="password_change_done",
    ),
]
files = [
    path("media/clips/<uuid:clip_id>/audio", media.clip_audio, name="clip_audio"),
    path("media/analyses/<uuid:pk>/audio", media.analysis_audio, name="analysis_audio"),
    path("media/analyses/<uuid:pk>/peaks.json", media.peaks, name="peaks"),
    path("media/analyses/<uuid:pk>/maps.zip", media.map_pack, name="map_pack"),
    path(
        "media/analyses/<uuid:pk>/spectrogram.png",
        media.picture,
        {"name": "spectrogram.png"},
        name="spectrogram",
    ),
    path("media/analyses/<uuid:pk>/strip.png", media.picture, {"name": "strip.png"}, name="strip"),
    path("media/analyses/<uuid:pk>/maps/<str:name>.png", media.map_picture, name="map"),
    path("media/studies/<uuid:pk>/maps/<str:name>.png", media.study_map, name="study_map"),
    path("media/studies/<uuid:pk>/<str:name>", media.study_file, name="study_file"),
]
health_checks = [
    path("healthz", health.alive, name="alive"),
    path("readyz", health.ready, name="ready"),
]
rest = [path("api/", include("classifier.api.urls"))]
urlpatterns = pages + account + files + health_checks + rest + batch_urls.urlpatterns
