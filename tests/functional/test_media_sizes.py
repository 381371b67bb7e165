"""The sizes of media files, as the speed test asks for them."""

import pytest
from django.utils import timezone

from media import sizes
from media.models import MediaFile
from media.sizes import media_sizes


def files(*sizes: int) -> None:
    MediaFile.objects.bulk_create(
        MediaFile(
            name="shot.mov", kind="video", content_type="video/quicktime", etag="e", size=size,
            configuration="main", path=f"{MediaFile.objects.count()}-{number}",
            completed_at=timezone.now(),
        )
        for number, size in enumerate(sizes)
    )  # fmt: skip


@pytest.mark.django_db
def test_a_site_without_media_has_no_sizes():
    assert media_sizes() is None


@pytest.mark.django_db
def test_median_and_95th_percentile():
    files(*range(100, 0, -1))
    assert media_sizes() == (50, 95)
    MediaFile.objects.all().delete()
    files(7)
    assert media_sizes() == (7, 7)


@pytest.mark.django_db
def test_only_the_newest_files_are_read(monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(sizes, "SAMPLE", 3)
    files(1000, 1000, 1000, 1000, 1, 2, 3)
    with django_assert_num_queries(1) as queries:
        assert media_sizes() == (2, 3)
    assert "LIMIT 3" in queries[0]["sql"]
