"""tests.benchmarks.link and .speedtest: that what they compare with is right."""

import pytest

from tests.benchmarks.link import Direction, bytes_between
from tests.benchmarks.speedtest import delivered_mbps, error_percent, file_seconds


def test_chunks_go_out_one_after_another_at_the_links_rate() -> None:
    direction = Direction(rate=1000, delay=0.5)
    assert direction.schedule(100, now=10) == pytest.approx(10.6)
    assert direction.schedule(100, now=10) == pytest.approx(10.7)
    # An idle link keeps nothing for later.
    assert direction.schedule(100, now=20) == pytest.approx(20.6)


def test_chunks_are_two_milliseconds_of_the_link() -> None:
    assert Direction(12.5e6, 0).chunk == 25_000
    assert Direction(1e5, 0).chunk == 4096
    assert Direction(1e9, 0).chunk == 65_536


def test_steps_at_the_edges_count_by_their_share() -> None:
    counts = [(0, 100), (50, 100), (100, 100)]
    assert bytes_between(counts, 0, 150) == 300
    assert bytes_between(counts, 25, 125) == 200
    assert bytes_between(counts, 200, 300) == 0


def test_the_links_rate_is_that_of_the_pages_window() -> None:
    counts = [(at, 62_500) for at in range(0, 2000, 50)]
    assert delivered_mbps(counts, {"from_ms": 500, "seconds": 1}) == pytest.approx(10)


def test_errors_are_in_percent_of_what_is_right() -> None:
    assert error_percent(105, 100) == pytest.approx(5)
    assert error_percent(1, 0) == float("inf")


def test_a_files_time_has_its_beginning() -> None:
    figures = {
        "first_ms": 70,
        "idle_median_ms": 20,
        "download_single": {"mbps": 8, "ramp_ms": 150},
    }
    assert file_seconds(figures, "download_single", 1_000_000) == pytest.approx(1.2)
    figures["upload_single"] = {"mbps": 7, "file_mbps": 8, "ramp_ms": 0}
    assert file_seconds(figures, "upload_single", 1_000_000) == pytest.approx(1.05)
