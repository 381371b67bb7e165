"""manage.py demo: the whole site on a throw-away database and an embedded S3."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from urllib.parse import quote

import requests
from django.conf import settings
from django.core.management import BaseCommand, CommandError, call_command

FOLDER = "SHOTMEDIA_DEMO_FOLDER"
SETTINGS_PREFIXES = (
    "AWS_",
    "CLIENT_ADDRESS_HEADER",
    "DATABASE_URL",
    "DJANGO_",
    "LINK_",
    "MEDIA_PREF_",
    "METRICS_ADDRESSES",
    "PROMETHEUS_",
    "REPLICA_TRUST_SECONDS",
    "TRUSTED_PROXIES",
)
ACCESS_KEY = "AKIADEMODEMODEMODEMO"
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MOST_LAG = 3600
"""Seconds."""
START_TIMEOUT = 30
"""Seconds that a server of the demo may take to answer."""


class Command(BaseCommand):
    """Run the demo until Ctrl-C, then throw everything away."""

    help = (
        "Run the whole site with an embedded S3 (a primary and a replica bucket), sample media, "
        "an admin and three artists. Everything is thrown away on Ctrl-C."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--port", type=int, help="the site's port (default 8000, or a free one)"
        )
        parser.add_argument(
            "--lag", type=_seconds, default=10.0, metavar="SECONDS",
            help="how long the replica takes to receive a file (default 10)",
        )  # fmt: skip
        parser.add_argument(
            "--keep", action="store_true", help="keep the folder with the database and the logs"
        )
        parser.add_argument(
            "--json", action="store_true", help="print one line of JSON, for programs"
        )

    def handle(self, *, port: int | None, lag: float, keep: bool, **options) -> None:
        """Start, print, wait, clean up.

        The first call names the folder and starts this program anew with the environment of the
        throw-away site, so that a developer's own settings and database are out of reach. The
        second makes the folder, once Ctrl-C would remove it.
        """
        if FOLDER not in os.environ:
            folder = Path(tempfile.gettempdir(), f"shotmedia-demo-{secrets.token_hex(8)}")
            os.execve(sys.executable, [sys.executable, *sys.argv], _environment(folder))  # noqa: S606
        folder = Path(os.environ[FOLDER])
        # SIGINT too: a shell starts programs in the background with it ignored.
        for number in STOPS:
            signal.signal(number, _interrupt)
        with contextlib.ExitStack() as stack:
            if not keep:
                stack.callback(shutil.rmtree, folder, ignore_errors=True)
            try:
                folder.mkdir(mode=0o700)
                port = _choose_port(stack, port)
                self._run(stack, folder, port, lag, keep=keep, as_json=options["json"])
            except KeyboardInterrupt:
                if not options["json"]:
                    end = f"kept: {folder}" if keep else "everything was thrown away."
                    self.stdout.write(f"\nStopped; {end}")

    def _run(
        self,
        stack: contextlib.ExitStack,
        folder: Path,
        port: int,
        lag: float,
        *,
        keep: bool,
        as_json: bool,
    ) -> None:
        from shotmedia.demo.content import (
            BUCKETS,
            ROLE,
            cors_rules,
            create_people,
            upload_samples,
            write_preferences,
        )

        say = (lambda text: None) if as_json else self.stdout.write
        say("Starting the embedded S3 ...")
        emulator = _start(
            stack,
            folder / "s3.log",
            [
                sys.executable, "-m", "shotmedia.emulator", "--json", "--lag", str(lag),
                "--role", ROLE, "--directory", str(folder), "--until-stdin-closes",
                "--access-key", os.environ["AWS_ACCESS_KEY_ID"],
                "--secret-key", os.environ["AWS_SECRET_ACCESS_KEY"],
                *(part for bucket in BUCKETS for part in ("--bucket", bucket)),
            ],
        )  # fmt: skip
        s3 = json.loads(emulator.stdout.readline() or "null")
        if s3 is None:
            raise CommandError(
                f"The embedded S3 ended with exit code {emulator.wait()}:\n"
                f"{_tail(folder / 's3.log')}"
            )
        os.environ["AWS_ENDPOINT_URL_STS"] = s3["endpoint"]
        origins = [f"http://{host}:{port}" for host in ("127.0.0.1", "localhost")]
        for bucket in s3["buckets"]:
            requests.put(
                f"{s3['endpoint']}/_emulator/cors/{bucket['name']}",
                json=cors_rules(origins),
                headers={"X-Emulator": "1"},
                timeout=10,
            ).raise_for_status()

        say("Making the database, the people and the Site Preferences ...")
        call_command("migrate", verbosity=0)
        call_command("collectstatic", verbosity=0, interactive=False)
        people = create_people()
        (folder / "metrics").mkdir()
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder / "metrics")
        delay = max(1, round(lag)) + 10
        endpoints = {bucket["name"]: bucket["endpoint"] for bucket in s3["buckets"]}
        write_preferences(endpoints, delay=delay)
        _start(
            stack,
            folder / "site.log",
            [
                str(Path(sys.executable).with_name("granian")), "--interface", "wsgi",
                "--host", "127.0.0.1", "--port", str(port), "--workers", "2",
                "--blocking-threads", "8", "--no-ws", "shotmedia.wsgi:application",
            ],
        )  # fmt: skip
        say("Uploading the sample media ...")
        media_files = upload_samples()
        address = f"http://127.0.0.1:{port}/"
        _wait_for(f"{address}readyz", folder / "site.log")
        if as_json:
            self.stdout.write(
                json.dumps(
                    {
                        "address": address,
                        "logins": people,
                        "s3": s3,
                        "lag": lag,
                        "delay": delay,
                        "media": [
                            {"id": file.pk, "name": file.name, "size": file.size}
                            for file in media_files
                        ],
                    }
                )
            )
        else:
            self.stdout.write(_table(address, people, s3, lag, delay, folder, keep=keep))
        self.stdout.flush()
        while True:
            # Not signal.pause(), which now and then sleeps through two signals in a row.
            time.sleep(1)


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of the throw-away site: nothing of the developer's own settings.

    Nor a proxy: everything here talks to 127.0.0.1, which a studio's proxy does not reach.
    """
    mine = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(SETTINGS_PREFIXES) and not name.upper().endswith("_PROXY")
    }
    return mine | {
        FOLDER: str(folder),
        "DJANGO_SETTINGS_MODULE": "shotmedia.settings",
        "DJANGO_ENV_FILE": os.devnull,
        "DJANGO_SECRET_KEY": secrets.token_urlsafe(48),
        "DJANGO_STATIC_ROOT": str(folder / "static"),
        "DATABASE_URL": f"sqlite:///{quote(str(folder / 'db.sqlite3'))}",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        # Hexadecimal: one that began with "-" would be taken for an option of the embedded S3.
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= (seconds := float(text)) <= MOST_LAG:
            return seconds
    raise ArgumentTypeError(f"{text} is not a number of seconds between 0 and {MOST_LAG}.")


def _interrupt(number: int, frame: object) -> None:
    # A second Ctrl-C would stop the cleaning up.
    for each in STOPS:
        signal.signal(each, lambda number, frame: None)
    raise KeyboardInterrupt


def _choose_port(stack: contextlib.ExitStack, wanted: int | None) -> int:
    """Return the port `wanted`, or 8000, or a free one, kept from other demos until `stack` ends.

    The site takes its port later, and granian shares one with whoever asks: two demos started at
    once would answer in turn. So each holds the UDP port of the same number, which nothing uses.
    """
    first = 8000 if wanted is None else wanted
    # 0 is any free port, and the UDP port of its number may be taken.
    for port in [first] if wanted else [first, *[0] * 9]:
        try:
            return _held_port(stack, port)
        except (OSError, OverflowError) as error:
            problem = error
    raise CommandError(f"Port {first} cannot be used ({problem}). Choose another.") from problem


def _held_port(stack: contextlib.ExitStack, port: int) -> int:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        port = listener.getsockname()[1]
    stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)).bind(("127.0.0.1", port))
    return port


def _start(stack: contextlib.ExitStack, log: Path, command: list[str]) -> subprocess.Popen[str]:
    """Start a server that ends with `stack`; what it logs goes to the file `log`."""
    with log.open("w") as file:
        process = subprocess.Popen(  # noqa: S603
            command,
            cwd=settings.BASE_DIR,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if "--json" in command else file,
            stderr=file,
            text=True,
            # Ctrl-C is for this program alone: it ends its servers in order.
            start_new_session=True,
        )
    stack.callback(_stop, process)
    return process


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.stdin.close()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(address: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(address, timeout=5).ok:
                return
        time.sleep(0.05)
    raise CommandError(f"The site did not start:\n{_tail(log)}")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text().splitlines()[-20:])


def _table(
    address: str,
    people: list[dict],
    s3: dict,
    lag: float,
    delay: int,
    folder: Path,
    *,
    keep: bool,
) -> str:
    rows = [
        f"  {person['username']:<12} {person['password']:<16} {person['what']}" for person in people
    ]
    return "\n".join(
        [
            "",
            f"  Shotmedia runs at  {address}",
            "",
            "  Log in as    Password         Who",
            *rows,
            "",
            "  What to try",
            f"  - Log in as artist-yes and open a file: for {delay} s it comes from the primary,",
            "    then from the replica; the page says why. artist-no always gets the primary.",
            "  - As admin, add the line 127.0.0.1 to IP Adresses for S3 replication:",
            f"    {address}preferences   Now artist-auto gets the replica, too.",
            f"  - Upload a file: {address}upload/   It reaches the replica after {lag:g} s.",
            f"  - Run the speed test: {address}admin/speedtest",
            "  - Make the replica fail, and download all the same:",
            "    curl -X PUT -H 'X-Emulator: 1' -d '{\"refuse\": true}' \\",
            f"      {s3['endpoint']}/_emulator/faults/{s3['buckets'][-1]['name']}",
            "    With -X DELETE instead of -X PUT -d … it works again.",
            "",
            f"  Logs and database: {folder}",
            "  Ctrl-C stops the demo and throws everything away"
            + (" but this folder." if keep else "."),
            "",
        ]
    )
