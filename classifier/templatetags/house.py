"""The dashboard on the admin's first page."""

from typing import Any

from django import template

from classifier import dashboard

register = template.Library()


@register.inclusion_tag("classifier/_dashboard.html")
def house_dashboard() -> dict[str, Any]:
    return {
        "lanes": dashboard.lanes(),
        "workers": dashboard.workers(),
        "failures": dashboard.failures(),
        "failure_days": dashboard.FAILURES_OF_DAYS,
        "usage": dashboard.usage(),
        "disk": dashboard.disk(),
    }
