"""The end of a test: clean-up, verdict, and tests whose page was closed without a word."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from preferences.models import User
from preferences.snapshot import Preferences
from speedtest import steps
from speedtest.models import SpeedTestRun
from speedtest.plan import RUN_SECONDS, SILENT_SECONDS, adjusted, for_mode, merged
from speedtest.verdict import verdict

MOST_ENDED = 5
"""Left-behind tests that one visit ends: each costs a look into the bucket."""
ENDED = ("state", "finished_at", "verdict_status", "verdict")
"""What every end writes. Nothing else: a rename may have changed the row meanwhile."""


def current_plan(mode: str = SpeedTestRun.Mode.STANDARD, **asked: int | None) -> dict[str, Any]:
    """The measurement plan of a mode, with what settings.SPEEDTEST_PLAN changes.

    asked: what else somebody wants, as `plan.adjusted` takes it.
    """
    return for_mode(adjusted(merged(getattr(settings, "SPEEDTEST_PLAN", {})), **asked), mode)


def target_of_run(run: SpeedTestRun, preferences: Preferences) -> steps.Target | None:
    """What a test tests; None when its configuration is gone, or is another place now."""
    target = steps.target_of(preferences, run.configuration)
    return target if target is not None and target.config.fingerprint == run.place else None


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
    # Before the clean-up: a step that is still at work sees it, and removes what it makes later.
    SpeedTestRun.objects.filter(pk=run.pk).update(stop_asked=True)
    # Written meanwhile by the checks.
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
    run.save(update_fields=[*ENDED, "cleanup", "browser_findings", "figures"])


def tidy_if_ended(run: SpeedTestRun, target: steps.Target) -> None:
    """Remove what a step has made although its test was ended meanwhile: Stop, or another tab.

    Either the clean-up of `end_run` has seen it, or this looks after `end_run` has told.
    """
    if SpeedTestRun.objects.filter(pk=run.pk, state="running", stop_asked=False).exists():
        return
    steps.clean_up(target, run.path, current_plan(run.mode))


def end_out_of_reach(run: SpeedTestRun, now: datetime, state: str) -> None:
    """Store the end, failed or left, of a test whose place is no configuration's any more."""
    what = (
        "The page was closed before the end, and the configuration was changed since"
        if state == "left"
        else "The configuration was changed while the test ran"
    )
    run.state, run.finished_at, run.verdict_status = state, now, "warn"
    run.verdict = (
        f"{what}: what the test left in {run.bucket} below {run.path} is removed by the lifecycle "
        "rule only."
    )
    run.save(update_fields=ENDED)


def end_left(run: SpeedTestRun, preferences: Preferences, now: datetime) -> None:
    """End a running test that nobody runs any more."""
    target = target_of_run(run, preferences)
    if target is None:
        end_out_of_reach(run, now, "left")
    else:
        end_run(run, target, now, state="left")


def running_of(
    user: User, name: str, end: Any, preferences: Preferences, now: datetime
) -> SpeedTestRun | None:
    """The person's running test of the configuration `name`, which is in the way of another one.

    end: the id of a test to be ended for the new one; None is left when it was that.
    """
    running = SpeedTestRun.objects.filter(user=user, configuration=name, state="running").first()
    if running is None or end != str(running.pk):
        return running
    end_left(running, preferences, now)
    return None


def told_late(run: SpeedTestRun, target: steps.Target | None) -> str:
    """What to say to a page whose test somebody else has ended; removes what came after that end.

    The page went on, for it did not know, and so did its uploads.
    """
    assert run.finished_at is not None
    at = f"{timezone.localtime(run.finished_at):%H:%M:%S} UTC"
    if run.finished_at - run.started_at >= timedelta(seconds=RUN_SECONDS):
        said = (
            f"This test was ended at {at}, as {RUN_SECONDS // 60} minutes had gone by since its "
            "start. Perhaps this computer was asleep."
        )
    else:
        said = f"This test was ended from another tab or window at {at}."
    if target is None or timezone.now() - run.finished_at > steps.SWEEP_AFTER:
        # Its links are dead for long: nothing can have come since.
        return said
    cleaned = [one.as_dict() for one in steps.clean_up(target, run.path, current_plan(run.mode))]
    SpeedTestRun.objects.filter(pk=run.pk).update(cleanup=cleaned)
    failed = [one["message"] for one in cleaned if one["status"] == "fail"]
    return " ".join([said, *(failed or ["Its test objects were removed."])])


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
        end_left(run, preferences, now)
    return ended
