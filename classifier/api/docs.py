"""Swagger UI and Redoc, from this machine, under policies of their own."""

from csp.constants import NONCE, SELF
from csp.decorators import csp_update
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


# Its icons are data: pictures in its own style sheet.
@csp_update({"img-src": [SELF, "data:"]})
@require_safe
def swagger(request: HttpRequest) -> HttpResponse:
    return render(request, "classifier/api_docs.html")


# It makes its style elements itself, and searches in a worker that it writes itself.
@csp_update({"img-src": [SELF, "data:"], "style-src": [SELF, NONCE], "worker-src": [SELF, "blob:"]})
@require_safe
def redoc(request: HttpRequest) -> HttpResponse:
    return render(request, "classifier/api_redoc.html")
