from django.urls import path
from drf_spectacular.renderers import OpenApiYamlRenderer

from classifier.api import schema
from classifier.api.views import (
    analyses,
    batches,
    checkpoints,
    classify,
    clips,
    docs,
    inspections,
    tokens,
)

BATCH = "v1/batches/<uuid:pk>/"
urlpatterns = [
    path("schema/", schema.SchemaView.as_view(), name="api_schema"),
    path(
        "schema.yaml",
        schema.SchemaView.as_view(renderer_classes=(OpenApiYamlRenderer,)),
        name="api_schema_yaml",
    ),
    path("docs/", docs.reference, name="api_docs"),
    path("v1/classify/", classify.ClassifyView.as_view(), name="api_classify"),
    path("v1/token/", tokens.TokenView.as_view(), name="api_token"),
    path("v1/tokens/", tokens.TokensView.as_view(), name="api_tokens"),
    path("v1/tokens/<uuid:pk>/", tokens.OneTokenView.as_view(), name="api_one_token"),
    path("v1/clips/", clips.ClipsView.as_view(), name="api_clips"),
    path("v1/clips/<uuid:pk>/", clips.ClipView.as_view(), name="api_clip"),
    path(
        "v1/clips/<uuid:pk>/analyses/", clips.ClipAnalysesView.as_view(), name="api_clip_analyses"
    ),
    path("v1/analyses/", analyses.AnalysesView.as_view(), name="api_analyses"),
    path("v1/analyses/<uuid:pk>/", analyses.AnalysisView.as_view(), name="api_analysis"),
    path("v1/analyses/<uuid:pk>/cancel/", analyses.CancelView.as_view(), name="api_cancel"),
    path(
        "v1/analyses/<uuid:pk>/inspections/",
        inspections.AskView.as_view(),
        name="api_analysis_inspections",
    ),
    path("v1/inspections/<uuid:pk>/", inspections.InspectionView.as_view(), name="api_inspection"),
    path("v1/batches/", batches.BatchesView.as_view(), name="api_batches"),
    path(BATCH, batches.BatchView.as_view(), name="api_batch"),
    path(f"{BATCH}files/", batches.BatchFilesView.as_view(), name="api_batch_files"),
    path(f"{BATCH}close/", batches.BatchCloseView.as_view(), name="api_batch_close"),
    path(f"{BATCH}cancel/", batches.BatchCancelView.as_view(), name="api_batch_cancel"),
    path(f"{BATCH}retry/", batches.BatchRetryView.as_view(), name="api_batch_retry"),
    path(f"{BATCH}results.csv", batches.BatchCsvView.as_view(), name="api_batch_csv"),
    path(f"{BATCH}results.json", batches.BatchJsonView.as_view(), name="api_batch_json"),
    path("v1/checkpoints/", checkpoints.CheckpointsView.as_view(), name="api_checkpoints"),
    path(
        "v1/checkpoints/<str:identity>/",
        checkpoints.CheckpointView.as_view(),
        name="api_checkpoint",
    ),
]
