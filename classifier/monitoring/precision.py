"""How many windows workers had to compute again in fp32, day by day, kept in the shared cache.

The answers are right either way. The count tells an operator that the processor's reduced
precision gives NaN or infinity now and then.
"""

import logging
from datetime import date, timedelta

from django.core.cache import cache
from django.utils import timezone
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

DAYS = 7


def count_recomputed(windows: int) -> None:
    """Add to today's count. Without the cache the windows are logged instead."""
    key = _key(timezone.now().date())
    try:
        cache.add(key, 0, timeout=timedelta(days=DAYS + 1).total_seconds())
        cache.incr(key, windows)
    except (RedisError, ValueError) as error:  # ValueError: the key was evicted in between
        logger.warning("%d windows recomputed in fp32 were not counted: %s", windows, error)


def recomputed_windows() -> int:
    """Of the last DAYS days. Raises RedisError without the cache, ValueError for another URL."""
    today = timezone.now().date()
    keys = [_key(today - timedelta(days=days)) for days in range(DAYS)]
    return sum(cache.get_many(keys).values())


def _key(day: date) -> str:
    return f"recomputed_windows:{day}"
