"""Results that are over: filtered, paged, compared and exported."""

import csv
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from statistics import median
from typing import Any
from uuid import UUID

from django import forms
from django.db.models import Q, QuerySet

from speedtest.models import SpeedTestInvitation, SpeedTestRun
from speedtest.plan import RUN_SECONDS
from speedtest.words import mbps_text

PAGE = 50
COMPARED_DAYS = 30
LEAST_TO_COMPARE = 3
DROP = 0.3
"""A rate that is lower than the median by more than this share is a drop."""
DIRECTIONS = (("download", "Download"), ("upload", "Upload"))
SPOILING = frozenset({"hidden", "offline", "slept"})


def finished() -> QuerySet[SpeedTestRun]:
    """Tests that are over, newest first, with what `who` reads."""
    runs = SpeedTestRun.objects.exclude(state=SpeedTestRun.State.RUNNING)
    return runs.select_related("user", "invitation").order_by("-started_at", "-id")


# --- Filters --------------------------------------------------------------------------------


class Filters(forms.Form):
    """What to list. Every field may be empty; a field that can't be understood is left out."""

    configuration = forms.ChoiceField(required=False)
    person = forms.ChoiceField(required=False)
    office = forms.ChoiceField(required=False, label="Office (address range)")
    browser = forms.ChoiceField(required=False)
    since = forms.DateField(required=False, label="From day (UTC)")
    until = forms.DateField(required=False, label="To day (UTC)")

    def __init__(self, data: Mapping[str, str]) -> None:
        super().__init__(data, label_suffix="")
        for name in ("configuration", "office", "browser"):
            runs = SpeedTestRun.objects.exclude(**{name: ""}).order_by(name)
            found = runs.values_list(name, flat=True).distinct()
            self.fields[name].choices = [("", "all"), *((one, one) for one in found)]
        self.fields["person"].choices = [("", "all"), *_people()]
        for name in ("since", "until"):
            self.fields[name].widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")

    def clean(self) -> dict[str, Any]:
        """Refuse days in the wrong order."""
        cleaned = super().clean()
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and since > until:
            self.add_error("until", f"This day is before {since}.")
        return cleaned

    def chosen(self) -> QuerySet[SpeedTestRun]:
        """The results that pass; fields with an error filter nothing."""
        self.is_valid()
        given = {name: value for name, value in self.cleaned_data.items() if value}
        runs = finished()
        same = ("configuration", "office", "browser")
        runs = runs.filter(**{name: given[name] for name in same if name in given})
        if "person" in given:
            kind, _, value = given["person"].partition(":")
            runs = (
                runs.filter(user=int(value), invitation=None)
                if kind == "user"
                else runs.filter(invitation__note=value)
            )
        if "since" in given:
            runs = runs.filter(started_at__gte=datetime.combine(given["since"], time(), UTC))
        if "until" in given:
            # Not "before the next day": the last of all days has none.
            runs = runs.filter(started_at__lte=datetime.combine(given["until"], time.max, UTC))
        return runs


def _people() -> Iterator[tuple[str, str]]:
    own = SpeedTestRun.objects.filter(invitation=None).exclude(user=None)
    for pk, name in own.order_by("user__username").values_list("user", "user__username").distinct():
        yield f"user:{pk}", name
    invited = SpeedTestInvitation.objects.filter(runs__isnull=False).order_by("note")
    for note in invited.values_list("note", flat=True).distinct():
        yield f"invited:{note}", f"{note} (by link)"


# --- Pages ----------------------------------------------------------------------------------


def page_of(
    runs: QuerySet[SpeedTestRun], before: str, size: int = PAGE
) -> tuple[list[SpeedTestRun], str]:
    """The results older than the mark `before` ("": the newest), and the mark of the next page.

    The mark is "" at the end. New results never shift a page, as they would by number.
    """
    found = _mark(before)
    if found:
        moment, pk = found
        runs = runs.filter(Q(started_at__lt=moment) | Q(started_at=moment, id__lt=pk))
    shown = list(runs[: size + 1])
    more = len(shown) > size
    shown = shown[:size]
    return shown, f"{shown[-1].started_at.isoformat()}~{shown[-1].pk}" if more else ""


def _mark(text: str) -> tuple[datetime, UUID] | None:
    moment, _, pk = text.partition("~")
    try:
        parsed = datetime.fromisoformat(moment)
        # Not every moment of another time zone is one of UTC.
        return (parsed.astimezone(UTC), UUID(pk)) if parsed.tzinfo else None
    except (ValueError, OverflowError):
        return None


# --- Comparison -----------------------------------------------------------------------------


def compared(run: SpeedTestRun) -> list[dict[str, Any]]:
    """Each rate beside the median of the 30 days before: {"title", "text", "dropped"}.

    Of the same configuration (and place of it) and office, tests that came to their end and that
    nothing spoiled. What this server measured is compared with what it measured before, and a
    comparison, whose turns are short, with comparisons. A test that shared the line with another
    one says so.
    """
    return [*_with_earlier(run), *_beside(run)]


def _with_earlier(run: SpeedTestRun) -> list[dict[str, Any]]:
    measured = [one for one in DIRECTIONS if rate_of(run.figures, one[0]) is not None]
    if spoiled(run.figures):
        text = "Not compared, as something spoiled the figures; a note says what."
        return [{"title": title, "text": text, "dropped": False} for _, title in measured]
    compare = SpeedTestRun.Mode.COMPARE
    alike = Q(mode=compare) if run.mode == compare else ~Q(mode=compare)
    earlier = SpeedTestRun.objects.filter(
        alike,
        configuration=run.configuration,
        office=run.office,
        place=run.place,
        source=run.source,
        state=SpeedTestRun.State.DONE,
        started_at__lt=run.started_at,
        started_at__gte=run.started_at - timedelta(days=COMPARED_DAYS),
    ).exclude(pk=run.pk)
    figures = [one for one in earlier.values_list("figures", flat=True) if not spoiled(one)]
    return [
        {"title": title} | compare_rate(rate_of(run.figures, name), _rates(figures, name))
        for name, title in measured
    ]


def _beside(run: SpeedTestRun) -> list[dict[str, Any]]:
    """A sentence when another test measured over the same office's line meanwhile."""
    if not run.office or run.finished_at is None:
        return []
    others = SpeedTestRun.objects.filter(
        Q(finished_at=None) | Q(finished_at__gt=run.started_at),
        office=run.office,
        started_at__lt=run.finished_at,
        started_at__gt=run.started_at - timedelta(seconds=RUN_SECONDS),
    ).exclude(Q(pk=run.pk) | Q(mode=SpeedTestRun.Mode.QUICK))
    if run.mode == SpeedTestRun.Mode.COMPARE:
        # The other half of it.
        others = others.exclude(mode=run.mode, user=run.user)
    other = others.select_related("user", "invitation").order_by("started_at").first()
    if other is None or not any(rate_of(run.figures, name) is not None for name, _ in DIRECTIONS):
        return []
    text = (
        f"{other.who} tested “{other.configuration}” from the same office meanwhile, so the "
        "figures of both may be low."
    )
    return [{"title": "At the same time", "text": text, "dropped": False}]


def spoiled(figures: Mapping[str, Any]) -> bool:
    """Whether the figures tell of the computer and not of the line."""
    return not SPOILING.isdisjoint(figures.get("flags") or ())


def compare_rate(rate: float, others: list[float]) -> dict[str, Any]:
    """What `rate` is beside the median of `others`, all Mbit/s: {"text", "dropped"}. Pure."""
    if len(others) < LEAST_TO_COMPARE:
        count = {0: "no earlier test", 1: "one earlier test"}.get(len(others), "two earlier tests")
        return {"text": f"Nothing to compare with: {count} in 30 days.", "dropped": False}
    middle = median(others)
    of = f"the median of {len(others)} tests in the 30 days before, {mbps_text(middle)}"
    if middle <= 0:
        return {"text": f"Nothing to compare with: {of}.", "dropped": False}
    share = rate / middle - 1
    if rate < (1 - DROP) * middle:
        return {"text": f"A drop: {-share:.0%} below {of}.".replace("%", " %"), "dropped": True}
    if abs(share) < 0.05:
        return {"text": f"As usual: {of}.", "dropped": False}
    word = "above" if share > 0 else "below"
    return {"text": f"{abs(share):.0%} {word} {of}.".replace("%", " %"), "dropped": False}


def rate_of(figures: Mapping[str, Any], direction: str) -> float | None:
    """The headline of a direction in Mbit/s, None when it was not measured."""
    return (figures.get(direction) or {}).get("mbps")


def _rates(figures: list[dict[str, Any]], direction: str) -> list[float]:
    rates = [rate_of(one, direction) for one in figures]
    return [rate for rate in rates if rate is not None]


# --- Export ---------------------------------------------------------------------------------

COLUMNS = (
    "id", "started_at", "finished_at", "configuration", "bucket", "region", "person", "by_link",
    "office", "address", "browser", "mode", "state", "result", "verdict", "download_mbps",
    "download_one_mbps", "upload_mbps", "upload_one_mbps", "latency_ms", "latency_p95_ms",
    "jitter_ms", "download_loaded_ms", "upload_loaded_ms", "small_files_down_per_s",
    "small_files_up_per_s", "bytes_up", "bytes_down", "flags",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def flat(run: SpeedTestRun) -> dict[str, Any]:
    """A result as one row: the names of COLUMNS."""
    figures = run.figures

    def of(group: str, name: str) -> float | None:
        return (figures.get(group) or {}).get(name)

    values = (
        str(run.pk), run.started_at.isoformat(),
        run.finished_at.isoformat() if run.finished_at else None,
        run.configuration, run.bucket, run.region, run.who, run.invitation_id is not None,
        run.office, run.address, run.browser, run.mode, run.state, run.verdict_status, run.verdict,
        of("download", "mbps"), of("download_single", "mbps"), of("upload", "mbps"),
        of("upload_single", "mbps"), figures.get("idle_median_ms"), figures.get("idle_p95_ms"),
        figures.get("jitter_ms"), of("download", "loaded_median_ms"),
        of("upload", "loaded_median_ms"), of("small_get", "files_per_s"),
        of("small_put", "files_per_s"), figures.get("bytes_up"), figures.get("bytes_down"),
        " ".join(figures.get("flags") or ()),
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


class _Echo:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def csv_lines(runs: QuerySet[SpeedTestRun]) -> Iterator[str]:
    """Results as CSV, a line at a time."""
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    for run in runs.iterator(chunk_size=500):
        yield writer.writerow([safe_cell(value) for value in flat(run).values()])


def safe_cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: such text is given a leading apostrophe."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value


def json_lines(runs: QuerySet[SpeedTestRun]) -> Iterator[str]:
    """Results as one JSON array, with all figures, a result at a time."""
    yield "["
    separator = "\n"
    for run in runs.iterator(chunk_size=500):
        yield separator + json.dumps(flat(run) | {"figures": run.figures})
        separator = ",\n"
    yield "\n]\n"
