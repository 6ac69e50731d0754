"""Tokens: by name and password, list, make, revoke."""

from uuid import UUID

from django.contrib.auth import authenticate
from django.http import Http404
from rest_framework import status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from classifier.api.errors import BadCredentials, Locked
from classifier.api.filters import Filters
from classifier.api.paging import NewestTokensFirst
from classifier.api.schema import operation
from classifier.api.serializers.base import validated
from classifier.api.serializers.tokens import (
    NewToken,
    TokenAnswer,
    TokenForm,
    TokenRequest,
    TokenRow,
)
from classifier.api.views.base import ApiView
from classifier.models import ApiToken
from classifier.services import tokens
from classifier.services.rate_limits import SignInThrottle


class TokenView(ApiView):
    """Username and password in, a token out. It is stored hashed and shown this once."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = (SignInThrottle,)

    @operation(
        "get_token",
        "A token for your name and password",
        {200: TokenAnswer},
        tag="tokens",
        words="The token is stored hashed and shown only this once.",
        body=TokenRequest,
    )
    def post(self, request: Request) -> Response:
        wanted = validated(TokenRequest, request.data)
        user = authenticate(request, username=wanted["username"], password=wanted["password"])
        if user is None and getattr(request, "axes_locked_out", False):
            raise Locked
        if user is None:
            raise BadCredentials
        _, token = tokens.create(user, wanted["name"], wanted["expires_in_days"])
        return Response({"token": token})


class TokensView(ApiView):
    pagination_class = NewestTokensFirst

    @operation(
        "list_tokens",
        "List your tokens",
        {200: TokenRow(many=True)},
        tag="tokens",
        words="Those that still work, newest first. The secrets themselves are never shown.",
        parameters=(Filters,),
    )
    def get(self, request: Request) -> Response:
        Filters.of(request)
        return self.page(tokens.of(request.user), lambda page: TokenRow(page, many=True))

    @operation(
        "create_token",
        "Make a token",
        {201: NewToken},
        tag="tokens",
        words="The token is stored hashed and shown only this once.",
        body=TokenForm,
    )
    def post(self, request: Request) -> Response:
        wanted = validated(TokenForm, request.data)
        made, token = tokens.create(request.user, wanted["name"], wanted["expires_in_days"])
        return Response(NewToken(made, context={"token": token}).data, status.HTTP_201_CREATED)


class OneTokenView(ApiView):
    @operation("revoke_token", "Revoke a token", {204: None}, tag="tokens")
    def delete(self, request: Request, pk: UUID) -> Response:
        deleted, _ = ApiToken.objects.filter(user=request.user, public_id=pk).delete()
        if not deleted:
            raise Http404
        return Response(status=status.HTTP_204_NO_CONTENT)
