"""`python -m shotmedia.emulator`: the emulator as a process of its own."""

import argparse
import json
import logging
import signal
import sys
import threading

from shotmedia.emulator.server import Emulator
from shotmedia.emulator.store import Bucket


def parse_bucket(text: str) -> Bucket:
    """`name:region[:replica-of[:port]]`. Raises ArgumentTypeError with what is wrong."""
    words = text.split(":")
    if not 2 <= len(words) <= 4 or not words[0] or not words[1]:
        raise argparse.ArgumentTypeError(f"{text!r} is not name:region[:replica-of[:port]]")
    port = words[3] if len(words) == 4 else "0"
    if not port.isdigit():
        raise argparse.ArgumentTypeError(f"{port!r} is no port")
    return Bucket(words[0], words[1], words[2] if len(words) > 2 else "", port=int(port))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m shotmedia.emulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="main port (default: a free one)")
    parser.add_argument(
        "--bucket",
        type=parse_bucket,
        action="append",
        metavar="NAME:REGION[:REPLICA-OF[:PORT]]",
        help="a bucket; repeat (default: a primary and its replica)",
    )
    parser.add_argument("--lag", type=float, default=3.0, help="seconds until a replica is there")
    parser.add_argument("--role", action="append", default=[], metavar="ARN[=EXTERNAL-ID]")
    parser.add_argument("--access-key", default="", help="the account's key (default: random)")
    parser.add_argument("--secret-key", default="", help="its secret (default: random)")
    parser.add_argument("--directory", help="where large objects' nameless files live")
    parser.add_argument("--json", action="store_true", help="print one line for programs")
    parser.add_argument("--quiet", action="store_true", help="no line per request on stderr")
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end with the process that started it"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs until SIGTERM or SIGINT; returns the exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.WARNING if options.quiet else logging.INFO,
        format="%(asctime)s %(message)s",
        stream=sys.stderr,
    )
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    buckets = options.bucket or [
        Bucket("primary", "us-east-1"),
        Bucket("replica", "ap-southeast-2", "primary"),
    ]
    try:
        emulator = Emulator(
            buckets,
            lag=options.lag,
            access_key=options.access_key,
            secret_key=options.secret_key,
            roles=dict(role.partition("=")[::2] for role in options.role),
            port=options.port,
            directory=options.directory,
        )
    except (OSError, ValueError) as error:
        sys.stderr.write(f"The emulator can't start: {error}\n")
        return 1
    if options.until_stdin_closes:
        threading.Thread(target=lambda: (sys.stdin.read(), stopped.set()), daemon=True).start()
    with emulator:
        _announce(emulator, options.json)
        stopped.wait()
    return 0


def _announce(emulator: Emulator, as_json: bool) -> None:
    keys = {"access_key": emulator.access_key, "secret_key": emulator.secret_key}
    if as_json:
        lines = [json.dumps(emulator.state() | keys)]
    else:
        lines = [f"S3 and STS at {emulator.endpoint}"]
        for bucket in emulator.buckets.values():
            copy = f", fills itself from {bucket.replica_of}" if bucket.replica_of else ""
            where = emulator.endpoint_for(bucket.name)
            lines.append(f"  {bucket.name} ({bucket.region}{copy}) at {where}")
        lines.append(f"  key {emulator.access_key}, secret {emulator.secret_key}")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
