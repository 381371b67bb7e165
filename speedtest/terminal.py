"""What `manage.py speedtest` writes: lines of a result, a line of CSV, and progress. Pure, but
for Progress."""

import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import OutputWrapper

from speedtest.figures import DIRECTION_NUMBERS, DIRECTIONS, FILES, NUMBERS
from speedtest.models import SpeedTestRun
from speedtest.server_run import PHASES

MARKS = {"pass": "✓", "warn": "!", "fail": "✕", "skip": "–", "": " "}
CSV_FIGURES = ("mbps", "p10", "p50", "p90", "seconds", "bytes", "streams", "loaded_median_ms")


def finding_lines(finding: Mapping[str, Any]) -> Iterator[str]:
    """A check: its mark, name and message, then what to do and what to paste."""
    yield f"  {MARKS[finding['status']]} {finding['title']}: {finding['message']}"
    if finding["status"] not in ("warn", "fail"):
        return
    if finding["fix"]:
        yield f"      What to do: {finding['fix']}"
    for title, text in finding["documents"]:
        yield f"      {title}:"
        yield from (f"        {line}" for line in text.splitlines())


def speed_lines(figures: Mapping[str, Any]) -> Iterator[str]:
    """The speeds that were measured, a line each."""
    if "idle_median_ms" in figures:
        yield (
            f"  {PHASES['idle']:<28}{figures['idle_median_ms']:9.1f} ms"
            f"  (95 %: {figures['idle_p95_ms']:.1f} ms, jitter {figures['jitter_ms']:.1f} ms)"
        )
    for name in DIRECTIONS:
        if "mbps" in figures.get(name, {}):
            yield f"  {PHASES[name]:<28}{_rate(figures[name])}"
    for name in FILES:
        if "files_per_s" in figures.get(name, {}):
            one = figures[name]
            yield (
                f"  {PHASES[name]:<28}{one['files_per_s']:9.1f} files/s"
                f"  (median {one['p50_ms']:.0f} ms, 95 %: {one['p95_ms']:.0f} ms)"
            )
    for name in ("multipart", "resume"):
        if "ms" in figures.get(name, {}):
            yield f"  {PHASES[name]:<28}{figures[name]['ms'] / 1000:9.1f} s"
    if "bytes_used" in figures:
        up, down = figures["bytes_up"] / 1e6, figures["bytes_down"] / 1e6
        yield f"  {'Moved':<28}{up:9.0f} MB up, {down:.0f} MB down"


def _rate(one: Mapping[str, Any]) -> str:
    text = f"{one['mbps']:9.1f} Mbit/s  ({one['mbps'] / 8:.1f} MB/s"
    if one.get("steady"):
        text += ", steady"
    elif "plus_minus" in one:
        text += f", varied ±{max(1, round(one['plus_minus'] * 100))} %"
    if "loaded_median_ms" in one:
        text += f", latency meanwhile {one['loaded_median_ms']:.0f} ms"
    if one.get("capped"):
        text += ", ended at the limit of bytes"
    if one.get("short"):
        text += ", counted for less than a second: at least"
    return f"{text})"


def too_slow(run: SpeedTestRun, wanted: Mapping[str, float | None]) -> list[str]:
    """A sentence for each direction that is below what is wanted, or was not measured."""
    told = []
    for direction, least in wanted.items():
        if least is None:
            continue
        rate = run.figures.get(direction, {}).get("mbps")
        if rate is None:
            told.append(f"“{run.configuration}”: {direction} was not measured.")
        elif rate < least:
            told.append(
                f"“{run.configuration}”: {direction} {rate:.1f} Mbit/s is below {least:g} Mbit/s."
            )
    return told


def csv_columns() -> list[str]:
    """The names of the CSV's columns."""
    assert set(CSV_FIGURES) <= set(DIRECTION_NUMBERS)
    return [
        "started_at",
        "configuration",
        "bucket",
        "region",
        "state",
        "status",
        *NUMBERS,
        *(f"{name}_{figure}" for name in DIRECTIONS for figure in CSV_FIGURES),
        *(f"{name}_files_per_s" for name in FILES),
        "verdict",
    ]


def csv_values(run: SpeedTestRun) -> list[Any]:
    """A run's values, in the order of the columns; "" for what was not measured."""
    figures = run.figures
    return [
        run.started_at.isoformat(),
        run.configuration,
        run.bucket,
        run.region,
        run.state,
        run.verdict_status,
        *(figures.get(name, "") for name in NUMBERS),
        *(figures.get(n, {}).get(figure, "") for n in DIRECTIONS for figure in CSV_FIGURES),
        *(figures.get(name, {}).get("files_per_s", "") for name in FILES),
        run.verdict,
    ]


class CsvRow:
    """Writes the columns' names before the first run."""

    def __init__(self, writer: Any) -> None:
        self.writer, self.begun = writer, False

    def write(self, run: SpeedTestRun) -> None:
        """Write a run."""
        if not self.begun:
            self.writer.writerow(csv_columns())
        self.begun = True
        self.writer.writerow(csv_values(run))


class Progress:
    """One line that is written over again and again; nothing where there is no terminal."""

    def __init__(self, stream: OutputWrapper) -> None:
        self.stream, self.shown = stream, False

    def show(self, event: Mapping[str, Any]) -> None:
        """Show what is going on."""
        if not self.stream.isatty():
            return
        parts = [event["title"]]
        if "share" in event:
            parts.insert(0, f"{round(event['share'] * 100):3d} %")
        if "rate" in event:
            parts.append(f"{event['rate']:.1f} Mbit/s")
        if "latency" in event:
            parts.append(f"{event['latency']:.0f} ms")
        if "files" in event:
            parts.append(f"{event['files']:.1f} files/s")
        parts += [event["text"]] if event.get("text") else []
        width = shutil.get_terminal_size().columns - 1
        self._write(f"\r\x1b[K{'  '.join(parts)[:width]}")
        self.shown = True

    def clear(self) -> None:
        """Take the line away."""
        if self.shown:
            self._write("\r\x1b[K")
            self.shown = False

    def _write(self, text: str) -> None:
        # Not as an error, which a terminal would show in red.
        self.stream.write(text, lambda line: line, ending="")
        self.stream.flush()
