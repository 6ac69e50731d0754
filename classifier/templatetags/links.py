"""Template tags for URLs."""

from typing import Any

from django import template

from classifier import links

register = template.Library()


@register.simple_tag(takes_context=True)
def result_url(context: dict[str, Any], name: str, *args: object) -> str:
    """Return `links.result_url`; under the share link `link` of the context, if it has one."""
    return links.result_url(name, *args, link=context.get("link"))
