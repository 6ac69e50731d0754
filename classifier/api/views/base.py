"""Base class and helpers of the API views."""

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

from classifier.api.paging import NewestFirst, Pages
from classifier.services.rate_limits import Counted, ReadThrottle, UploadThrottle


class ApiView(APIView):
    """A view that counts requests and reports the limit in the X-RateLimit headers."""

    pagination_class: type[Pages] = NewestFirst
    throttle_classes: tuple[type[BaseThrottle], ...] = (ReadThrottle,)
    # Methods that queue work for a worker; they count against the upload limit.
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

    def page(
        self,
        rows: QuerySet[Any],
        answer: Callable[[list[Any]], BaseSerializer],
        order: tuple[str, ...] = (),
    ) -> Response:
        """Return the requested page of `rows`, serialized by `answer`.

        Parameters
        ----------
        order : tuple of str
            Columns that replace the order of the view's pages.
        """
        pages = self.pagination_class()
        pages.ordering = order or pages.ordering
        found = pages.paginate_queryset(rows, self.request, self)
        return pages.get_paginated_response(answer(found or []).data)


def located(answer: BaseSerializer, pattern: str, pk: UUID, status: int = 202) -> Response:
    """Return a response whose Location header is the URL named `pattern` for `pk`."""
    return Response(answer.data, status, headers={"Location": reverse(pattern, args=[pk])})
