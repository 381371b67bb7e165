"""The library's queries: search, filter by kind, and pages by id.

Pages are cut by id ("older than 4711"), not by number: page 20,000 costs what page 1 does, and a
file uploaded meanwhile does not move anything.
"""

import re
from dataclasses import dataclass

from django.db import connection
from django.db.models import Q, QuerySet

from media.content_types import without_hidden
from media.models import Kind, MediaFile
from media.rows import LAST_ID

PAGE_SIZE = 48
MOST_WORDS = 8
LONGEST_SEARCH = 200


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asked the library for.

    `words` must all be in the name; `kind` is "" for all. `before` and `after` are ids that a page
    ends or begins at (older than, newer than), None for the newest.
    """

    words: tuple[str, ...] = ()
    kind: str = ""
    before: int | None = None
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page, newest first, and whether there are newer and older ones."""

    media_files: list[MediaFile]
    has_newer: bool
    has_older: bool


def read_wanted(query: dict[str, str]) -> Wanted:
    """Return what a query string asks for; what cannot be understood is left out."""
    # Names are kept composed and without what cannot be seen; what is pasted may be neither.
    words = map(without_hidden, query.get("q", "")[:LONGEST_SEARCH].split()[:MOST_WORDS])
    kind = query.get("kind", "")
    return Wanted(
        words=tuple(word for word in words if word),
        kind=kind if kind in Kind.values else "",
        before=_read_id(query.get("before")),
        after=_read_id(query.get("after")),
    )


def _read_id(text: str | None) -> int | None:
    if text is None or not (text.isascii() and text.isdecimal() and len(text) <= 19):
        return None
    return min(int(text), LAST_ID)


def matching(wanted: Wanted) -> QuerySet[MediaFile]:
    """Return the media files that match the words and the kind, in no order.

    `icontains` is what the trigram index of PostgreSQL serves (migration 0003). On SQLite it reads
    on until the page is full: a million names take 0.2 s at worst (no match; 1.3 s for a word that
    begins with Ü), less than maintaining a search table would be worth.
    """
    found = MediaFile.objects.all()
    for word in wanted.words:
        found = found.filter(_in_name(word))
    return found.filter(kind=wanted.kind) if wanted.kind else found


def _in_name(word: str) -> Q:
    if word.isascii() or connection.vendor != "sqlite" or word.lower() == word.upper():
        return Q(name__icontains=word)
    # SQLite's LIKE takes Ü and ü for two letters. An expression in Python does not, but is slow:
    # LIKE with the longest piece that it can compare leaves few names to it.
    piece = max(re.findall(r"[\x00-\x7f]*", word), key=len)
    return Q(name__icontains=piece) & Q(name__iregex=re.escape(word))


def find_page(wanted: Wanted, size: int = PAGE_SIZE) -> Page:
    """Return the page of at most `size` media files that `wanted` asks for; one query."""
    found = matching(wanted)
    if wanted.before is None and wanted.after is not None:
        rows = list(found.filter(pk__gt=wanted.after).order_by("pk")[: size + 1])
        return Page(rows[:size][::-1], has_newer=len(rows) > size, has_older=True)
    if wanted.before is not None:
        found = found.filter(pk__lt=wanted.before)
    rows = list(found.order_by("-pk")[: size + 1])
    return Page(rows[:size], has_newer=wanted.before is not None, has_older=len(rows) > size)
