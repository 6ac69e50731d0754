"""How much one person may ask for in a minute: for fairness between people, not as a lock."""

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

# With the cache away nobody is counted, and it is not asked again for this long.
CACHE_REST_S = 10
_asked_again_at = 0.0


class Counted(SimpleRateThrottle):
    """A counter for each whole window, instead of DRF's list of every request's time.

    Counting is one atomic step in the cache that all web processes share.
    """

    scope: str
    duration: int
    num_requests: int
    left = 0
    count: int | None = None

    def get_rate(self) -> str:
        return settings.THROTTLE_RATES[self.scope]

    def allow_request(self, request: Request, view: APIView) -> bool:
        key, window = self.get_cache_key(request, view), int(time.time() // self.duration)
        self.count = _count(f"{key}:{window}", self.duration) if key else None
        if self.count is None:
            return True
        self.left = max(0, self.num_requests - self.count)
        return self.count <= self.num_requests

    def wait(self) -> float:
        """Whole seconds until the window ends."""
        return math.ceil(self.duration - time.time() % self.duration)


class ReadThrottle(Counted, UserRateThrottle):
    """Everything a person asks for."""

    scope = "reads"


class UploadThrottle(Counted, UserRateThrottle):
    """What gives a worker something to do."""

    scope = "uploads"


class SignInThrottle(Counted, AnonRateThrottle):
    """Passwords tried from one address, and accounts made there."""

    scope = "sign_ins"

    def get_cache_key(self, request: Request, view: APIView) -> str:
        return self.cache_format % {"scope": self.scope, "ident": self.get_ident(request)}


def client_address(request: HttpRequest) -> str:
    """The address a proxy saw, where there is one, else the caller's own; for django-axes too."""
    asked = request if isinstance(request, Request) else Request(request)
    return SignInThrottle().get_ident(asked)


def _count(key: str, keep_s: int) -> int | None:
    """How often `key` was counted, this time included; None while the cache is away."""
    global _asked_again_at
    if time.monotonic() < _asked_again_at:
        return None
    try:
        if cache.add(key, 1, keep_s + 1):
            return 1
        return cache.incr(key)
    except ValueError:  # it ran out between the two
        return 1
    except RedisError as error:
        _asked_again_at = time.monotonic() + CACHE_REST_S
        logger.warning("nobody's requests are counted, the cache is away: %s", error)
        return None
