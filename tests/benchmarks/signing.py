"""How much faster our signer is than boto3's generate_presigned_url, for the same GET link.

python -m tests.benchmarks.signing [--rounds N] [--links N]

Rounds of both are interleaved in one process on one thread, so that a busy machine slows both; the
figure to read is the median of the rounds' ratios. Every link has another key. "warm overrides"
repeats one file name (what one popular media file does), "cold overrides" has a new one each time.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

import boto3

from shotmedia.s3.clients import s3_client
from shotmedia.s3.config import BucketConfig
from shotmedia.s3.credentials import Credentials
from shotmedia.s3.presign import Signer, response_overrides
from shotmedia.s3.process import forget_all

KEYS = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
LIFE = 900
TYPE = "video/quicktime"


class Static:
    """Credentials that do not expire."""

    def get(self, min_life: int) -> Credentials:
        return KEYS


def disposition(name: str) -> str:
    return f'attachment; filename="{name}.mov"'


def microseconds(make: Callable[[int], object], links: int) -> float:
    """Microseconds per link of one round."""
    started = time.perf_counter()
    for number in range(links):
        make(number)
    return (time.perf_counter() - started) / links * 1e6


def same_link(ours: str, theirs: str) -> bool:
    """Whether two links made in the same second are the same: place, parameters, signature."""
    one, other = urlsplit(ours), urlsplit(theirs)
    return one[:3] == other[:3] and sorted(parse_qsl(one.query)) == sorted(parse_qsl(other.query))


def measure(rounds: int, links: int) -> dict[str, float]:
    """Medians in microseconds a link, and ratios to boto3."""
    forget_all()
    keys = {"AWS_ACCESS_KEY_ID": KEYS.access_key, "AWS_SECRET_ACCESS_KEY": KEYS.secret_key}
    with mock.patch.dict(os.environ, keys):
        os.environ.pop("AWS_SESSION_TOKEN", None)
        return _measure(rounds, links)


def _measure(rounds: int, links: int) -> dict[str, float]:
    config = BucketConfig.from_mapping(
        "main", {"region": "us-east-1", "bucket": "studio-media", "prefix": "media"}
    )
    client = s3_client(config)
    signer = Signer(config, Static())
    paths = [f"2026/08/{number:032x}/shot_{number}_comp_v003.mov" for number in range(links)]
    keys = [config.key(path) for path in paths]
    shown = disposition("shot_010_comp_v003")
    fresh = iter(range(10**12))

    def theirs(number: int) -> str:
        return client.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": config.bucket,
                "Key": keys[number],
                "ResponseContentDisposition": shown,
                "ResponseContentType": TYPE,
            },
            ExpiresIn=LIFE,
        )

    def warm(number: int) -> object:
        return signer.sign("GET", paths[number], LIFE, response_overrides(shown, TYPE))

    def cold(number: int) -> object:
        query = response_overrides(disposition(f"shot_{next(fresh)}"), TYPE)
        return signer.sign("GET", paths[number], LIFE, query)

    def bare(number: int) -> object:
        return signer.sign("GET", paths[number], LIFE)

    if not any(same_link(warm(0).url, theirs(0)) for _ in range(5)):
        raise SystemExit("The two signers do not make the same link; nothing was measured.")
    few = max(50, links // 20)
    results: dict[str, list[float]] = {}
    for _ in range(rounds):
        base = microseconds(theirs, few)
        results.setdefault("boto3", []).append(base)
        for name, make in (
            ("warm overrides", warm),
            ("cold overrides", cold),
            ("no overrides", bare),
        ):
            took = microseconds(make, links)
            results.setdefault(name, []).append(took)
            results.setdefault(f"ratio, {name}", []).append(base / took)
    return {name: statistics.median(values) for name, values in results.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--links", type=int, default=4000)
    parser.add_argument("--json", action="store_true", help="print one line for programs")
    options = parser.parse_args()
    found = measure(options.rounds, options.links)
    if options.json:
        print(json.dumps({name: round(value, 2) for name, value in found.items()}))
        return
    print(f"Python {platform.python_version()}, boto3 {boto3.__version__}, {sys.platform}")
    for name in ("boto3", "warm overrides", "cold overrides", "no overrides"):
        ratio = found.get(f"ratio, {name}")
        words = "" if ratio is None else f"   {ratio:6.1f} times faster than boto3"
        print(f"{name:16} {found[name]:8.2f} us a link{words}")


if __name__ == "__main__":
    main()
