"""A test from this server: the same checks, links, plan and figures as from a browser.

A page starts one in the background, `manage.py speedtest` runs one in front. It says how far it
is in the database, so that any process can answer who asks, and a run whose process has died is
seen by its silence.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from preferences.models import User
from shotmedia.s3.errors import CredentialsUnavailable, Unreachable
from shotmedia.s3.probe_judgements import Finding
from speedtest import server_phases as phases
from speedtest import steps
from speedtest.comparison import ORDER, pairs_of
from speedtest.ending import end_run
from speedtest.estimators import bytes_moved
from speedtest.figures import clean_figures
from speedtest.models import SpeedTestRun
from speedtest.server_phases import PhaseFailed
from speedtest.wire import Bodies, NoAnswer, Stopped, Wire

PHASES = {
    "idle": "Latency",
    "upload": "Upload, several at once",
    "upload_single": "Upload, one at a time",
    "download": "Download, several at once",
    "download_single": "Download, one at a time",
    "small_put": "Small files up",
    "small_get": "Small files down",
    "multipart": "Upload in parts",
    "resume": "Download in halves",
}
"""As the browser's page names them (findings.js)."""
WEIGHTS = {
    "idle": 4,
    "upload": 15,
    "upload_single": 7,
    "download": 15,
    "download_single": 7,
    "small_put": 5,
    "small_get": 5,
    "multipart": 3,
    "resume": 2,
}
PAUSED = ("upload", "upload_single", "download", "download_single", "small_put")
NEEDS = {
    "upload_single": "upload",
    "small_put": "upload",
    "download_single": "download",
    "small_get": "download",
    "resume": "multipart",
}
"""What did not get through before has nothing to add later."""

Show = Callable[[dict[str, Any]], None]
"""Gets {"stage", "title", "share": of the whole, and "text", "rate", "latency", "files", "bytes"}
now and then, and {"finding": Finding} for each check."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What could not be measured, and why."""

    phase: str
    message: str
    request_id: str = ""


@dataclass(slots=True)
class Measurement:
    """All phases of one test; `upload` and `download` say which directions got through before."""

    links: Mapping[str, Any]
    plan: Mapping[str, Any]
    upload: bool
    download: bool
    join: Callable[[str, list[str]], Finding]
    stopping: threading.Event
    show: Show
    figures: dict[str, Any] = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    wire: Wire = field(default_factory=Wire)
    bodies: Bodies = field(default_factory=Bodies)

    def run(self, only: Iterable[str] = ()) -> dict[str, Any]:
        """Measure what is possible (or of that, `only` these phases); the figures.

        What S3 refuses becomes a trouble. Raises Stopped.
        """
        chosen = [name for name in self._possible() if not only or name in only]
        if not chosen:
            return {}
        whole = sum(WEIGHTS[name] for name in chosen)
        before = 0
        try:
            for name in chosen:
                self._one(name, before / whole, WEIGHTS[name] / whole)
                before += WEIGHTS[name]
        finally:
            self.wire.close()
        sizes = [part["bytes"] for part in (self.links.get("parts") or {}).get("parts", ())]
        moved = bytes_moved(self.figures, sizes)
        return self.figures | moved | {"flags": [], "request_ids": self.ids}

    def _possible(self) -> list[str]:
        links = self.links
        down, up = self.download and links["seed"], self.upload
        parts = links.get("parts")
        may = {
            "idle": down,
            "upload": up,
            "upload_single": up,
            "download": down,
            "download_single": down,
            "small_put": up,
            "small_get": down,
            "multipart": up and parts,
            "resume": up and self.download and parts,
        }
        return [name for name in PHASES if may[name]]

    def _one(self, name: str, begin: float, share: float) -> None:
        if name in NEEDS and NEEDS[name] not in self.figures:
            return
        if (
            name == "multipart"
            and (seconds := self._parts_seconds()) * 1000 > self.plan["parts_ms"]
        ):
            self.notes.append(
                f"The upload in parts was left out: on this line it would take {seconds:.0f} s."
            )
            return

        def emit(event: Mapping[str, Any]) -> None:
            known = {key: value for key, value in event.items() if key != "share"}
            done = round(begin + share * event.get("share", 0), 6)
            self.show({"stage": name, "title": PHASES[name], "share": done, **known})

        emit({})
        if name in PAUSED:
            self.stopping.wait(self.plan["pause_ms"] / 1000)
        if self.stopping.is_set():
            raise Stopped
        try:
            found = self._measure(name, emit)
        except (PhaseFailed, NoAnswer) as error:
            request_id = getattr(error, "request_id", "")
            self.troubles.append(Trouble(name, str(error), request_id))
            self.ids += [request_id] if request_id else []
            return
        self.ids += found.pop("ids", [])
        if name == "idle":
            self.figures |= found
        else:
            self.figures[name] = found

    def _parts_seconds(self) -> float:
        """How long an upload in parts takes at the measured rate; a part of it goes twice."""
        rate = self.figures.get("upload", {}).get("mbps", 0)
        sizes = [part["bytes"] for part in self.links["parts"]["parts"]]
        return (sum(sizes) + max(sizes)) * 8 / (rate * 1e6) if rate > 0 else 0.0

    def _measure(self, name: str, emit: phases.Emit) -> dict[str, Any]:
        plan, links, stopping = self.plan, self.links, self.stopping
        if name == "idle":
            return phases.idle(self.wire, links["seed"]["url"], plan, stopping, emit)
        if name in ("upload", "download"):
            return self._rate(name, plan[name], plan["streams"], emit)
        if name in ("upload_single", "download_single"):
            return self._rate(name.removesuffix("_single"), plan["single"], 1, emit)
        if name in ("small_put", "small_get"):
            return self._small(name, emit)
        sent = [
            phases.Body(self.bodies.take(0).buffer, 0, part["bytes"])
            for part in links["parts"]["parts"]
        ]
        if name == "multipart":
            return phases.multipart(self.wire, links["parts"], sent, self.join, stopping)
        return phases.resume(self.wire, links["parts"]["read"], sent, stopping)

    def _rate(
        self, direction: str, times: Mapping[str, Any], streams: int, emit: phases.Emit
    ) -> dict[str, Any]:
        idle = self.figures.get("idle_median_ms")
        seed = self.links["seed"]["url"] if self.download and self.links["seed"] else ""
        # One stream's latency would tell of the line what several have told already.
        probe = seed if streams > 1 else ""
        if direction == "download":
            warm = max(times["warm_ms"], min(10 * (idle or 0), times["min_ms"] / 2))
            times = {**times, "warm_ms": warm}
        phase = phases.Phase(self.wire, self.plan, times, self.stopping, emit, probe)
        if direction == "download":
            return phases.download(phase, seed, streams, idle)
        return phases.upload(phase, self.links["uploads"], self.bodies, streams, idle)

    def _small(self, name: str, emit: phases.Emit) -> dict[str, Any]:
        files, links, wire = self.plan["files"], self.links, self.wire
        size = files["bytes"]
        if name == "small_put":
            return phases.small_files(
                "a small upload",
                lambda number, stopped: wire.put(
                    links["small_put"][number], self.bodies.take(size), stopped
                ),
                files["put_streams"],
                self.plan,
                self.stopping,
                emit,
            )
        seed = links["seed"]
        places = max(1, seed["bytes"] // size)

        def get(number: int, stopped: Callable[[], bool]) -> phases.Answer:
            first = number % places * size
            return wire.get(seed["url"], first, min(seed["bytes"], first + size), stopped)

        return phases.small_files(
            "a small download", get, files["get_streams"], self.plan, self.stopping, emit
        )


class AlreadyRunning(Exception):
    """There is a test running; `run` is it, the text a sentence."""

    def __init__(self, run: SpeedTestRun) -> None:
        begun = timezone.localtime(run.started_at)
        super().__init__(
            f"A test of “{run.configuration}” is running since {begun:%H:%M:%S} "
            f"({run.get_source_display()})."
        )
        self.run = run


def begin(
    target: steps.Target,
    *,
    source: str,
    mode: str,
    now: datetime,
    user: User | None = None,
    address: str = "",
    user_agent: str = "",
) -> SpeedTestRun:
    """Make the row of a test. Raises AlreadyRunning: one for a person and configuration."""
    config = target.config
    same = {"user": user, "configuration": config.name, "state": SpeedTestRun.State.RUNNING}
    if user is None:
        # Whoever was sent a link is nobody either, but not in the way.
        same["source"] = source
    running = SpeedTestRun.objects.filter(**same).first()
    if running is None:
        try:
            with transaction.atomic():
                return SpeedTestRun.objects.create(
                    **same | {"source": source},
                    place=config.fingerprint,
                    bucket=config.bucket,
                    region=config.region,
                    mode=mode,
                    started_at=now,
                    seen_at=now,
                    address=address,
                    user_agent=user_agent[:400],
                )
        except IntegrityError:
            running = SpeedTestRun.objects.get(**same)
    raise AlreadyRunning(running)


class Recorder:
    """Writes into the row how far its run is, and hears there that it is to stop.

    show: gets every event too. Writes when something is new, otherwise once a second.
    """

    def __init__(
        self,
        run: SpeedTestRun,
        stopping: threading.Event,
        now: Callable[[], datetime],
        show: Show | None = None,
    ) -> None:
        self.run, self.stopping, self.now, self.show = run, stopping, now, show
        self.findings: list[dict[str, Any]] = []
        self.stage = ""
        self.written: datetime | None = None

    def __call__(self, event: dict[str, Any]) -> None:
        """Take an event of a run."""
        if self.show is not None:
            self.show(event)
        now = self.now()
        values: dict[str, Any] = {"seen_at": now}
        if "finding" in event:
            self.findings.append(event["finding"].as_dict())
            values["server_findings"] = self.findings
        else:
            if event["stage"] == self.stage and now - self.written < timedelta(seconds=1):
                return
            self.stage, values["progress"] = event["stage"], event
        self.written = now
        row = SpeedTestRun.objects.filter(pk=self.run.pk, state=SpeedTestRun.State.RUNNING)
        # Somebody else may have ended it: taken for dead, or the row removed.
        if not row.update(**values) or row.filter(stop_asked=True).exists():
            self.stopping.set()


def measure_finding(figures: Mapping[str, Any], troubles: Iterable[Trouble]) -> Finding:
    """The measurement as one finding of the server's column: refused is a failure, not a speed."""
    troubles = list(troubles)
    if troubles:
        return Finding(
            "measure",
            "Measurement",
            "fail",
            message=" ".join(f"{PHASES[one.phase]}: {one.message}" for one in troubles),
            request_id=next((one.request_id for one in troubles if one.request_id), ""),
            fix="Small requests passed before, so something ends the larger or later ones: a "
            "proxy's limit of size, an expired link, or S3 asking to slow down.",
        )
    measured = sum(1 for name in PHASES if name in figures) + ("idle_median_ms" in figures)
    if not measured:
        message = "Not run: neither a download nor an upload got through."
        return Finding("measure", "Measurement", "skip", message=message)
    return Finding("measure", "Measurement", "pass", message=f"{measured} phases were measured.")


def execute(
    run: SpeedTestRun,
    target: steps.Target,
    plan: Mapping[str, Any],
    *,
    origin: str,
    now: Callable[[], datetime],
    stopping: threading.Event,
    show: Show,
) -> SpeedTestRun:
    """Run a test to its end, and remove its objects whatever happens; the run, stored.

    origin: the site's as browsers see it, for the checks of CORS; stopping: set it to stop early.
    An interrupt (Ctrl-C) ends the test as stopped and is raised again.
    """
    state = "failed"
    findings: list[Finding] = []
    figures: dict[str, Any] = {}
    try:
        for finding in steps.server_findings(target, run.path, origin, plan):
            findings.append(finding)
            show({"finding": finding})
            show({"stage": "checks", "title": "Checks", "share": 0.0, "text": finding.title})
            if stopping.is_set():
                raise Stopped
        if run.mode != SpeedTestRun.Mode.QUICK:
            figures = _measured(run, target, plan, findings, stopping, show)
        state = "done"
    except (Stopped, KeyboardInterrupt) as error:
        state = "stopped"
        if isinstance(error, KeyboardInterrupt):
            raise
    finally:
        show({"stage": "cleanup", "title": "Clean-up", "share": 1.0})
        SpeedTestRun.objects.filter(pk=run.pk).update(
            server_findings=[finding.as_dict() for finding in findings]
        )
        end_run(run, target, now(), state=state, figures=clean_figures(figures), plan=plan)
    return run


def _measured(
    run: SpeedTestRun,
    target: steps.Target,
    plan: Mapping[str, Any],
    findings: list[Finding],
    stopping: threading.Event,
    show: Show,
) -> dict[str, Any]:
    """Sign the links and measure; adds the finding of the measurement. Raises Stopped."""
    try:
        links = prepared(target, run.path, plan, show)
    except (CredentialsUnavailable, Unreachable) as error:
        message = f"The site cannot sign links: {error.message}"
        findings.append(Finding("measure", "Measurement", "fail", message=message))
        show({"finding": findings[-1]})
        return {}
    passed = {one.check for one in findings if one.status in ("pass", "warn")}
    measurement = Measurement(
        links,
        plan,
        upload="put" in passed and not links["download_only"],
        download="get" in passed,
        join=lambda upload_id, etags: steps.join_parts(target, run.path, upload_id, etags),
        stopping=stopping,
        show=show,
    )
    figures = measurement.run()
    found = measure_finding(figures, measurement.troubles)
    if links["notes"] and found.status == "pass":
        found = replace(found, status="warn")
    notes = [*links["notes"], *measurement.notes]
    found = replace(found, message=" ".join([found.message, *notes]))
    findings.append(found)
    show({"finding": found})
    return figures


def prepared(
    target: steps.Target, path: str, plan: Mapping[str, Any], show: Show
) -> dict[str, Any]:
    """The links of a measurement. Raises CredentialsUnavailable, Unreachable."""
    links: dict[str, Any] = {}
    for event in steps.prepare(target, path, plan, measure=True):
        if "progress" in event:
            show(
                {"stage": "prepare", "title": "Preparing", "share": 0.0, "text": event["progress"]}
            )
        links = event.get("links", links)
    return links


def compare(
    both: Sequence[tuple[SpeedTestRun, steps.Target]],
    plan: Mapping[str, Any],
    *,
    now: Callable[[], datetime],
    stopping: threading.Event,
    show: Show,
) -> dict[str, list[tuple[float, float]]]:
    """Measure two targets in turn; by direction, the rates of each pair. Ends both runs.

    A direction that does not get through on either is left out. Raises CredentialsUnavailable,
    Unreachable when there are no links; an interrupt is raised again after the clean-up.
    """
    found: list[list[dict[str, Any]]] = [[], []]
    troubles: list[list[Trouble]] = [[], []]
    pairs: dict[str, list[tuple[float, float]]] = {}
    state = "failed"
    try:
        links = [prepared(target, run.path, plan, show) for run, target in both]
        for direction in ("download", "upload"):
            rates: list[float] = []
            if direction == "upload" and any(one["download_only"] for one in links):
                continue
            for turn, letter in enumerate(ORDER):
                index = ORDER[:2].index(letter)
                title = f"{PHASES[direction]}: {both[index][0].configuration}"
                measurement = Measurement(
                    links[index],
                    plan,
                    upload=True,
                    download=True,
                    join=_no_parts,
                    stopping=stopping,
                    show=_as_turn(show, title, turn),
                )
                figures = measurement.run(only=(direction,))
                troubles[index] += measurement.troubles
                if direction not in figures:
                    break
                found[index].append(figures)
                rates.append(figures[direction]["mbps"])
            if measured := pairs_of(rates):
                pairs[direction] = measured
        state = "done"
    except (Stopped, KeyboardInterrupt) as error:
        state = "stopped"
        if isinstance(error, KeyboardInterrupt):
            raise
    finally:
        for (run, target), figures, failed in zip(both, found, troubles, strict=True):
            whole = _summed(figures)
            finding = measure_finding(whole, failed).as_dict()
            SpeedTestRun.objects.filter(pk=run.pk).update(server_findings=[finding])
            end_run(run, target, now(), state=state, figures=clean_figures(whole), plan=plan)
    return pairs


def _no_parts(upload_id: str, etags: list[str]) -> Finding:
    raise AssertionError("A comparison has no upload in parts.")


def _as_turn(show: Show, title: str, turn: int) -> Show:
    def shown(event: dict[str, Any]) -> None:
        share = (turn + event["share"]) / len(ORDER)
        show({**event, "title": title, "share": share})

    return shown


def _summed(turns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One test's figures out of several: the middle one of each direction, all bytes."""
    whole: dict[str, Any] = {}
    for direction in ("upload", "download"):
        ones = sorted((t[direction] for t in turns if direction in t), key=lambda one: one["mbps"])
        if ones:
            whole[direction] = ones[len(ones) // 2]
    if turns:
        for name in ("bytes_up", "bytes_down", "bytes_used"):
            whole[name] = sum(turn[name] for turn in turns)
    return whole
