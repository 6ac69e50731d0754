from django.urls import path

from classifier import batch_views

BATCH = "batches/<uuid:pk>/"

urlpatterns = [
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
    path(f"{BATCH}delete/", batch_views.batch_delete, name="batch_delete"),
    path(f"{BATCH}retry/", batch_views.batch_retry, name="batch_retry"),
]
