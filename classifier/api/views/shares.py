"""Share links: make, get, list, revoke."""

from datetime import timedelta
from uuid import UUID

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from classifier.api.filters import PageFilters
from classifier.api.schema import operation
from classifier.api.serializers.base import validated
from classifier.api.serializers.shares import CreateShare, Share
from classifier.api.views.analyses import one_analysis
from classifier.api.views.base import ApiView
from classifier.models import ShareLink
from classifier.services import sharing


class AnalysisShareView(ApiView):
    @operation("get_share", {200: Share}, tag="shares")
    def get(self, request: Request, pk: UUID) -> Response:
        """Get the share link of an analysis.

        404 if it has none.
        """
        link = sharing.link_of(one_analysis(request, pk))
        if link is None:
            raise Http404
        return Response(Share(link).data)

    @operation("create_share", {200: Share, 201: Share}, tag="shares", body=CreateShare)
    def post(self, request: Request, pk: UUID) -> Response:
        """Share an analysis.

        Whoever has the link sees the result of this analysis and can play its sound, without an
        account. 201: the link is new. 200: the analysis has a link already; it keeps its expiry.
        """
        analysis = one_analysis(request, pk)
        days = validated(CreateShare, request.data)["expires_in_days"]
        expires_at = timezone.now() + timedelta(days=days) if days else None
        link, made = sharing.share(analysis, expires_at)
        return Response(Share(link).data, 201 if made else 200)


class SharesView(ApiView):
    @operation("list_shares", {200: Share(many=True)}, parameters=(PageFilters,))
    def get(self, request: Request) -> Response:
        """List your share links.

        Those that work, newest first.
        """
        PageFilters.of(request)
        rows = ShareLink.objects.for_owner(request.user)
        return self.page(rows, lambda page: Share(page, many=True))


class OneShareView(ApiView):
    @operation("revoke_share", {204: None})
    def delete(self, request: Request, token: str) -> Response:
        """Revoke a share link."""
        sharing.revoke(get_object_or_404(ShareLink.objects.for_owner(request.user), token=token))
        return Response(status=204)
