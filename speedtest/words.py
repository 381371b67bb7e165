"""Figures of a test in words and units, and what they mean for the files of this site. Pure."""

from collections.abc import Mapping
from typing import Any

from shotmedia.s3.probe_judgements import size_text

PLATE = 2_000_000_000
TITLES = {
    "download": "Download, several at once",
    "download_single": "Download, one at a time",
    "upload": "Upload, several at once",
    "upload_single": "Upload, one at a time",
}
SMALL = {"small_get": "Small files, download", "small_put": "Small files, upload"}
FLAG_WORDS = {
    "hidden": "The tab was hidden for a while; the figures may be low.",
    "offline": "The browser lost its network for a while; the figures are a mixture.",
    "slept": "The computer was asleep for a while; the figures are a mixture.",
    "buffered": "A proxy, antivirus or VPN takes uploads in before S3 has them.",
    "browser_bound": "Above 2 Gbit/s the browser is the bound.",
}


def lines(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(what, value in words) of everything that was measured."""
    told: list[tuple[str, str]] = []
    for name, title in TITLES.items():
        if one := figures.get(name):
            told += _direction(title, one)
    if "idle_median_ms" in figures:
        text = _ms(figures["idle_median_ms"])
        if "idle_p95_ms" in figures:
            text += f", 95 % below {_ms(figures['idle_p95_ms'])}"
        if "jitter_ms" in figures:
            text += f", jitter {_ms(figures['jitter_ms'])}"
        told.append(("Latency of the idle line", text))
    if "first_ms" in figures:
        told.append(("First connection", _ms(figures["first_ms"])))
    for name, title in SMALL.items():
        one = figures.get(name) or {}
        if "files_per_s" in one:
            text = f"{one['files_per_s']:.1f} a second ({size_text(one.get('bytes', 65536))} each)"
            if "p50_ms" in one and "p95_ms" in one:
                text += f", half in {_ms(one['p50_ms'])}, 95 % in {_ms(one['p95_ms'])}"
            told.append((title, text))
    for name, title in (("multipart", "Upload in parts"), ("resume", "Download in two halves")):
        one = figures.get(name) or {}
        if "ok" in one:
            came = "all bytes came through" if one["ok"] else "did not come through"
            told.append((title, f"{came} in {_ms(one['ms'])}" if "ms" in one else came))
    if figures.get("bytes_used"):
        moved = f"{size_text(figures.get('bytes_up', 0))} up, "
        told.append(("Moved", f"{moved}{size_text(figures.get('bytes_down', 0))} down"))
    flags = figures.get("flags") or ()
    return told + [("Note", FLAG_WORDS[flag]) for flag in flags if flag in FLAG_WORDS]


def _direction(title: str, one: Mapping[str, Any]) -> list[tuple[str, str]]:
    if "mbps" not in one:
        return []
    text = f"{mbps_text(one['mbps'])} ({one['mbps'] / 8:.1f} MB/s)"
    if one.get("streams", 1) > 1:
        text += f" with {one['streams']:.0f} at once"
    if one.get("steady"):
        text += ", steady"
    elif one.get("plus_minus") is not None:
        text += f", varied ±{max(1, round(one['plus_minus'] * 100))} %"
    told = [(title, text)]
    if "p10" in one and "p90" in one:
        spread = f"{mbps_text(one['p10'])} to {mbps_text(one['p90'])}"
        told.append((f"{title}: most seconds", spread))
    if "loaded_median_ms" in one:
        text = _ms(one["loaded_median_ms"])
        if "loaded_p95_ms" in one:
            text += f", 95 % below {_ms(one['loaded_p95_ms'])}"
        told.append((f"{title}: latency meanwhile", text + _grade(one)))
    return told


def _grade(one: Mapping[str, Any]) -> str:
    return f", grade {one['grade']}" if one.get("grade") else ""


def file_times(
    figures: Mapping[str, Any], sizes: tuple[int, int] | None, review_mbps: float
) -> list[dict[str, str]]:
    """What the rates mean: [{"what", "download", "upload"}], a time each, or a dash.

    sizes: median and 95th percentile of the site's media, in bytes; review_mbps: one 1080p review.
    """
    rates = {name: (figures.get(name) or {}).get("mbps") for name in ("download", "upload")}
    if not any(rates.values()):
        return []
    files = [("A 2 GB plate", PLATE)]
    if sizes:
        median, p95 = sizes
        files = [
            (f"Your usual file ({size_text(median)}, the median)", median),
            (f"A large one ({size_text(p95)}; 95 % are not larger)", p95),
            *files,
        ]
    told = [
        {"what": what} | {
            name: file_time(size, figures, name) if rate else "–" for name, rate in rates.items()
        }
        for what, size in files
    ]  # fmt: skip
    if rates["download"] and review_mbps > 0:
        count = int(rates["download"] // review_mbps)
        reviews = "fewer than one" if count < 1 else f"{count}"
        what = f"1080p reviews at once, {review_mbps:g} Mbit/s each"
        told.append({"what": what, "download": reviews, "upload": "–"})
    return told


def file_time(size: int, figures: Mapping[str, Any], direction: str) -> str:
    """The time of a file of `size` bytes, with what connecting and speeding up cost."""
    one = figures[direction]
    connect = max(0, figures.get("first_ms", 0) - figures.get("idle_median_ms", 0))
    return seconds_text(size * 8 / (one["mbps"] * 1e6) + (connect + one.get("ramp_ms", 0)) / 1000)


def seconds_text(seconds: float) -> str:
    """Seconds for people: "under 0.1 s", "3.6 s", "35 s", "1 min 27 s", "2 h 5 min"."""
    if seconds < 0.1:
        return "under 0.1 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def mbps_text(rate: float) -> str:
    """A rate for people: "480 Mbit/s", "9.3 Mbit/s"."""
    return f"{rate:.0f} Mbit/s" if rate >= 99.95 else f"{rate:.1f} Mbit/s"


def _ms(value: float) -> str:
    return f"{value:.1f} ms" if value < 10 else f"{value:.0f} ms"
