from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path

from classifier import storage
from classifier.services.rate_limits import RESET_MAILS_PER_HOUR
from classifier.views import account as accounts
from classifier.views import (
    batches,
    cards,
    checkpoints,
    exports,
    health,
    history,
    inspections,
    judgements,
    media,
    notes,
    password_reset,
    recorded,
    recording,
    results,
    saved_filters,
    selection,
    sharing,
    sign_in,
    upload,
    visitors,
)

pages = [
    path("", upload.home, name="home"),
    path("clips/", upload.upload, name="upload"),
    path("samples/<slug:name>/", upload.sample, name="sample"),
    path("samples/<slug:name>.flac", visitors.sample_sound, name="sample_sound"),
    path("try/", visitors.try_sound, name="try"),
    path("example/", visitors.example_part, name="example"),
    path("analyses/<uuid:pk>/", results.result, name="result"),
    path("rows/", history.rows, name="rows"),
    path("analyses/<uuid:pk>/recorded/", recorded.recorded, name="recorded"),
    path("analyses/<uuid:pk>/share/", sharing.share, name="share_make"),
    path("analyses/<uuid:pk>/share/revoke/", sharing.revoke, name="share_revoke"),
    path("analyses/<uuid:pk>/again/", history.again, name="again"),
    path("analyses/<uuid:pk>/judgement/", judgements.judge_clip, name="judge_clip"),
    path("events/<int:pk>/judgement/", judgements.judge_event, name="judge_event"),
    path("checked/", judgements.checked, name="checked"),
    path("clips/<uuid:clip_id>/delete/", history.delete, name="delete"),
    path("analyses/<uuid:pk>/events.zip", exports.events_zip, name="events_zip"),
    path("analyses/<uuid:pk>/notes/", notes.notes, name="notes"),
    path("history/", history.history, name="history"),
    path("history/rows/", history.history_rows, name="history_rows"),
    path("history/export/", selection.export, name="history_export"),
    path("history/again/", selection.again, name="history_again"),
    path("history/tag/", selection.tag, name="history_tag"),
    path("history/delete/", selection.delete, name="history_delete"),
    path("history/filters/", saved_filters.save, name="filter_save"),
    path("history/filters/<uuid:pk>/delete/", saved_filters.delete, name="filter_delete"),
    path("models/", checkpoints.models, name="models"),
    path("models/<str:name>/<slug:kind>.png", checkpoints.picture, name="model_picture"),
]
BATCH = "batches/<uuid:pk>/"

batch_pages = [
    path("batches/", batches.batch_list, name="batches"),
    path("batches/seen/", batches.batches_seen, name="batches_seen"),
    path("batches/new/", batches.batch_new, name="batch_new"),
    path(BATCH, batches.batch_page, name="batch"),
    path(f"{BATCH}part/", batches.batch_part, name="batch_part"),
    path(f"{BATCH}rows/", batches.batch_rows, name="batch_rows"),
    path(f"{BATCH}paths/", batches.batch_paths, name="batch_paths"),
    path(f"{BATCH}files/", batches.batch_files, name="batch_files"),
    path(f"{BATCH}zip/", batches.batch_unpack, name="batch_zip"),
    *(
        path(f"{BATCH}{name}/", batches.batch_action, {"name": name}, name=f"batch_{name}")
        for name in batches.ACTIONS
    ),
]
account = [
    path("account/", accounts.account, name="account"),
    path("account/tokens/<uuid:pk>/revoke/", accounts.revoke, name="token_revoke"),
    path("account/shares/<slug:token>/revoke/", sharing.revoke_listed, name="share_revoke_listed"),
    path("account/export/", accounts.export, name="account_export"),
    path("account/delete/", accounts.delete, name="account_delete"),
    path("account/email/", accounts.email, name="account_email"),
    path("account/sign-up/", sign_in.sign_up, name="sign_up"),
    path("account/sign-in/", sign_in.SignIn.as_view(), name="login"),
    path("admin/login/", sign_in.rate_limited(admin.site.login)),
    path("account/sign-out/", auth.LogoutView.as_view(), name="logout"),
    path("account/password/", auth.PasswordChangeView.as_view(), name="password_change"),
    path(
        "account/password/done/", auth.PasswordChangeDoneView.as_view(), name="password_change_done"
    ),
    path("account/reset/", password_reset.ForgotPassword.as_view(), name="password_reset"),
    path(
        "account/reset/sent/",
        password_reset.requires_email(
            auth.PasswordResetDoneView.as_view(extra_context={"limit": RESET_MAILS_PER_HOUR})
        ),
        name="password_reset_done",
    ),
    path(
        "account/reset/done/",
        auth.PasswordResetCompleteView.as_view(),
        name="password_reset_complete",
    ),
    path(
        "account/reset/<uidb64>/<token>/",
        password_reset.ResetPassword.as_view(),
        name="password_reset_confirm",
    ),
]
ANALYSIS, INSPECTION = "media/analyses/<uuid:pk>/", "media/inspections/<uuid:pk>/"
MAP = "maps/<str:name>.png"
# What a result page requests. A share link has the same URLs under its own.
of_result = [
    path("analyses/<uuid:pk>/part/", results.part, name="part"),
    path("analyses/<uuid:pk>/lanes/", recording.lanes, name="lanes"),
    path("analyses/<uuid:pk>/inspections/", inspections.ask, name="inspection_ask"),
    path("inspections/<uuid:pk>/part/", inspections.part, name="inspection_part"),
    path(f"{ANALYSIS}audio", media.analysis_audio, name="analysis_audio"),
    path(f"{ANALYSIS}maps.zip", media.map_pack, name="map_pack"),
    *(
        path(f"{ANALYSIS}{name}", media.analysis_file, {"name": name}, name=name.partition(".")[0])
        for name in (storage.SPECTROGRAM, storage.STRIP, storage.PEAKS)
    ),
    path(f"{ANALYSIS}{MAP}", media.map_picture, name="map"),
    path(f"{INSPECTION}{MAP}", media.inspection_picture, name="inspection_map"),
    path(f"{INSPECTION}<str:name>", media.inspection_file, name="inspection_file"),
]
SHARED = "s/<slug:token>/"
shared = [
    path(SHARED, sharing.page, name="share"),
    path(f"{SHARED}card.png", cards.card, name="share_card"),
    path(f"{SHARED}delete/", visitors.delete, name="visitor_delete"),
    path(SHARED, include((of_result, "shared"))),
]
rest = [
    path(f"{ANALYSIS}card.png", cards.card, name="card"),
    path("media/clips/<uuid:clip_id>/audio", media.clip_audio, name="clip_audio"),
    path("healthz", health.alive, name="alive"),
    path("readyz", health.ready, name="ready"),
    path("api/", include("classifier.api.urls")),
]
urlpatterns = pages + account + of_result + shared + rest + batch_pages
