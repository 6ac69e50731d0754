"""The figures that the admin's index page shows besides Django's own content."""

import shutil
from typing import Any

from django import template
from django.conf import settings

from classifier.monitoring import dashboard
from classifier.services import usage

register = template.Library()


@register.inclusion_tag("classifier/_dashboard.html")
def admin_dashboard() -> dict[str, Any]:
    return {
        "lanes": dashboard.lanes(),
        "failures": dashboard.failures(),
        "failure_days": dashboard.FAILURES_OF_DAYS,
        "usage": usage.largest_users(),
        "disk": shutil.disk_usage(settings.DATA),
    }
