"""A chart of rates over time: where its lines, points and labels are. Pure; the page draws them."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

WIDTH, HEIGHT = 800, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 28
SERIES = ("download", "upload")
TIMES = 5
RATES = 4

Point = tuple[datetime, float | None, float | None, str]
"""When, download and upload in Mbit/s (None: not measured), and of what: only points of the same
thing are joined by a line."""


def trend(points: Sequence[Point]) -> dict[str, Any] | None:
    """Geometry in a box of WIDTH by HEIGHT; None with fewer than two measured points.

    {"width", "height", "left", "right", "bottom", "rates": [{"y", "text"}],
    "times": [{"x", "text", "anchor"}],
    "series": [{"name", "path", "points": [{"x", "y", "title", "of"}]}]}
    """
    measured = sorted(
        (point for point in points if point[1] is not None or point[2] is not None),
        key=lambda point: point[0],
    )
    if len(measured) < 2:
        return None
    first, last = measured[0][0], measured[-1][0]
    span = max(last - first, timedelta(seconds=1))
    top = nice_top(max(rate for point in measured for rate in point[1:3] if rate is not None))

    def x_of(moment: datetime) -> float:
        return round(LEFT + (moment - first) / span * (WIDTH - LEFT - RIGHT), 1)

    def y_of(rate: float) -> float:
        return round(HEIGHT - BOTTOM - rate / top * (HEIGHT - TOP - BOTTOM), 1)

    series = []
    for number, name in enumerate(SERIES, 1):
        found = [
            {
                "x": x_of(point[0]),
                "y": y_of(point[number]),
                "title": f"{name} {point[number]:.1f} Mbit/s, {point[0]:%Y-%m-%d %H:%M}"
                + (f", {point[3]}" if point[3] else ""),
                "of": point[3],
            }
            for point in measured
            if point[number] is not None
        ]
        series.append({"name": name, "path": _path(found), "points": found})
    rates = [top * number / RATES for number in range(RATES + 1)]
    moments = [first + span * number / (TIMES - 1) for number in range(TIMES)]
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "bottom": HEIGHT - BOTTOM,
        "rates": [{"y": y_of(rate), "text": f"{rate:g}"} for rate in rates],
        "times": [
            {"x": x_of(moment), "text": moment.strftime(_form(span)), "anchor": _anchor(number)}
            for number, moment in enumerate(moments)
        ],
        "series": series,
    }


def _path(points: Sequence[dict[str, Any]]) -> str:
    """A line for each thing that was measured."""
    lines: dict[str, list[str]] = {}
    for one in points:
        lines.setdefault(one["of"], []).append(f"{one['x']} {one['y']}")
    return " ".join("M" + " L".join(line) for line in lines.values())


def _form(span: timedelta) -> str:
    if span < timedelta(days=1):
        return "%H:%M"
    return "%m-%d %H:%M" if span < timedelta(days=4) else "%Y-%m-%d"


def _anchor(number: int) -> str:
    return "start" if number == 0 else "end" if number == TIMES - 1 else "middle"


def nice_top(most: float) -> float:
    """The top of an axis: at least `most`, and four steps of it are round numbers."""
    if most <= 0:
        return 4
    power = 10 ** math.floor(math.log10(most))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= most)
