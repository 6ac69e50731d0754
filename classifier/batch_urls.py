from django.urls import path

from classifier import batch_api, batch_views

BATCH, REST = "batches/<uuid:pk>/", "api/v1/batches/<uuid:pk>/"

pages = [
    path("batches/", batch_views.batch_list, name="batches"),
    path("batches/new/", batch_views.batch_new, name="batch_new"),
    path(BATCH, batch_views.batch_page, name="batch"),
    path(f"{BATCH}part/", batch_views.batch_part, name="batch_part"),
    path(f"{BATCH}rows/", batch_views.batch_rows, name="batch_rows"),
    path(f"{BATCH}paths/", batch_views.batch_paths, name="batch_paths"),
    path(f"{BATCH}files/", batch_views.batch_files, name="batch_files"),
    path(f"{BATCH}zip/", batch_views.batch_unpack, name="batch_zip"),
    path(f"{BATCH}close/", batch_views.batch_close, name="batch_close"),
    path(f"{BATCH}cancel/", batch_views.batch_cancel, name="batch_cancel"),
    path(f"{BATCH}retry/", batch_views.batch_retry, name="batch_retry"),
]
rest = [
    path("api/v1/batches/", batch_api.BatchesView.as_view(), name="api_batches"),
    path(REST, batch_api.BatchView.as_view(), name="api_batch"),
    path(f"{REST}files/", batch_api.BatchFilesView.as_view(), name="api_batch_files"),
    path(f"{REST}close/", batch_api.BatchCloseView.as_view(), name="api_batch_close"),
    path(f"{REST}cancel/", batch_api.BatchCancelView.as_view(), name="api_batch_cancel"),
    path(f"{REST}retry/", batch_api.BatchRetryView.as_view(), name="api_batch_retry"),
    path(f"{REST}results.csv", batch_api.BatchCsvView.as_view(), name="api_batch_csv"),
    path(f"{REST}results.json", batch_api.BatchJsonView.as_view(), name="api_batch_json"),
]
urlpatterns = pages + rest
