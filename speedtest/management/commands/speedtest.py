"""`manage.py speedtest`: the speed test from this server, on the command line."""

import csv
import getpass
import json
import signal
import threading
import time
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from preferences.snapshot import Preferences, current_preferences
from shotmedia.origin import site_origin
from shotmedia.s3.errors import CredentialsUnavailable, Unreachable
from speedtest import lag as lags
from speedtest import server_run, steps
from speedtest.comparison import ratio_of, sentence
from speedtest.ending import current_plan, end_left_behind, end_run
from speedtest.it_report import it_report
from speedtest.models import SpeedTestRun
from speedtest.terminal import MARKS, CsvRow, Progress, finding_lines, speed_lines, too_slow

FAILED, BELOW = 1, 2
"""Exit codes: a check failed, or something else went wrong; below a threshold, or wrong usage."""
LIMITS = {"seconds": (1, 60), "streams": (1, 32), "cap_mb": (100, 100_000)}
EPILOG = """\
Exit codes: 0 all is well; 1 a check failed; 2 slower than --min-down or --min-up, or the command
itself was wrong. Nightly, by cron: manage.py speedtest main --min-down 200 --json >> speed.jsonl
"""


class Command(BaseCommand):
    """Check configurations and measure how fast this server reaches their buckets."""

    help = (
        "The speed test from this server: the checks, then the speeds. Without a name it takes "
        "the primary and the replica. Touches only .speedtest/ and removes what it made."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options."""
        parser.epilog = EPILOG
        add = parser.add_argument
        add("configurations", nargs="*", metavar="CONFIG", help="names of configurations")
        add("--seconds", type=int, help="the most that each phase measures")
        add("--streams", type=int, help="how many at once (4, as in the browser)")
        add("--cap-mb", type=int, help="the most megabytes each way (500)")
        add("--checks-only", action="store_true", help="measure no speed")
        add("--lag", action="store_true", help="measure the replication lag instead")
        add("--compare", nargs=2, metavar=("A", "B"), help="measure two in turn, A-B-B-A")
        add("--report", action="store_true", help="print the text for IT instead")
        shape = parser.add_mutually_exclusive_group()
        shape.add_argument("--json", action="store_true", help="one JSON object a line")
        shape.add_argument("--csv", action="store_true", help="a line of names, then values")
        add("--min-down", type=float, metavar="MBPS", help="exit code 2 below this download")
        add("--min-up", type=float, metavar="MBPS", help="exit code 2 below this upload")
        add("--origin", help="the site as browsers see it, for the checks of CORS")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run what was asked for; told to end, as by a time limit of cron, it cleans up first."""
        self._check_usage(options)
        if threading.current_thread() is not threading.main_thread():
            self._run(options)
            return
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            self._run(options)
        finally:
            signal.signal(signal.SIGTERM, before)

    def _run(self, options: Mapping[str, Any]) -> None:
        preferences = current_preferences()
        if options["lag"]:
            self._lag(preferences, options)
            return
        end_left_behind(preferences, timezone.now())
        if options["compare"]:
            self._compare(self._targets(preferences, options["compare"]), options)
            return
        runs = []
        rows = CsvRow(csv.writer(self.stdout, lineterminator="\n")) if options["csv"] else None
        for target in self._targets(preferences, options["configurations"]):
            run = self._test(target, options)
            runs.append((run, target))
            if rows is not None:
                rows.write(run)
        self._exit(runs, options)

    def _check_usage(self, options: Mapping[str, Any]) -> None:
        for name, (least, most) in LIMITS.items():
            value = options[name]
            if value is not None and not least <= value <= most:
                option = f"--{name.replace('_', '-')}"
                raise CommandError(f"{option} must be {least} to {most}.", returncode=BELOW)
        if options["compare"] and (options["configurations"] or options["csv"]):
            raise CommandError(
                "--compare takes two names and nothing else to test, and has no --csv.",
                returncode=BELOW,
            )
        if options["compare"] and options["compare"][0] == options["compare"][1]:
            raise CommandError("--compare needs two different names.", returncode=BELOW)
        measured = not (options["checks_only"] or options["lag"] or options["compare"])
        for name in ("min_down", "min_up"):
            if options[name] is not None and not (measured and options[name] > 0):
                option = f"--{name.replace('_', '-')}"
                raise CommandError(
                    f"{option} needs a measurement and a rate above 0.", returncode=BELOW
                )

    def _targets(self, preferences: Preferences, names: list[str]) -> list[steps.Target]:
        if not names:
            used = (preferences.primary, preferences.replica)
            names = list(dict.fromkeys(config.name for config in used if config))
        if not names:
            raise CommandError("Site Preferences name no usable configuration.", returncode=BELOW)
        targets = []
        for name in names:
            target = steps.target_of(preferences, name)
            if target is None:
                known = ", ".join(preferences.configurations) or "none"
                raise CommandError(
                    f"There is no configuration “{name}”; there is: {known}.", returncode=BELOW
                )
            targets.append(target)
        return targets

    def _compare(self, targets: list[steps.Target], options: Mapping[str, Any]) -> None:
        plan = self._plan(SpeedTestRun.Mode.COMPARE, options)
        both: list[tuple[SpeedTestRun, steps.Target]] = []
        try:
            for target in targets:
                both.append((self._begin(target, SpeedTestRun.Mode.COMPARE), target))
        except CommandError:
            for run, target in both:
                end_run(run, target, timezone.now(), state="stopped", plan=plan)
            raise
        progress = Progress(self.stderr)
        stopping = threading.Event()
        recorders = [server_run.Recorder(run, stopping, timezone.now) for run, _ in both]

        def show(event: dict[str, Any]) -> None:
            progress.show(event)
            for recorder in recorders:
                recorder(event)

        try:
            pairs = server_run.compare(both, plan, now=timezone.now, stopping=stopping, show=show)
        except (CredentialsUnavailable, Unreachable) as error:
            progress.clear()
            raise CommandError(error.message) from error
        except KeyboardInterrupt:
            progress.clear()
            raise CommandError("Stopped; what it made was removed.", returncode=130) from None
        progress.clear()
        names = [run.configuration for run, _ in both]
        ratios = {direction: ratio_of(pairs[direction]) for direction in pairs}
        if options["json"]:
            told = {
                "a": names[0],
                "b": names[1],
                "pairs": pairs,
                "ratios": {name: ratio and ratio._asdict() for name, ratio in ratios.items()},
            }
            self.stdout.write(json.dumps(told, ensure_ascii=False))
        else:
            for direction, ratio in ratios.items():
                if ratio is not None:
                    self.stdout.write(f"{direction.capitalize()}: {sentence(*names, ratio)}")
        failed = [run for run, _ in both if run.verdict_status == "fail"]
        if failed or not pairs:
            said = " ".join(f"“{run.configuration}”: {run.verdict}" for run, _ in both)
            raise CommandError(said, returncode=FAILED)

    def _plan(self, mode: str, options: Mapping[str, Any]) -> dict[str, Any]:
        cap = options["cap_mb"]
        return current_plan(
            mode,
            seconds=options["seconds"],
            streams=options["streams"],
            cap_bytes=None if cap is None else cap * 1_000_000,
        )

    def _begin(self, target: steps.Target, mode: str) -> SpeedTestRun:
        try:
            return server_run.begin(
                target,
                source=SpeedTestRun.Source.COMMAND,
                mode=mode,
                now=timezone.now(),
                user_agent=f"manage.py speedtest{_by()}",
            )
        except server_run.AlreadyRunning as error:
            raise CommandError(
                f"{error} If its process is gone, wait three minutes and try again."
            ) from error

    def _test(self, target: steps.Target, options: Mapping[str, Any]) -> SpeedTestRun:
        mode = SpeedTestRun.Mode.QUICK if options["checks_only"] else SpeedTestRun.Mode.STANDARD
        plan, run = self._plan(mode, options), self._begin(target, mode)
        words = not (options["json"] or options["csv"] or options["report"])
        if words:
            config = target.config
            self.stdout.write(f"{config.name} (bucket {config.bucket}, {config.region})")
        progress = Progress(self.stderr)

        def show(event: dict[str, Any]) -> None:
            progress.clear()
            if "finding" in event:
                if words:
                    for line in finding_lines(event["finding"].as_dict()):
                        self.stdout.write(line)
            else:
                progress.show(event)

        stopping = threading.Event()
        try:
            server_run.execute(
                run,
                target,
                plan,
                origin=options["origin"] or site_origin(),
                now=timezone.now,
                stopping=stopping,
                show=server_run.Recorder(run, stopping, timezone.now, show),
            )
        except KeyboardInterrupt:
            progress.clear()
            told = " ".join(one["message"] for one in run.cleanup)
            raise CommandError(f"Stopped. {told}", returncode=130) from None
        progress.clear()
        self._print(run, options)
        return run

    def _print(self, run: SpeedTestRun, options: Mapping[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(as_plain(run), ensure_ascii=False))
        elif options["report"]:
            self.stdout.write(it_report(run))
        elif not options["csv"]:
            for finding in run.cleanup:
                for line in finding_lines(finding):
                    self.stdout.write(line)
            for line in speed_lines(run.figures):
                self.stdout.write(line)
            self.stdout.write(f"{MARKS[run.verdict_status]} {run.verdict}\n")

    def _exit(
        self, runs: list[tuple[SpeedTestRun, steps.Target]], options: Mapping[str, Any]
    ) -> None:
        failed = [run for run, _ in runs if run.verdict_status == "fail" or run.state != "done"]
        if failed:
            names = ", ".join(f"“{run.configuration}”" for run in failed)
            raise CommandError(f"Failed: {names}. See above.", returncode=FAILED)
        slow: list[str] = []
        for run, target in runs:
            wanted = {"download": options["min_down"], "upload": options["min_up"]}
            if target.download_only:
                # Where the site never uploads there may be nothing to measure.
                wanted["upload"] = wanted["upload"] if "upload" in run.figures else None
            slow += too_slow(run, wanted)
        if slow:
            raise CommandError(" ".join(slow), returncode=BELOW)

    def _lag(self, preferences: Preferences, options: Mapping[str, Any]) -> None:
        progress = Progress(self.stderr)
        try:
            lag = lags.begin(None, preferences, timezone.now)
        except lags.LagRefused as error:
            raise CommandError(str(error)) from error
        try:
            for lag in lags.watch(lag, preferences, timezone.now, time.sleep):  # noqa: B020
                waited = (timezone.now() - lag.stored_at).total_seconds()
                progress.show({"title": "Waiting for the marker", "text": f"{waited:.0f} s"})
        except KeyboardInterrupt:
            progress.clear()
            lags.stop(lag, preferences, timezone.now())
            raise CommandError(lag.message, returncode=130) from None
        progress.clear()
        if options["json"]:
            names = ("primary", "replica", "state", "seconds", "delay", "status", "message")
            self.stdout.write(json.dumps({name: getattr(lag, name) for name in names}))
        else:
            self.stdout.write(f"{MARKS[lag.status]} {lag.message}")
        if lag.status == "fail":
            raise CommandError("The replication lag could not be measured.", returncode=FAILED)


def as_plain(run: SpeedTestRun) -> dict[str, Any]:
    """A run as JSON has it."""
    return {
        "id": str(run.pk),
        "configuration": run.configuration,
        "bucket": run.bucket,
        "region": run.region,
        "mode": run.mode,
        "state": run.state,
        "started_at": run.started_at.isoformat(),
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
        "verdict": {"status": run.verdict_status, "text": run.verdict},
        "findings": run.server_findings,
        "cleanup": run.cleanup,
        "figures": run.figures,
    }


def _by() -> str:
    try:
        return f" by {getpass.getuser()}"
    except (KeyError, OSError):  # an account without a name, as in many containers
        return ""
