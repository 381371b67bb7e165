"""How large media files are."""

from media.models import MediaFile
from preferences.media_side import Sizes

SAMPLE = 10_000


def media_sizes() -> Sizes | None:
    """Median and 95th percentile of the newest files; None when there are none.

    At most 10,000 rows are read, from the end of the primary key's index: as quick with a million
    files as with ten thousand, and the newest ones tell what people wait for today. They are sorted
    here, since SQLite has no percentiles.
    """
    newest = MediaFile.objects.order_by("-id").values_list("size", flat=True)[:SAMPLE]
    sizes = sorted(newest)
    if not sizes:
        return None
    return Sizes(_percentile(sizes, 50), _percentile(sizes, 95))


def _percentile(ordered: list[int], percent: int) -> int:
    """The nearest rank: the least size that so many per cent do not exceed."""
    return ordered[-(-len(ordered) * percent // 100) - 1]
