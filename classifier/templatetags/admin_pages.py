"""What the pages of the admin show beside Django's own."""

from typing import Any

from django import template
from django.contrib.admin.views.main import ChangeList

from classifier.admin.days import drill_down
from classifier.monitoring import dashboard, probes
from classifier.services import usage

register = template.Library()


@register.inclusion_tag("classifier/_dashboard.html")
def admin_dashboard() -> dict[str, Any]:
    return {
        "lanes": dashboard.lanes(),
        "failures": dashboard.failures(),
        "failure_days": dashboard.FAILURES_OF_DAYS,
        "usage": usage.keepers(),
        "disk": probes.disk(),
    }


@register.inclusion_tag("admin/date_hierarchy.html")
def date_hierarchy(changes: ChangeList) -> dict[str, Any]:
    return drill_down(changes)
