"""The speed test's page against what went over the link: python -m tests.benchmarks.speedtest

The real page in Chromium measures the embedded S3 through a link of known rate and delay
(tests/benchmarks/link.py). Its figures are compared with the bytes that the link delivered in the
same window, and its "time for a file" with curl's for a file over the same link. The last part
halves the link's rate, which has to halve the figures.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.benchmarks.link import bytes_between

ACCESS_KEY, SECRET_KEY = "AKIABENCHBENCHBENCHX", "bench-secret-key-bench-secret-key-bench0"
BUCKET = "bench-studio"
DELAYS = {20: 10, 100: 10, 400: 2}
"""One way, milliseconds, by Mbit/s; 10 for others."""
MIB = 1 << 20
SHORT_PLAN = {
    "pause_ms": 500,
    "upload": {"warm_ms": 1500, "min_ms": 4000, "max_ms": 6000},
    "download": {"warm_ms": 1000, "min_ms": 4000, "max_ms": 6000},
    "single": {"warm_ms": 1000, "min_ms": 4000, "max_ms": 4000},
    "files": {"ms": 1500},
}
WITHIN = {"bytes": 5.0, "curl": 10.0}
"""Percent."""
DOWNLOADS = ("download", "download_single")
FILLED, ATTEMPTS = 0.93, 3
"""Of the link's rate, what a run has to deliver to be taken; how often it is tried."""


class Link:
    """A running link, and what it delivered."""

    def __init__(self, process: subprocess.Popen) -> None:
        self._process = process
        self.port = self._read()["port"]

    def _read(self) -> dict[str, Any]:
        return json.loads(self._process.stdout.readline())

    def counts(self) -> dict[str, list[tuple[int, int]]]:
        """Bytes delivered "up" and "down", in steps of 50 ms."""
        self._process.stdin.write("counts\n")
        self._process.stdin.flush()
        return self._read()


@contextlib.contextmanager
def child(*arguments: str, **options: Any) -> Iterator[subprocess.Popen]:
    """A Python program that ends with its standard input."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.stdin.close()
        process.terminate()
        process.wait()


def error_percent(measured: float, wanted: float) -> float:
    """How far `measured` is from `wanted`, in percent of it."""
    return (measured / wanted - 1) * 100 if wanted else float("inf")


def delivered_mbps(counts: list[tuple[int, int]], figures: dict[str, Any]) -> float:
    """The rate that the link delivered in a phase's window, in Mbit/s."""
    start, length = figures["from_ms"], figures["seconds"] * 1000
    return bytes_between(counts, start, start + length) * 8 / (length * 1000)


def file_seconds(figures: dict[str, Any], phase: str, size: int) -> float:
    """The page's "time for a file" (maths.fileSeconds with result.js's beginning)."""
    connect = max(0.0, figures.get("first_ms", 0) - figures.get("idle_median_ms", 0))
    one = figures[phase]
    return (connect + one["ramp_ms"]) / 1000 + size * 8 / (one.get("file_mbps", one["mbps"]) * 1e6)


def main() -> None:
    """Measure at each rate and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", default="20,100,400", help="Mbit/s, with commas (20,100,400)")
    parser.add_argument("--delay", type=float, help="one way, in ms (10, and 2 at 400 Mbit/s)")
    parser.add_argument("--short", action="store_true", help="a shorter plan than the site's own")
    parser.add_argument("--no-half", action="store_true", help="leave the half rate out")
    options = parser.parse_args()
    rates = [float(rate) for rate in options.rates.split(",")]
    with tempfile.TemporaryDirectory() as folder, site(folder, short=options.short) as bench:
        print(f"{'':24} {'page':>9} {'link':>9} {'error':>8}   aim")
        runs = {rate: bench.measure(rate, options.delay) for rate in rates}
        if not options.no_half:
            half = bench.measure(rates[0] / 2, options.delay)
            print(f"\nHalf the rate ({rates[0] / 2:g} for {rates[0]:g} Mbit/s)")
            for phase in ("download", "upload"):
                ratio = half[phase]["mbps"] / runs[rates[0]][phase]["mbps"]
                print(
                    f"  {phase:22} {ratio:9.3f} {0.5:9.3f} {error_percent(ratio, 0.5):+7.1f}%   5 %"
                )


class Bench:
    """The site, its bucket and a browser, to measure with one link after another."""

    def __init__(self, page: Any, site_url: str, bucket_url: str) -> None:
        self.page = page
        self.site_url = site_url
        self.bucket_url = bucket_url

    def measure(self, rate: float, delay: float | None) -> dict[str, Any]:
        """Run a test through a link of `rate` Mbit/s; print and return its figures.

        On a busy machine neither page nor curl gets the link's rate, each at another moment; such
        a run is printed and repeated.
        """
        delay = DELAYS.get(rate, 10) if delay is None else delay
        for _ in range(ATTEMPTS):
            figures, filled = self._measure_once(rate, delay)
            if filled >= FILLED:
                break
            print(f"  The link was filled to {filled:.0%} only: the machine is busy.")
        return figures

    def _measure_once(self, rate: float, delay: float) -> tuple[dict[str, Any], float]:
        target = urlsplit(self.bucket_url).netloc
        with child(
            "tests.benchmarks.link", target, f"--rate={rate}", f"--delay={delay}"
        ) as process:
            link = Link(process)
            # The test file is 64 MiB; it need not come over the link.
            _make_seed(self._prefer(self.bucket_url))
            config = self._prefer(f"http://127.0.0.1:{link.port}")
            figures = self._run()
            counts = link.counts()
            print(f"{rate:g} Mbit/s, {2 * delay:g} ms there and back")
            for phase in ("download", "download_single", "upload", "upload_single"):
                _print_phase(phase, figures, counts)
            self._compare_with_curl(config, rate, figures)
            _print_others(figures)
            print(f"  the page's process used {renderer_peak() / MIB:.0f} MiB at most")
            down = [delivered_mbps(counts["down"], figures[name]) for name in DOWNLOADS]
        return figures, min(down) / rate

    def _prefer(self, url: str) -> Any:
        from preferences.models import SitePreferences
        from preferences.saving import save_preferences
        from preferences.snapshot import current_preferences

        configuration = {
            "region": "us-east-1",
            "bucket": BUCKET,
            "prefix": "shotmedia",
            "endpoint_url": url,
        }
        save_preferences(
            {
                "s3_configuration": json.dumps({"main": configuration}),
                "s3_bucket_for_replication": "",
                "s3_replication_delay": 60,
                "s3_replication_ip_addresses": "",
                "storage_location": "main",
                "verify_replica_copies": True,
            },
            SitePreferences.objects.get(pk=1).version,
            None,
        )
        return current_preferences().configurations["main"]

    def _run(self) -> dict[str, Any]:
        from speedtest.models import SpeedTestRun

        self.page.goto(f"{self.site_url}/admin/speedtest")
        self.page.get_by_role("button", name="Start", exact=True).click()
        self.page.locator("#verdict").wait_for(timeout=240_000)
        run = SpeedTestRun.objects.first()
        if "download" not in run.figures or "upload" not in run.figures:
            raise SystemExit(f"Nothing was measured: {run.verdict} {run.browser_findings[-1:]}")
        return run.figures

    def _compare_with_curl(self, config: Any, rate: float, figures: dict[str, Any]) -> None:
        if not shutil.which("curl"):
            print("  (curl is not installed)")
            return
        from shotmedia.s3.presign import Signer
        from shotmedia.s3.probe import test_credentials
        from speedtest.plan import PLAN, seed_name

        signer = Signer(config, test_credentials(config))
        size = 64 * MIB if rate >= 80 else 16 * MIB
        link = signer.sign("GET", seed_name(PLAN), 900).url
        seconds = _curl("-r", f"0-{size - 1}", "-o", os.devnull, link)
        _print_curl("download", figures, size, seconds)
        path = ".speedtest/runs/bench/curl.bin"
        link = signer.sign("PUT", path, 900, (), {"content-length": size}).url
        with tempfile.NamedTemporaryFile() as file:
            for _ in range(size // MIB):
                file.write(os.urandom(MIB))
            file.flush()
            seconds = _curl("-T", file.name, "-H", "Expect:", "-o", os.devnull, link)
        _print_curl("upload", figures, size, seconds)


def renderer_peak() -> int:
    """The most memory in bytes that a page's process of ours has used (Linux)."""
    parents, peaks = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            status = dict(
                line.split(":", 1) for line in (folder / "status").read_text().splitlines()
            )
            parents[int(folder.name)] = int(status["PPid"])
            if b"--type=renderer" in (folder / "cmdline").read_bytes():
                peaks[int(folder.name)] = int(status["VmHWM"].split()[0]) << 10

    def is_ours(pid: int) -> bool:
        while pid and pid != os.getpid():
            pid = parents.get(pid, 0)
        return pid != 0

    return max((peak for pid, peak in peaks.items() if is_ours(pid)), default=0)


def _make_seed(config: Any) -> None:
    from shotmedia.s3.probe import test_credentials
    from shotmedia.s3.probe_calls import Caller
    from speedtest.plan import PLAN, seed_name
    from speedtest.steps import write_seed

    caller = Caller(config, test_credentials(config))
    if not caller.send("HeadObject", "HEAD", seed_name(PLAN)).ok:
        list(write_seed(caller, seed_name(PLAN), PLAN["seed_bytes"]))


def _curl(*arguments: str) -> float:
    done = subprocess.run(
        ["curl", "-sS", "--fail", "--noproxy", "*", "-w", "%{time_total}", *arguments],
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return float(done.stdout)


def _print_phase(phase: str, figures: dict[str, Any], counts: dict[str, Any]) -> None:
    if phase not in figures:
        print(f"  {phase:22} not measured")
        return
    one = figures[phase]
    link = delivered_mbps(counts["up" if phase.startswith("upload") else "down"], one)
    error = error_percent(one["mbps"], link)
    aim = f"{WITHIN['bytes']:g} %" if not phase.endswith("_single") else ""
    how = " capped" if one["capped"] else " steady" if one["steady"] else ""
    print(f"  {phase:22} {one['mbps']:9.2f} {link:9.2f} {error:+7.1f}%   {aim}"
          f"   ({one['seconds']:.1f} s{how})")  # fmt: skip


def _print_curl(direction: str, figures: dict[str, Any], size: int, seconds: float) -> None:
    ours = file_seconds(figures, f"{direction}_single", size)
    name, error = f"{size // MIB} MiB, s, by curl", error_percent(ours, seconds)
    aim = f"{WITHIN['curl']:g} %"
    print(f"  {name:22} {ours:9.2f} {seconds:9.2f} {error:+7.1f}%   {aim}   ({direction})")


def _print_others(figures: dict[str, Any]) -> None:
    latency = figures["idle_median_ms"]
    loaded = [
        figures[name].get("loaded_median_ms", float("nan")) for name in ("download", "upload")
    ]
    print(f"  latency {latency:.1f} ms idle, {loaded[0]:.1f} ms down, {loaded[1]:.1f} ms up; "
          f"files/s {figures.get('small_put', {}).get('files_per_s', 0):.1f} up, "
          f"{figures.get('small_get', {}).get('files_per_s', 0):.1f} down; "
          f"flags {figures['flags']}")  # fmt: skip


@contextlib.contextmanager
def site(folder: str, *, short: bool) -> Iterator[Bench]:
    """The site on a database of its own in `folder`, the embedded S3, Chromium logged in."""
    arguments = ["shotmedia.emulator", "--json", "--quiet", "--until-stdin-closes"]
    arguments += [f"--bucket={BUCKET}:us-east-1", f"--access-key={ACCESS_KEY}"]
    with (
        child(*arguments, f"--secret-key={SECRET_KEY}") as emulator,
        contextlib.ExitStack() as stack,
    ):
        state = json.loads(emulator.stdout.readline())
        bucket_url = state["buckets"][0]["endpoint"]
        os.environ |= {
            "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
            "DJANGO_SETTINGS_MODULE": "tests.benchmarks.settings",
            "DJANGO_ENV_FILE": os.devnull,
            "DJANGO_SECRET_KEY": "bench",
            "DJANGO_ALLOW_ASYNC_UNSAFE": "true",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            "BENCH_TARGET": "site",
            "BENCH_PLAN": json.dumps(SHORT_PLAN if short else {}),
        }
        session_key = _prepare(bucket_url)
        from tests.benchmarks.redirect import server

        served = argparse.Namespace(workers=1, threads=4)
        port, _ = stack.enter_context(server("site", dict(os.environ), served))
        page = stack.enter_context(_page(f"http://127.0.0.1:{port}", session_key))
        yield Bench(page, f"http://127.0.0.1:{port}", bucket_url)


def _prepare(bucket_url: str) -> str:
    """Make the database, an admin with a session, and the bucket's CORS rules."""
    import django

    django.setup()
    import boto3
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.core.management import call_command

    from preferences.models import User
    from preferences.sessions import SessionStore

    call_command("migrate", verbosity=0)
    user = User.objects.create_superuser("bench", "bench@studio.test", None)
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    rule = {
        "AllowedOrigins": ["*"],
        "AllowedMethods": ["GET", "HEAD", "PUT"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag", "Content-Range", "x-amz-request-id"],
        "MaxAgeSeconds": 3000,
    }
    s3 = boto3.client("s3", region_name="us-east-1", endpoint_url=bucket_url)
    s3.put_bucket_cors(Bucket=BUCKET, CORSConfiguration={"CORSRules": [rule]})
    return session.session_key


@contextlib.contextmanager
def _page(url: str, session_key: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    installed = shutil.which("chromium") or shutil.which("chromium-browser")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-proxy-server"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=installed, args=arguments)
        context = browser.new_context()
        context.add_cookies([{"name": "sessionid", "value": session_key, "url": url}])
        yield context.new_page()
        browser.close()


if __name__ == "__main__":
    main()
