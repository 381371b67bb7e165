"""One sentence out of two columns of checks: what the server found, what the browser found."""

from collections.abc import Iterable, Mapping
from typing import Any

BROWSER_FACING = ("cors", "exposed")
"""Checks that the server makes on the browser's behalf."""

Findings = Iterable[Mapping[str, Any]]


def leading(server: Findings, browser: Findings) -> Mapping[str, Any] | None:
    """The failed finding to mend first: CORS, then the server's, then the browser's; or None."""
    server, browser = list(server), list(browser)
    failed = _failed(f for f in server if f["check"] in BROWSER_FACING)
    failed += _failed(server) + _failed(browser)
    return failed[0] if failed else None


def verdict(
    server: Findings,
    browser: Findings,
    cleanup: Findings = (),
    *,
    state: str = "done",
    by_browser: bool = True,
) -> tuple[str, str]:
    """The status (pass, warn, fail) and the sentence. "Speed test reference", section 8.

    server, browser, cleanup: findings as plain values; state: how the test ended; by_browser:
    False for a test that only this server took part in.
    """
    server, browser, cleanup = list(server), list(browser), list(cleanup)
    failure = _failure(server, browser)
    if failure:
        return failure
    left = _failed(cleanup)
    also = f" But: {_short(left[0])}" if left else ""
    if state == "stopped":
        return "warn", f"The test was stopped before its end; nothing had failed so far.{also}"
    if state == "left":
        what = "The page was closed" if by_browser else "The process that ran it ended"
        how = f"{what} before the end, or the test was ended from elsewhere"
        return "warn", f"{how}; nothing had failed so far.{also}"
    if state == "failed":
        return "fail", f"The test could not be finished; nothing had failed before.{also}"
    if by_browser and not _worked(browser):
        return "warn", "This server reaches the bucket; the browser was not tested."
    if left:
        return "warn", f"Everything works, except that {left[0]['message'][:1].lower()}" + (
            left[0]["message"][1:]
        )
    warnings = sum(f["status"] == "warn" for f in [*server, *browser, *cleanup])
    if warnings:
        noted = "one thing" if warnings == 1 else f"{warnings} things"
        return "warn", f"Everything works; {noted} below should be looked at."
    if not by_browser:
        return "pass", "Everything works from this server; no browser took part."
    return "pass", "Everything works: this server and your browser both reach the bucket."


def _failure(server: list, browser: list) -> tuple[str, str] | None:
    """What the two columns say together about what failed, None when nothing did."""
    cors = _failed(f for f in server if f["check"] in BROWSER_FACING)
    jobs = _failed(f for f in server if f["check"] not in BROWSER_FACING)
    people = _failed(browser)
    worked = _worked(browser)
    if cors and not people and {"get", "put", "multipart"} <= worked:
        # The browser is the one who knows. A proxy, or another endpoint, may answer it.
        return (
            "warn",
            f"Your browser gets through, although this server finds: {_short(cors[0])}",
        )
    if cors:
        lead = _short(cors[0])
        return "fail", f"{lead} On the server too: {_short(jobs[0])}" if jobs else lead
    if jobs and people:
        return "fail", _both(jobs, people, _worked(server), worked)
    if jobs and worked - {"context", "reach"}:
        return (
            "fail",
            "Artists are fine; what this server does itself is not (checking uploads and replica "
            f"copies): {_short(jobs[0])}",
        )
    if jobs:
        return "fail", _short(jobs[0])
    if people:
        return (
            "fail",
            "The bucket and the site's rights are fine; your browser is kept from the bucket: "
            f"{_short(people[0])}",
        )
    return None


CAUSES = {
    "credentials": "the site's own credentials",
    "role": "the role",
    "bucket": "the bucket",
    "dns": "the endpoint's name",
    "tls": "the way to the endpoint",
    "clock": "this server's clock",
}
"""What is at fault when both columns fail, by the server's first failed check."""


def _both(jobs: list, people: list, server: set[str], browser: set[str]) -> str:
    first = _short(jobs[0])
    if "put" in server & browser:
        return f"Uploads work, downloads do not, here as in your browser: {first}"
    if "get" in server & browser:
        return f"Downloads work, uploads do not, here as in your browser: {first}"
    cause = CAUSES.get(jobs[0]["check"], "the role or a policy of the bucket")
    return f"Neither this server nor your browser gets through; it is {cause}: {first}"


def _short(finding: Mapping[str, Any]) -> str:
    """A finding's message without S3's own words: those stand with the check."""
    return str(finding["message"]).partition(" S3 said ")[0]


def _worked(findings: Findings) -> set[str]:
    return {finding["check"] for finding in findings if finding["status"] in ("pass", "warn")}


def _failed(findings: Findings) -> list[Mapping[str, Any]]:
    return [finding for finding in findings if finding["status"] == "fail"]
