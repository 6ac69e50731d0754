"""Checkpoints: those installed, and those that listened to one's clips before."""

from typing import Any

from django.http import Http404
from rest_framework.request import Request
from rest_framework.response import Response

from classifier.api.schema import operation
from classifier.api.serializers.checkpoints import CheckpointRow, Checkpoints
from classifier.api.views.base import ApiView
from classifier.checkpoints import inventory
from classifier.models import Analysis, Owner


class CheckpointsView(ApiView):
    @operation("list_checkpoints", {200: Checkpoints})
    def get(self, request: Request) -> Response:
        """List the checkpoints.

        Those that can listen here, the default first, and those that listened to clips of yours
        before.
        """
        return Response(Checkpoints({"results": _known_to(request.user)}).data)


class CheckpointView(ApiView):
    @operation("get_checkpoint", {200: CheckpointRow})
    def get(self, request: Request, identity: str) -> Response:
        """Look at a checkpoint."""
        for row in _known_to(request.user):
            if row["checkpoint"] == identity:
                return Response(CheckpointRow(row).data)
        raise Http404


def _known_to(user: Owner) -> list[dict[str, Any]]:
    here = {found.identity: found for found in inventory.installed()}
    unused = {"analyses": 0, "first_used_at": None, "last_used_at": None}
    used = {row["checkpoint"]: row for row in Analysis.objects.checkpoints_of(user)}
    return [
        {"checkpoint": identity, "installed": here.get(identity), **used.get(identity, unused)}
        for identity in dict.fromkeys([*here, *used])
    ]
