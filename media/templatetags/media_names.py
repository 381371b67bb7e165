"""How file names are shown."""

import re

from django import template
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

register = template.Library()


@register.filter
def breakable(name: str) -> SafeString:
    """Return `name` for a page, with places to break lines after `_` and `-`.

    A shot's name is one long word to a browser, which would break it anywhere.
    """
    pieces = re.findall(r"[^_-]*[_-]+|[^_-]+", name)
    return format_html_join(SafeString("<wbr>"), "{}", ((piece,) for piece in pieces))
