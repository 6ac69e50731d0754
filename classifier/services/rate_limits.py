"""Limits on requests per minute or hour, for fairness between users, not for security."""

import ipaddress
import logging
import math
import time

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import AnonRateThrottle, SimpleRateThrottle, UserRateThrottle
from rest_framework.views import APIView

logger = logging.getLogger(__name__)

# If the cache is not responding, requests are not counted, and it is not tried again for this long.
CACHE_REST_S = 10
_asked_again_at = 0.0
HOUR_S = 3600
# Password resets by e-mail to one user, so that nobody can flood a mailbox.
RESET_MAILS_PER_HOUR = 3


class Counted(SimpleRateThrottle):
    """A throttle with one counter per time window, instead of DRF's list of request times.

    Counting is one atomic operation in the cache that all web processes share.
    """

    scope: str
    duration: int
    num_requests: int
    left = 0
    count: int | None = None
    counted_as: str | None = None

    def get_rate(self) -> str:
        return settings.THROTTLE_RATES[self.scope]

    def allow_request(self, request: Request, view: APIView) -> bool:
        key, window = self.get_cache_key(request, view), int(time.time() // self.duration)
        self.counted_as = f"{key}:{window}" if key else None
        self.count = _count(self.counted_as, self.duration) if self.counted_as else None
        if self.count is None:
            return True
        self.left = max(0, self.num_requests - self.count)
        return self.count <= self.num_requests

    def give_back(self) -> None:
        """Do not count the allowed request after all."""
        if self.count is not None and self.counted_as:
            _uncount(self.counted_as)

    def wait(self) -> float:
        """Return the whole seconds until the time window ends."""
        return math.ceil(self.duration - time.time() % self.duration)


class ReadThrottle(Counted, UserRateThrottle):
    """Limit all requests of a user."""

    scope = "reads"


class UploadThrottle(Counted, UserRateThrottle):
    """Limit requests that create work for a worker."""

    scope = "uploads"


class AddressThrottle(Counted, AnonRateThrottle):
    """Limit requests from one address, also those of signed-in users.

    An IPv6 address counts as its /64, because one connection usually has all addresses of it.
    """

    def get_ident(self, request: Request) -> str:
        """Return the caller's address; of IPv6, the first one of the /64."""
        found = super().get_ident(request)
        try:
            address = ipaddress.ip_address(found)
        except ValueError:  # a proxy may send anything
            return found
        if isinstance(address, ipaddress.IPv4Address):
            return found
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address.packed, 64), strict=False).network_address)

    def get_cache_key(self, request: Request, view: APIView) -> str:
        return self.cache_format % {"scope": self.scope, "ident": self.get_ident(request)}


class SignInThrottle(AddressThrottle):
    """Limit sign-in attempts, sign-ups and password resets from one address."""

    scope = "sign_ins"


class TryThrottle(AddressThrottle):
    """Limit the sounds that visitors send from one address."""

    scope = "tries"


class VisitorInspectionThrottle(AddressThrottle):
    """Limit the inspections that visitors request from one address."""

    scope = "visitor_inspections"


def client_address(request: HttpRequest) -> str:
    """Return the address that the proxy saw, if there is one, else the caller's; for axes too.

    Of IPv6, it is the first one of the /64.
    """
    asked = request if isinstance(request, Request) else Request(request)
    return SignInThrottle().get_ident(asked)


def may_send_reset(user_id: int) -> bool:
    """Count an e-mail to a user; return whether it is within the limit per hour."""
    count = _count(f"reset_mail:{user_id}:{int(time.time() // HOUR_S)}", HOUR_S)
    return count is None or count <= RESET_MAILS_PER_HOUR


def _count(key: str, keep_s: int) -> int | None:
    """Return how often `key` was counted, including now; None if the cache is not responding."""
    if time.monotonic() < _asked_again_at:
        return None
    try:
        if cache.add(key, 1, keep_s + 1):
            return 1
        return cache.incr(key)
    except ValueError:  # the key expired between the two calls
        return 1
    except RedisError as error:
        _rest(error)
        return None


def _uncount(key: str) -> None:
    try:
        cache.decr(key)
    except ValueError:  # the key expired
        return
    except RedisError as error:
        _rest(error)


def _rest(error: RedisError) -> None:
    """Do not try the cache for a while."""
    global _asked_again_at
    _asked_again_at = time.monotonic() + CACHE_REST_S
    logger.warning("requests are not counted because the cache is not responding: %s", error)
