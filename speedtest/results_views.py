"""/admin/speedtest/results/: what was measured, over time, and each test in words."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from preferences.media_side import media_side
from speedtest import results, words
from speedtest.access import may_test
from speedtest.models import SpeedTestRun
from speedtest.trend import trend
from speedtest.views import for_readers, row

CHARTED = 200
"""The newest results of a list that its chart shows."""


@for_readers
@require_safe
def listing(request: HttpRequest) -> HttpResponse:
    """Results newest first, filtered, a page at a time; with a chart of the rates."""
    filters = results.Filters(request.GET)
    runs = filters.chosen()
    shown, older = results.page_of(runs, request.GET.get("before", ""))
    charted = [
        (run.started_at, results.rate_of(run.figures, "download"),
         results.rate_of(run.figures, "upload"),
         ", ".join(filter(None, (run.configuration, run.office or run.browser))), run)
        for run in runs[:CHARTED]
    ]  # fmt: skip
    query = request.GET.copy()
    query.pop("before", None)
    kept = query.urlencode()
    query["before"] = older
    return render(
        request,
        "speedtest/results.html",
        {
            **admin.site.each_context(request),
            "title": "Results of speed tests",
            "filters": filters,
            "filtered": any(request.GET.get(name) for name in filters.fields),
            "runs": [_listed(run) for run in shown],
            "older": f"?{query.urlencode()}" if older else "",
            "newest": f"?{kept}" if request.GET.get("before") else "",
            "kept": f"?{kept}" if kept else "",
            "chart": trend([point[:4] for point in charted]),
            "charted": [
                _listed(run)
                for _, down, up, _, run in charted
                if down is not None or up is not None
            ],
        },
    )


def _listed(run: SpeedTestRun) -> dict[str, Any]:
    return row(run) | {
        "office": run.office,
        "browser": run.browser,
        "by_link": run.invitation_id is not None,
    }


@for_readers
@require_safe
def detail(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """One result: figures in words, what it means for files, findings, and how it compares."""
    run = get_object_or_404(results.finished(), pk=run_id)
    sizes = media_side().media_sizes()
    context = {
        **admin.site.each_context(request),
        "title": f"Speed test of “{run.configuration}”",
        "run": run,
        "may_test": may_test(request.user),
        "may_delete": request.user.has_perm("speedtest.delete_speedtestrun"),
        "listed": _listed(run),
        "lines": words.lines(run.figures),
        "times": words.file_times(run.figures, sizes, settings.SPEEDTEST_REVIEW_MBPS),
        "sizes": sizes,
        "compared": results.compared(run),
        "columns": [
            ("From this server", run.server_findings),
            ("From the browser", run.browser_findings),
            ("Clean-up", run.cleanup),
        ],
    }
    return render(request, "speedtest/result.html", context)


@for_readers
@require_safe
def export_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The filtered list as CSV."""
    return _streamed(request, results.csv_lines, "text/csv; charset=utf-8", "csv")


@for_readers
@require_safe
def export_json(request: HttpRequest) -> StreamingHttpResponse:
    """The filtered list as JSON, with all figures."""
    return _streamed(request, results.json_lines, "application/json", "json")


def _streamed(
    request: HttpRequest, lines: Callable[..., Iterator[str]], kind: str, ending: str
) -> StreamingHttpResponse:
    runs = results.Filters(request.GET).chosen()
    response = StreamingHttpResponse(lines(runs), content_type=kind)
    name = f"speedtests-{timezone.now():%Y-%m-%d}.{ending}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
