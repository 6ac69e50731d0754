from django.contrib.auth import views as auth
from django.urls import path

from classifier import api, batch_urls, media, views

pages = [
    path("", views.listen, name="listen"),
    path("clips/", views.upload, name="upload"),
    path("samples/<slug:name>/", views.sample, name="sample"),
    path("analyses/<uuid:pk>/", views.result, name="result"),
    path("analyses/<uuid:pk>/part/", views.part, name="part"),
    path("rows/", views.rows, name="rows"),
    path("analyses/<uuid:pk>/again/", views.again, name="again"),
    path("clips/<uuid:clip_id>/delete/", views.delete, name="delete"),
    path("history/", views.history, name="history"),
]
account = [
    path("account/sign-up/", views.sign_up, name="sign_up"),
    path("account/sign-in/", views.SignIn.as_view(), name="login"),
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
]
rest = [
    path("api/v1/token/", api.TokenView.as_view(), name="api_token"),
    path("api/v1/clips/", api.ClipsView.as_view(), name="api_clips"),
    path("api/v1/analyses/<uuid:pk>/", api.AnalysisView.as_view(), name="api_analysis"),
]
urlpatterns = pages + account + files + rest + batch_urls.urlpatterns
