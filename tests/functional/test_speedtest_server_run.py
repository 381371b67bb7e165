"""The server's own test against the embedded S3: the browser's figures, and nothing left."""

import threading

import pytest
from django.utils import timezone

from preferences.snapshot import current_preferences
from speedtest import server_run, steps
from speedtest.ending import current_plan
from speedtest.figures import DIRECTIONS, FILES
from speedtest.models import SpeedTestRun
from tests.functional.conftest import MAIN, SYDNEY, Site

PLAN = {
    "seed_bytes": 4 << 20,
    "cap_bytes": 60_000_000,
    "idle_requests": 4,
    "idle_dropped": 1,
    "pause_ms": 0,
    "upload": {"warm_ms": 100, "min_ms": 400, "max_ms": 1300},
    "download": {"warm_ms": 100, "min_ms": 400, "max_ms": 1300},
    "single": {"warm_ms": 50, "min_ms": 200, "max_ms": 300},
    "most_size": 2 << 20,
    "probe_ms": 50,
    "finish_ms": 3000,
    "files": {"ms": 300, "most": 40},
}


@pytest.fixture(autouse=True)
def short_plan(settings) -> None:
    settings.SPEEDTEST_PLAN = PLAN


def begin(name: str = "main", mode: str = "standard") -> tuple[SpeedTestRun, steps.Target]:
    target = steps.target_of(current_preferences(), name)
    run = SpeedTestRun.objects.create(
        configuration=name,
        place=target.config.fingerprint,
        bucket=target.config.bucket,
        region=target.config.region,
        mode=mode,
        source="command",
        started_at=timezone.now(),
        seen_at=timezone.now(),
    )
    return run, target


def execute(run, target, *, plan=None, stopping=None, show=lambda event: None) -> SpeedTestRun:
    server_run.execute(
        run,
        target,
        plan or current_plan(run.mode),
        origin="http://testserver",
        now=timezone.now,
        stopping=stopping or threading.Event(),
        show=show,
    )
    run.refresh_from_db()
    return run


def left(site: Site, run: SpeedTestRun) -> list[str]:
    """What a test has left in both buckets: every version, and unfinished uploads."""
    found = []
    for bucket in (MAIN, SYDNEY):
        s3 = site.emulator.s3(bucket)
        answer = s3.list_object_versions(Bucket=bucket)
        found += [
            one["Key"] for kind in ("Versions", "DeleteMarkers") for one in answer.get(kind, ())
        ]
        found += [one["Key"] for one in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", ())]
    return [key for key in found if run.path in key]


def status(run: SpeedTestRun, check: str) -> dict:
    return next(one for one in run.server_findings if one["check"] == check)


def test_the_figures_are_the_browsers_and_count_what_s3_acknowledged(site: Site):
    site.emulator.faults(MAIN, rate_mb_s=20, methods=["GET", "PUT"], key="/.speedtest/")
    events: list[dict] = []
    run = execute(*begin(), show=events.append)
    assert run.state == "done"
    # The emulator is reached by http, which one check warns of.
    assert run.verdict == "Everything works; one thing below should be looked at."
    assert status(run, "measure")["message"] == "9 phases were measured."
    figures = run.figures
    assert set(figures) >= {"idle_median_ms", "jitter_ms", "bytes_used", *DIRECTIONS, *FILES}
    for direction in DIRECTIONS:
        assert figures[direction]["mbps"] > 0
        assert figures[direction]["errors"] == 0
    assert figures["upload"]["streams"] == figures["download"]["streams"] == 4
    assert figures["upload"]["loaded_median_ms"] > 0
    assert figures["download"]["grade"]
    assert figures["multipart"] == {
        "ok": 1,
        "broken_off": 1,
        "ms": figures["multipart"]["ms"],
    }
    assert figures["resume"]["ok"] == 1
    # What the figures claim is what S3 received and acknowledged.
    mine = [one for one in site.emulator.log if run.path in one.key and one.status == 200]
    received = sum(one.received for one in mine if "/browser/up-" in one.key)
    assert figures["upload"]["bytes"] + figures["upload_single"]["bytes"] == received
    small = [one for one in mine if "/browser/small-" in one.key and one.method == "PUT"]
    assert figures["small_put"]["files"] == len(small)
    shares = [event["share"] for event in events if event.get("stage") in server_run.PHASES]
    assert shares == sorted(shares)
    assert len([event for event in events if "finding" in event]) == len(run.server_findings)
    assert left(site, run) == []


def test_several_streams_are_what_was_asked_for(site: Site):
    run, target = begin()
    plan = current_plan() | {"streams": 2}
    execute(run, target, plan=plan)
    assert run.figures["upload"]["streams"] == run.figures["download"]["streams"] == 2


def test_the_cap_of_bytes_holds(site: Site):
    run, target = begin()
    plan = current_plan()
    for direction in ("upload", "download"):
        plan[direction] = plan[direction] | {"cap_bytes": 3_000_000, "max_ms": 60_000}
    execute(run, target, plan=plan)
    assert run.figures["upload"]["bytes"] <= 3_000_000
    assert run.figures["upload"]["capped"] == 1
    # What is under way when the cap is reached has been read already.
    assert run.figures["download"]["bytes"] < 3_000_000 + 5 * (256 << 10)
    assert run.figures["download"]["capped"] == 1


@pytest.mark.parametrize(("code", "name"), [(403, "AccessDenied"), (413, "EntityTooLarge")])
def test_a_refusal_is_a_failure_and_never_a_speed(site: Site, code: int, name: str):
    site.emulator.faults(MAIN, status=code, code=name, methods=["PUT"], key="/browser/up-")
    run = execute(*begin())
    assert "upload" not in run.figures
    assert "upload_single" not in run.figures
    assert run.figures["download"]["mbps"] > 0
    assert status(run, "measure")["status"] == "fail"
    assert f"S3 refused an upload: {code} {name}" in status(run, "measure")["message"]
    assert run.verdict_status == "fail"
    assert left(site, run) == []


def test_checks_only_measures_nothing(site: Site):
    run = execute(*begin(mode="quick"))
    assert run.figures == {}
    assert len(run.server_findings) == 16
    assert run.verdict_status != "fail"


def test_what_fails_its_check_is_not_measured(site: Site):
    site.emulator.faults(MAIN, status=403, methods=["PUT"])
    run = execute(*begin())
    assert "upload" not in run.figures
    assert run.verdict_status == "fail"


def test_the_replica_is_measured_too(site: Site):
    run = execute(*begin("sydney"))
    assert run.figures["download"]["mbps"] > 0
    assert run.verdict_status in ("pass", "warn"), run.verdict


def test_stopping_leaves_nothing_behind(site: Site):
    stopping = threading.Event()

    def show(event: dict) -> None:
        if event.get("stage") == "upload":
            stopping.set()

    run = execute(*begin(), stopping=stopping, show=show)
    assert (run.state, run.verdict_status) == ("stopped", "warn")
    assert left(site, run) == []


def test_an_interrupt_cleans_up(site: Site):
    site.emulator.faults(MAIN, rate_mb_s=5, methods=["PUT"], key="/browser/up-")

    def show(event: dict) -> None:
        if "rate" in event:
            raise KeyboardInterrupt

    run, target = begin()
    with pytest.raises(KeyboardInterrupt):
        execute(run, target, show=show)
    run.refresh_from_db()
    assert run.state == "stopped"
    assert left(site, run) == []
