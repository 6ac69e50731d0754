"""Tokens: by name and password, list, make, revoke."""

from typing import Any
from uuid import UUID

from django.contrib.auth import authenticate
from django.http import Http404
from rest_framework import status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from classifier import tokens
from classifier.api.base import ApiView
from classifier.api.errors import BadCredentials
from classifier.api.filters import Filters
from classifier.api.paging import NewestTokensFirst
from classifier.api.throttles import TokenThrottle
from classifier.models import ApiToken
from classifier.serializers import NewToken, TokenForm, TokenRequest, TokenRow


class TokenView(ApiView):
    """Username and password in, a token out. It is stored hashed and shown this once."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = (TokenThrottle,)

    def post(self, request: Request) -> Response:
        form = TokenRequest(data=request.data)
        form.is_valid(raise_exception=True)
        wanted = form.validated_data
        user = authenticate(request, username=wanted["username"], password=wanted["password"])
        if user is None:
            raise BadCredentials
        _, token = tokens.create(user, wanted["name"], wanted["expires_in_days"])
        return Response({"token": token})


class TokensView(ApiView):
    def get(self, request: Request) -> Response:
        Filters.of(request)
        pages = NewestTokensFirst()
        rows = ApiToken.objects.filter(user=request.user)
        page: Any = pages.paginate_queryset(rows, request, self)
        return pages.get_paginated_response(TokenRow(page, many=True).data)

    def post(self, request: Request) -> Response:
        form = TokenForm(data=request.data)
        form.is_valid(raise_exception=True)
        wanted = form.validated_data
        made, token = tokens.create(request.user, wanted["name"], wanted["expires_in_days"])
        return Response(NewToken(made, context={"token": token}).data, status.HTTP_201_CREATED)


class OneTokenView(ApiView):
    def delete(self, request: Request, pk: UUID) -> Response:
        deleted, _ = ApiToken.objects.filter(user=request.user, public_id=pk).delete()
        if not deleted:
            raise Http404
        return Response(status=status.HTTP_204_NO_CONTENT)
