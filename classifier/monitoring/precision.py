"""Daily count of the windows that workers recomputed in fp32, kept in the shared cache.

The results are correct either way. The count tells an operator that the processor's reduced
precision sometimes gives NaN or infinity.
"""

import logging
from datetime import date, timedelta

from django.core.cache import cache
from django.utils import timezone
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

DAYS = 7


def count_recomputed(windows: int) -> None:
    """Add to today's count. If the cache is not responding, log the number instead."""
    key = _key(timezone.now().date())
    try:
        cache.add(key, 0, timeout=timedelta(days=DAYS + 1).total_seconds())
        cache.incr(key, windows)
    except (RedisError, ValueError) as error:  # ValueError: the key was evicted in between
        logger.warning("%d windows recomputed in fp32 were not counted: %s", windows, error)


def recomputed_windows() -> int:
    """Return the number of recomputed windows in the last DAYS days.

    Raises
    ------
    RedisError
        The cache is not responding.
    ValueError
        The URL of the cache is invalid.
    """
    today = timezone.now().date()
    keys = [_key(today - timedelta(days=days)) for days in range(DAYS)]
    return sum(cache.get_many(keys).values())


def _key(day: date) -> str:
    return f"recomputed_windows:{day}"
