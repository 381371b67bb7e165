"""The chart of rates over time."""

from datetime import UTC, datetime, timedelta

import pytest

from speedtest.trend import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, nice_top, trend

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_one_measured_point_is_no_trend() -> None:
    assert trend([]) is None
    assert trend([(NOON, 5.0, None, ""), (NOON, None, None, "")]) is None


def test_points_are_placed_by_time_and_rate_whatever_their_order() -> None:
    later = NOON + timedelta(days=2)
    chart = trend([(later, 400.0, 100.0, ""), (NOON, 200.0, None, "")])
    down, up = chart["series"]
    middle = TOP + (HEIGHT - TOP - BOTTOM) / 2
    assert down["path"] == f"M{LEFT}.0 {middle} L{WIDTH - RIGHT}.0 {TOP}.0"
    assert [point["title"] for point in up["points"]] == ["upload 100.0 Mbit/s, 2026-11-22 12:00"]
    assert [rate["text"] for rate in chart["rates"]] == ["0", "100", "200", "300", "400"]
    assert [time["text"] for time in chart["times"]][::4] == ["11-20 12:00", "11-22 12:00"]
    assert chart["times"][-1]["anchor"] == "end"


def test_only_what_is_alike_is_joined_by_a_line() -> None:
    hours = [NOON + timedelta(hours=number) for number in range(4)]
    chart = trend([(hour, 100.0, None, "ab"[number % 2]) for number, hour in enumerate(hours)])
    assert [line.count("L") for line in chart["series"][0]["path"].split("M")[1:]] == [1, 1]
    assert chart["series"][0]["points"][1]["title"].endswith(", b")


def test_a_series_that_was_never_measured_has_no_line() -> None:
    chart = trend([(NOON, 1.0, None, ""), (NOON + timedelta(hours=1), 0.0, None, "")])
    assert chart["series"][1] == {"name": "upload", "path": "", "points": []}
    assert chart["times"][0]["text"] == "12:00"


@pytest.mark.parametrize(
    ("most", "top"), [(0, 4), (0.3, 0.4), (1, 1), (199, 200), (480, 600), (940, 1000), (1001, 2000)]
)
def test_the_axis_ends_at_a_round_number(most: float, top: float) -> None:
    assert nice_top(most) == pytest.approx(top)
