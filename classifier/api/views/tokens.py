"""Tokens: sign in, list, create, revoke."""

from uuid import UUID

from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.http import Http404
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from classifier.api.errors import BadCredentials, Locked
from classifier.api.filters import PageFilters
from classifier.api.paging import NewestTokensFirst
from classifier.api.schema import operation
from classifier.api.serializers import tokens as serializers
from classifier.api.serializers.base import validated
from classifier.api.views.base import ApiView
from classifier.models import ApiToken
from classifier.services import tokens
from classifier.services.rate_limits import SignInThrottle


class TokenView(ApiView):
    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = (SignInThrottle,)

    @operation(
        "get_token",
        {200: serializers.TokenSecret},
        tag="tokens",
        body=serializers.SignIn,
    )
    def post(self, request: Request) -> Response:
        """Create a token with your username and password.

        The token is stored as a hash and shown only this once.
        """
        wanted = validated(serializers.SignIn, request.data)
        # As the sign-in page does: the same name may be typed in several Unicode forms.
        name = User.normalize_username(wanted["username"])
        user = authenticate(request, username=name, password=wanted["password"])
        if user is None and getattr(request, "axes_locked_out", False):
            raise Locked
        if user is None:
            raise BadCredentials
        _, token = tokens.create(user, wanted["name"], wanted["expires_in_days"])
        return Response({"token": token})


class TokensView(ApiView):
    pagination_class = NewestTokensFirst

    @operation("list_tokens", {200: serializers.TokenSummary(many=True)}, parameters=(PageFilters,))
    def get(self, request: Request) -> Response:
        """List your tokens.

        Valid tokens, newest first, without the tokens themselves.
        """
        PageFilters.of(request)
        rows = tokens.of(request.user)
        return self.page(rows, lambda page: serializers.TokenSummary(page, many=True))

    @operation("create_token", {201: serializers.CreatedToken}, body=serializers.CreateToken)
    def post(self, request: Request) -> Response:
        """Create a token.

        The token is stored as a hash and shown only this once.
        """
        wanted = validated(serializers.CreateToken, request.data)
        made, token = tokens.create(request.user, wanted["name"], wanted["expires_in_days"])
        return Response(serializers.CreatedToken(made, context={"token": token}).data, 201)


class OneTokenView(ApiView):
    @operation("revoke_token", {204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        """Revoke a token."""
        deleted, _ = ApiToken.objects.filter(user=request.user, public_id=pk).delete()
        if not deleted:
            raise Http404
        return Response(status=204)
