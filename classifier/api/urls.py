from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.renderers import OpenApiYamlRenderer

from classifier.api.schema import SchemaView
from classifier.api.views import (
    analyses,
    batches,
    checkpoints,
    classify,
    clips,
    docs,
    events,
    inspections,
    judgements,
    selection,
    shares,
    tokens,
)

batch = [
    path("", batches.BatchView.as_view(), name="api_batch"),
    path("files/", batches.BatchFilesView.as_view(), name="api_batch_files"),
    path("folders/", batches.BatchFoldersView.as_view(), name="api_batch_folders"),
    path("close/", batches.BatchCloseView.as_view(), name="api_batch_close"),
    path("cancel/", batches.BatchCancelView.as_view(), name="api_batch_cancel"),
    path("retry/", batches.BatchRetryView.as_view(), name="api_batch_retry"),
    path("events/", events.BatchEventsView.as_view(), name="api_batch_events"),
    path("results.csv", batches.BatchCsvView.as_view(), name="api_batch_csv"),
    path("results.json", batches.BatchJsonView.as_view(), name="api_batch_json"),
]
analysis = [
    path("", analyses.AnalysisView.as_view(), name="api_analysis"),
    path("cancel/", analyses.CancelView.as_view(), name="api_cancel"),
    path("judgement/", judgements.AnalysisJudgementView.as_view(), name="api_judgement"),
    path("events/", events.AnalysisEventsView.as_view(), name="api_analysis_events"),
    path("inspections/", inspections.AskView.as_view(), name="api_analysis_inspections"),
    path("share/", shares.AnalysisShareView.as_view(), name="api_analysis_share"),
]
v1: list[URLPattern | URLResolver] = [
    path("classify/", classify.ClassifyView.as_view(), name="api_classify"),
    path("token/", tokens.TokenView.as_view(), name="api_token"),
    path("tokens/", tokens.TokensView.as_view(), name="api_tokens"),
    path("tokens/<uuid:pk>/", tokens.OneTokenView.as_view(), name="api_one_token"),
    path("clips/", clips.ClipsView.as_view(), name="api_clips"),
    path("clips/<uuid:pk>/", clips.ClipView.as_view(), name="api_clip"),
    path("clips/<uuid:pk>/analyses/", clips.ClipAnalysesView.as_view(), name="api_clip_analyses"),
    path("analyses/", analyses.AnalysesView.as_view(), name="api_analyses"),
    path("analyses/<uuid:pk>/", include(analysis)),
    path("analyses/again/", selection.SelectionAgainView.as_view(), name="api_selection_again"),
    path("analyses/tag/", selection.SelectionTagView.as_view(), name="api_selection_tag"),
    path("analyses/untag/", selection.SelectionUntagView.as_view(), name="api_selection_untag"),
    path("analyses/delete/", selection.SelectionDeleteView.as_view(), name="api_selection_delete"),
    path("analyses/export/", selection.SelectionExportView.as_view(), name="api_selection_export"),
    path("events/", events.EventsView.as_view(), name="api_events"),
    path(
        "events/<int:pk>/judgement/",
        judgements.EventJudgementView.as_view(),
        name="api_event_judgement",
    ),
    path("judgements/precision/", judgements.PrecisionView.as_view(), name="api_precision"),
    path("judgements/sounds.zip", judgements.SoundsView.as_view(), name="api_judged_sounds"),
    path("inspections/<uuid:pk>/", inspections.InspectionView.as_view(), name="api_inspection"),
    path("shares/", shares.SharesView.as_view(), name="api_shares"),
    path("shares/<slug:token>/", shares.OneShareView.as_view(), name="api_share"),
    path("batches/", batches.BatchesView.as_view(), name="api_batches"),
    path("batches/<uuid:pk>/", include(batch)),
    path("checkpoints/", checkpoints.CheckpointsView.as_view(), name="api_checkpoints"),
    path(
        "checkpoints/<str:identity>/", checkpoints.CheckpointView.as_view(), name="api_checkpoint"
    ),
]
yaml = SchemaView.as_view(renderer_classes=(OpenApiYamlRenderer,))
urlpatterns = [
    path("schema/", SchemaView.as_view(), name="api_schema"),
    path("schema.yaml", yaml, name="api_schema_yaml"),
    path("docs/", docs.reference, name="api_docs"),
    path("v1/", include(v1)),
]
