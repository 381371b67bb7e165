"""What Site Preferences and the speed test ask about media files, which they don't import.

Dependencies point one way: the media app depends on this one, and the speed test does not know it.
So it registers, when it is ready, the module that answers (`media.for_preferences`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from preferences.snapshot import Preferences
from shotmedia.s3.config import BucketConfig


@dataclass(frozen=True, slots=True)
class Question:
    """One download to decide. None stands for what is not known."""

    who: str
    use_s3_replication: str
    address: str | None
    age: float | None
    """Seconds since the media was uploaded to Storage Location."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The configuration that a download would come from, and why in words."""

    configuration: BucketConfig
    why: str
    otherwise: BucketConfig | None = None
    """Where it comes from while the copy is not there; None where no copy is looked for."""


class Use(NamedTuple):
    """What depends on a configuration: media files, and uploads that are under way."""

    files: int
    uploads: int


class Sizes(NamedTuple):
    """Sizes of the site's media files, in bytes."""

    median: int
    p95: int
    """95 % of the files are not larger."""


class MediaSide(Protocol):
    """The answers of the media app."""

    def which_bucket(self, preferences: Preferences, question: Question) -> Choice | None:
        """Decide a download; None when it depends on what is not known."""

    def count_use(self, names: Collection[str]) -> dict[str, Use]:
        """Return what depends on each of the configurations; one that nothing uses is left out."""

    def media_sizes(self) -> Sizes | None:
        """Return the sizes of the site's media files; None while it has none."""

    def move(self, old: str, new: str) -> int:
        """Let everything of the configuration `old` belong to `new`; return how many files."""


_registered: MediaSide | None = None


def register(side: MediaSide) -> None:
    """Let `side` answer from now on."""
    global _registered
    _registered = side


def media_side() -> MediaSide:
    """Return who answers for media files. Raises LookupError when the media app is not there."""
    if _registered is None:
        raise LookupError("The media app has not been loaded: nobody knows its files.")
    return _registered
