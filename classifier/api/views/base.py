"""What every view of the API shares."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from classifier.api.paging import NewestFirst
from classifier.services.rate_limits import Counted, ReadThrottle, UploadThrottle


class ApiView(APIView):
    """Counts requests, and says in the X-RateLimit headers how many are left."""

    pagination_class: type[NewestFirst] = NewestFirst
    throttle_classes: tuple[type[BaseThrottle], ...] = (ReadThrottle,)
    # What gives a worker something to do is counted on its own.
    working_methods: tuple[str, ...] = ()

    def get_throttles(self) -> list[BaseThrottle]:
        works = self.request.method in self.working_methods
        kinds = (UploadThrottle,) if works else self.throttle_classes
        self.counted = [kind() for kind in kinds]
        return list(self.counted)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        for throttle in getattr(self, "counted", ()):
            if isinstance(throttle, Counted) and throttle.count is not None:
                response["X-RateLimit-Limit"] = str(throttle.num_requests)
                response["X-RateLimit-Remaining"] = str(throttle.left)
                response["X-RateLimit-Reset"] = str(throttle.wait())
        return response

    def page(self, rows: QuerySet[Any], answer: Callable[[list[Any]], BaseSerializer]) -> Response:
        """The page of `rows` that was asked for, as `answer` describes its rows."""
        pages = self.pagination_class()
        found = pages.paginate_queryset(rows, self.request, self)
        return pages.get_paginated_response(answer(found or []).data)


def located(answer: BaseSerializer, pattern: str, pk: UUID, status: int = 202) -> Response:
    """An answer about something that is at the address that `pattern` makes of `pk`."""
    return Response(answer.data, status, headers={"Location": reverse(pattern, args=[pk])})
