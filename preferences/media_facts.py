"""How large the site's media files are, for who may not import the media app.

The speed test says how long a file of this site takes, and the two apps do not know each other. So
the media app, which depends on this one, registers the function that answers when it is ready.
"""

from collections.abc import Callable
from typing import NamedTuple


class Sizes(NamedTuple):
    """Sizes of the site's media files, in bytes."""

    median: int
    p95: int
    """95 % of the files are not larger."""


_answers: Callable[[], Sizes | None] | None = None


def register(answers: Callable[[], Sizes | None]) -> None:
    """Let `answers` say the sizes from now on."""
    global _answers
    _answers = answers


def media_sizes() -> Sizes | None:
    """The sizes of the site's media files; None while it has none."""
    return _answers() if _answers else None
