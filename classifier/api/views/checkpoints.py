"""Checkpoints: those installed, and those that the user's analyses name."""

from typing import Any

from django.http import Http404
from rest_framework.request import Request
from rest_framework.response import Response

from classifier.api.schema import operation
from classifier.api.serializers.checkpoints import CheckpointDetail, CheckpointList
from classifier.api.views.base import ApiView
from classifier.checkpoints import inventory
from classifier.models import Analysis, Owner


class CheckpointsView(ApiView):
    @operation("list_checkpoints", {200: CheckpointList})
    def get(self, request: Request) -> Response:
        """List the checkpoints.

        Installed checkpoints, the default first, then others that your analyses used.
        """
        return Response(CheckpointList({"results": _known_to(request.user)}).data)


class CheckpointView(ApiView):
    @operation("get_checkpoint", {200: CheckpointDetail})
    def get(self, request: Request, identity: str) -> Response:
        """Get a checkpoint."""
        for row in _known_to(request.user):
            if row["checkpoint"] == identity:
                return Response(CheckpointDetail(row).data)
        raise Http404


def _known_to(user: Owner) -> list[dict[str, Any]]:
    here = {found.identity: found for found in inventory.installed()}
    unused = {"analyses": 0, "first_used_at": None, "last_used_at": None}
    used = {row["checkpoint"]: row for row in Analysis.objects.checkpoints_of(user)}
    return [
        {"checkpoint": identity, "installed": here.get(identity), **used.get(identity, unused)}
        for identity in dict.fromkeys([*here, *used])
    ]
