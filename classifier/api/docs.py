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


# It makes its style elements itself: one that starts empty, one for scroll bars. And it searches
# in a worker that it writes itself.
@csp_update(
    {
        "img-src": [SELF, "data:"],
        "style-src": [
            SELF,
            NONCE,
            "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
            "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='",
        ],
        "worker-src": [SELF, "blob:"],
    }
)
@require_safe
def redoc(request: HttpRequest) -> HttpResponse:
    return render(request, "classifier/api_redoc.html")
