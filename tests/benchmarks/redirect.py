"""The download redirect against its baselines, as ratios: python -m tests.benchmarks.redirect

One server a target, all on the same database and with the same settings of granian, measured in
turns so that a machine whose speed drifts does so for all of them. Processor time is the servers'
own (user and system); throughput is what one client with 16 connections got.
"""

import argparse
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from shotmedia.emulator import Bucket, Emulator
from tests.benchmarks import load
from tests.postgres import cluster

TARGETS = ("site", "look", "empty", "user", "peer")
TRUST_SECONDS = {"site": "5", "look": "0"}
"""REPLICA_TRUST_SECONDS: whether a copy that is known to be there is used as it is, as in previews,
or the replica is asked before each download (the default)."""

NAMES = {
    "site": "redirect to a replica copy",
    "look": "the same, asking the replica first",
    "empty": "empty view",
    "user": "empty view that reads request.user",
    "peer": "login_required, ORM, django-storages",
}
BASELINES = "tests.benchmarks.wsgi:application"
"""Django alone, without what answers the site's downloads before it."""
ACCESS_KEY, SECRET_KEY = "AKIABENCHBENCHBENCHX", "bench-secret-key-bench-secret-key-bench0"
WARM_UP = 0.7
"""Seconds of load before anything is counted."""


def main() -> None:
    """Measure on the databases named on the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of every target (7)")
    parser.add_argument("--seconds", type=float, default=2, help="length of a round (2)")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="granian's blocking threads")
    parser.add_argument("--database", choices=["sqlite", "postgres", "both"], default="both")
    options = parser.parse_args()
    if not Path("/proc/self/stat").exists():
        raise SystemExit("The servers' processor time is read from /proc: run this on Linux.")
    if options.database in ("sqlite", "both"):
        with tempfile.TemporaryDirectory() as folder:
            measure("SQLite", f"sqlite:///{folder}/db.sqlite3", options)
    if options.database in ("postgres", "both"):
        with cluster() as url:
            measure("PostgreSQL", url, options)


def measure(title: str, database_url: str, options: argparse.Namespace) -> None:
    """Measure all targets on one database and print one table."""
    buckets = [
        Bucket("bench-main", "us-east-1"),
        Bucket("bench-sydney", "ap-southeast-2"),
    ]
    with (
        Emulator(buckets, access_key=ACCESS_KEY, secret_key=SECRET_KEY) as s3,
        contextlib.ExitStack() as stack,
    ):
        environment = os.environ | {
            "DATABASE_URL": database_url,
            "DJANGO_SETTINGS_MODULE": "tests.benchmarks.settings",
            "DJANGO_ENV_FILE": os.devnull,
            "DJANGO_SECRET_KEY": "bench",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
            "BENCH_TARGET": "site",
            "BENCH_MAIN": s3.endpoint_for("bench-main"),
            "BENCH_SYDNEY": s3.endpoint_for("bench-sydney"),
        }
        prepared = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.prepare"],
            env=environment, check=True, stdout=subprocess.PIPE, text=True,
        ).stdout.split()  # fmt: skip
        session_key, media_file_id = prepared
        path = f"/media/{media_file_id}/download"
        headers = {"Cookie": f"sessionid={session_key}"}
        servers = {
            target: stack.enter_context(server(target, environment, options)) for target in TARGETS
        }
        for port, _ in servers.values():
            load.run(port, path, headers, status=302, connections=4, seconds=WARM_UP)
        results: dict[str, list[tuple[load.Result, float]]] = {target: [] for target in TARGETS}
        for round_number in range(options.rounds):
            for target in TARGETS if round_number % 2 == 0 else TARGETS[::-1]:
                port, process = servers[target]
                before = processor_seconds(process.pid)
                result = load.run(
                    port, path, headers,
                    status=302, connections=options.connections, seconds=options.seconds,
                )  # fmt: skip
                spent = processor_seconds(process.pid) - before
                results[target].append((result, spent / result.requests))
        print_table(title, results)


@contextlib.contextmanager
def server(
    target: str, environment: dict[str, str], options: argparse.Namespace
) -> Iterator[tuple[int, subprocess.Popen]]:
    """Run granian with one target; give its port and its process."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    process = subprocess.Popen(
        [
            str(Path(sys.executable).with_name("granian")), "--interface", "wsgi",
            "--port", str(port), "--workers", str(options.workers),
            "--blocking-threads", str(options.threads), "--no-ws", "--log-level", "warning",
            "shotmedia.wsgi:application" if target in TRUST_SECONDS else BASELINES,
        ],
        env=environment
        | {"BENCH_TARGET": target, "REPLICA_TRUST_SECONDS": TRUST_SECONDS.get(target, "0")},
        # The site's line for each download is part of what it costs.
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            if time.monotonic() > deadline:
                raise SystemExit(f"The server of {target} did not start.")
            time.sleep(0.05)
        yield port, process
    finally:
        process.terminate()
        process.wait()


def processor_seconds(pid: int) -> float:
    """Return the processor time in seconds that a process and its children have spent (Linux)."""
    ticks = 0
    for child in [pid, *_children(pid)]:
        fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[int]:
    direct = [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    return direct + [grandchild for child in direct for grandchild in _children(child)]


def print_table(title: str, results: dict[str, list[tuple[load.Result, float]]]) -> None:
    """Print medians, and ratios of paired rounds."""
    print(f"\n{title}: medians of {len(results['site'])} interleaved rounds")
    print(f"{'':38} {'req/s':>8} {'p50 ms':>8} {'p99 ms':>8} {'CPU us':>8}")
    for target, rounds in results.items():
        row = [
            statistics.median(result.per_second for result, _ in rounds),
            statistics.median(result.percentile(0.5) * 1e3 for result, _ in rounds),
            statistics.median(result.percentile(0.99) * 1e3 for result, _ in rounds),
            statistics.median(cpu * 1e6 for _, cpu in rounds),
        ]
        print(
            f"{NAMES[target]:38} {row[0]:8.0f} {row[1]:8.2f} {row[2]:8.2f} {row[3]:8.0f}",
        )

    def ratio(of: str, to: str, figure) -> str:
        pairs = [figure(a) / figure(b) for a, b in zip(results[of], results[to], strict=True)]
        return f"{statistics.median(pairs):5.2f}  ({min(pairs):.2f} to {max(pairs):.2f})"

    def cpu(measured):
        return measured[1]

    def throughput(measured):
        return measured[0].per_second

    print("Ratios, round by round: median (least to most)          aim")
    print(f"  CPU, redirect / empty view             {ratio('site', 'empty', cpu)}  <= 2.3")
    print(f"  CPU, redirect / empty logged-in view   {ratio('site', 'user', cpu)}  <= 0.35")
    print(f"  req/s, redirect / peer                 {ratio('site', 'peer', throughput)}  >= 7")
    print(f"  CPU, peer / redirect                   {ratio('peer', 'site', cpu)}")


if __name__ == "__main__":
    main()
