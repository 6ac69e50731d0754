"""What is refused before anything reads it."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

# Room for a form's other fields; and for what is a little too large to get its own clear answer,
# which needs the body to be read.
SLACK_BYTES = 1_000_000


def refuse_huge_bodies(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """413 for bodies more than twice what one upload may have, without receiving them."""

    def answer(request: HttpRequest) -> HttpResponse:
        declared = request.META.get("CONTENT_LENGTH") or "0"
        most = 2 * settings.MAX_UPLOAD_BYTES + SLACK_BYTES
        # A whole folder in one body, which its view reads piece by piece and nobody before it.
        if request.content_type == "application/zip":
            most = max(most, settings.MAX_ZIP_BYTES)
        if declared.isdecimal() and int(declared) <= most:
            return get_response(request)
        each_mb = settings.MAX_UPLOAD_BYTES / 1e6
        body = {
            "code": "too_large",
            "detail": f"What was sent is larger than {most / 1e6:.0f} MB.",
            "hint": f"Send files one by one, of at most {each_mb:.0f} MB each.",
        }
        return JsonResponse(body, status=413, headers={"Connection": "close"})

    return answer
