"""Figures in words, times of files, comparison, cells of a spreadsheet."""

import pytest

from speedtest.results import compare_rate, safe_cell
from speedtest.words import file_times, lines, seconds_text

FIGURES = {
    "first_ms": 90,
    "idle_median_ms": 40,
    "idle_p95_ms": 55.4,
    "jitter_ms": 1.26,
    "download": {"mbps": 480, "streams": 4, "steady": 1, "ramp_ms": 450, "loaded_median_ms": 88,
                 "loaded_p95_ms": 120, "grade": "B", "p10": 470, "p90": 490},
    "upload": {"mbps": 96, "streams": 4, "plus_minus": 0.123},
    "small_get": {"files_per_s": 45.25, "bytes": 65536, "p50_ms": 80, "p95_ms": 130},
    "multipart": {"ok": 1, "ms": 900},
    "bytes_used": 3_000_000, "bytes_up": 1_000_000, "bytes_down": 2_000_000,
    "flags": ["hidden"],
}  # fmt: skip


def test_figures_have_words_and_units() -> None:
    assert dict(lines(FIGURES)) == {
        "Download, several at once": "480 Mbit/s (60.0 MB/s) with 4 at once, steady",
        "Download, several at once: most seconds": "470 Mbit/s to 490 Mbit/s",
        "Download, several at once: latency meanwhile": "88 ms, 95 % below 120 ms, grade B",
        "Upload, several at once": "96.0 Mbit/s (12.0 MB/s) with 4 at once, varied ±12 %",
        "Latency of the idle line": "40 ms, 95 % below 55 ms, jitter 1.3 ms",
        "First connection": "90 ms",
        "Small files, download": "45.2 a second (66 kB each), half in 80 ms, 95 % in 130 ms",
        "Upload in parts": "all bytes came through in 900 ms",
        "Moved": "1.0 MB up, 2.0 MB down",
        "Note": "The tab was hidden for a while; the figures may be low.",
    }
    assert lines({}) == []


def test_times_of_files() -> None:
    told = {one["what"]: (one["download"], one["upload"]) for one in
            file_times(FIGURES, (84_000_000, 2_100_000_000), 20)}  # fmt: skip
    assert told == {
        # 84 MB at 480 Mbit/s are 1.4 s; connecting costs 0.05 s and speeding up 0.45 s.
        "Your usual file (84 MB, the median)": ("1.9 s", "7.0 s"),
        "A large one (2.1 GB; 95 % are not larger)": ("36 s", "2 min 55 s"),
        "A 2 GB plate": ("34 s", "2 min 47 s"),
        "1080p reviews at once, 20 Mbit/s each": ("24", "–"),
    }


def test_times_without_media_or_measurement() -> None:
    only_up = {"upload": {"mbps": 16}}
    assert file_times(only_up, None, 20) == [
        {"what": "A 2 GB plate", "download": "–", "upload": "16 min 40 s"}
    ]
    assert file_times({}, (1, 2), 20) == []
    assert file_times({"download": {"mbps": 19}}, None, 20)[-1]["download"] == "fewer than one"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "under 0.1 s"), (0.1, "0.1 s"), (9.94, "9.9 s"), (9.96, "10 s"),
     (59.6, "1 min 0 s"), (87, "1 min 27 s"), (3599.7, "1 h 0 min"), (7500, "2 h 5 min")],
)  # fmt: skip
def test_seconds(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


def test_a_drop_of_more_than_30_percent_is_said() -> None:
    others = [100.0, 90.0, 400.0]
    assert compare_rate(69, others) == {
        "text": "A drop: 31 % below the median of 3 tests in the 30 days before, 100 Mbit/s.",
        "dropped": True,
    }
    assert not compare_rate(70, others)["dropped"]
    assert compare_rate(70, others)["text"].startswith("30 % below the median")
    assert compare_rate(103, others)["text"].startswith("As usual")
    assert compare_rate(150, others)["text"].startswith("50 % above")
    assert "two earlier tests" in compare_rate(1, [100.0, 100.0])["text"]
    assert not compare_rate(1, [100.0, 100.0])["dropped"]
    assert not compare_rate(0, [0.0, 0.0, 0.0])["dropped"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


def test_other_cells_stay() -> None:
    assert [safe_cell(value) for value in ("a=1", 1.5, None, False)] == ["a=1", 1.5, "", False]
