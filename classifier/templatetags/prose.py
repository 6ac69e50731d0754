"""The API's descriptions, which are plain text with a little Markdown, as HTML."""

import re

from django import template
from django.utils.html import escape, format_html_join
from django.utils.safestring import SafeString, mark_safe

register = template.Library()
STEP = re.compile(r"\d+\. ")


@register.filter
def marked(text: str) -> SafeString:
    """`code` → <code>code</code>; everything else as it is."""
    return mark_safe(re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text)))  # noqa: S308 - escaped


@register.filter
def prose(text: str) -> SafeString:
    """Paragraphs, and lists of numbered lines."""
    return format_html_join("\n", "{}", ((_block(part),) for part in text.strip().split("\n\n")))


def _block(part: str) -> SafeString:
    lines = part.splitlines()
    if not all(STEP.match(line) for line in lines):
        return mark_safe(f"<p>{marked(' '.join(lines))}</p>")  # noqa: S308 - escaped
    steps = "".join(f"<li>{marked(STEP.sub('', line, count=1))}</li>" for line in lines)
    return mark_safe(f"<ol>{steps}</ol>")  # noqa: S308 - escaped
