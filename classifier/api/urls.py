from django.urls import path

from classifier.api import analyses, classify, clips, docs, schema, tokens

urlpatterns = [
    path("schema/", schema.SchemaView.as_view(), name="api_schema"),
    path("docs/", docs.swagger, name="api_docs"),
    path("docs/redoc/", docs.redoc, name="api_redoc"),
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
    path("v1/checkpoints/", analyses.CheckpointsView.as_view(), name="api_checkpoints"),
]
