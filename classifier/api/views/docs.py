"""The page of the API: every operation of the schema, to be read by people."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from classifier.api import reference, schema


@require_safe
def reference_page(request: HttpRequest) -> HttpResponse:
    arranged = reference.arrange(schema.schema(), settings.ORIGIN)
    return render(request, "classifier/api_docs.html", {"reference": arranged})
