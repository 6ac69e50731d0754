"""The API reference: Swagger UI from drf-spectacular-sidecar, served from our own static files."""

from csp.constants import SELF
from csp.decorators import csp_update
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


# Swagger UI's style sheet contains its icons as data URIs; nothing else of the policy is relaxed.
@csp_update({"img-src": [SELF, "data:"]})
@require_safe
def reference(request: HttpRequest) -> HttpResponse:
    return render(request, "classifier/api_docs.html")
