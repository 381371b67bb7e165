"""The end of a test: clean-up, verdict, and tests whose page was closed without a word."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q

from preferences.snapshot import Preferences
from speedtest import steps
from speedtest.models import SpeedTestRun
from speedtest.plan import RUN_SECONDS, SILENT_SECONDS, adjusted, for_mode, merged
from speedtest.verdict import verdict

MOST_ENDED = 5
"""Left-behind tests that one visit ends: each costs a look into the bucket."""


def current_plan(mode: str = SpeedTestRun.Mode.STANDARD, **asked: int | None) -> dict[str, Any]:
    """The measurement plan of a mode, with what settings.SPEEDTEST_PLAN changes.

    asked: what else somebody wants, as `plan.adjusted` takes it.
    """
    return for_mode(adjusted(merged(getattr(settings, "SPEEDTEST_PLAN", {})), **asked), mode)


def end_run(
    run: SpeedTestRun,
    target: steps.Target,
    now: datetime,
    *,
    state: str,
    findings: list[dict[str, Any]] | None = None,
    figures: dict[str, Any] | None = None,
    plan: Mapping[str, Any] | None = None,
) -> None:
    """Remove a test's objects, look after them, and store how it ended.

    state: done, stopped, failed or left; findings, figures: the browser's, already cleaned;
    plan: the one it ran by, when that is not its mode's.
    Troubles of the clean-up are findings of the run.
    """
    run.refresh_from_db(fields=["server_findings"])
    # An upload that was under way when such a test ended may have been stored after its clean-up.
    interrupted = SpeedTestRun.objects.filter(
        configuration=run.configuration,
        place=run.place,
        state__in=("left", "stopped", "failed"),
        finished_at__gt=now - 2 * steps.SWEEP_AFTER,
    ).exclude(pk=run.pk)[:5]
    plan = plan or current_plan(run.mode)
    cleaned = steps.clean_up(target, run.path, plan, [one.path for one in interrupted])
    run.cleanup = [finding.as_dict() for finding in cleaned]
    run.state, run.browser_findings, run.figures = state, findings or [], figures or {}
    run.finished_at = now
    run.verdict_status, run.verdict = verdict(
        run.server_findings,
        run.browser_findings,
        run.cleanup,
        state=state,
        by_browser=run.source == SpeedTestRun.Source.BROWSER,
    )
    if run.mode == SpeedTestRun.Mode.COMPARE and run.verdict_status == "pass":
        run.verdict = "Measured for a comparison; the checks were not run."
    run.save()


def end_left_behind(preferences: Preferences, now: datetime) -> list[SpeedTestRun]:
    """End tests that nobody runs any more: the page was closed, no beacon came, a process died.

    Returns those that were ended. A test whose configuration is gone or points elsewhere now is
    marked as left; its objects cannot be reached any more.
    """
    too_old = Q(seen_at=None, started_at__lt=now - timedelta(seconds=RUN_SECONDS))
    silent = Q(seen_at__lt=now - timedelta(seconds=SILENT_SECONDS))
    old = SpeedTestRun.objects.filter(too_old | silent, state="running")
    ended = list(old.order_by("started_at")[:MOST_ENDED])
    for run in ended:
        target = steps.target_of(preferences, run.configuration)
        if target is not None and target.config.fingerprint == run.place:
            end_run(run, target, now, state="left")
            continue
        run.state, run.finished_at, run.verdict_status = "left", now, "warn"
        run.verdict = (
            "The page was closed before the end, and the configuration was changed since: what "
            f"the test left in {run.bucket} below {run.path} is removed by the lifecycle rule only."
        )
        run.save()
    return ended
