"""A test as one text for whoever has to mend it: IT, or AWS support. Pure.

No secrets: links carry neither signature nor credential, and keys were never stored.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from speedtest.models import SpeedTestRun

COLUMNS = (
    ("server_findings", "from this server"),
    ("browser_findings", "from the browser"),
    ("cleanup", "clean-up"),
)
WORDS = {"fail": "failed", "warn": "warning", "pass": "passed", "skip": "not run"}


def it_report(run: SpeedTestRun) -> str:
    """The text, in the manner of Markdown, out of a stored run and its findings.

    It has when and where from the test was run, the hosts with their addresses, and for each
    failed or warned check the message, S3's code, request ids, the exact requests (preflights
    too) and the documents to paste. `run.who` is read, so select user and invitation along.
    """
    lines = [f"# Speed test of “{run.configuration}”, for IT or AWS support", ""]
    lines += [f"{WORDS.get(run.verdict_status, 'Still running').capitalize()}: {run.verdict}", ""]
    lines += [f"- {name}: {value}" for name, value in _facts(run)]
    told = [
        (where, finding)
        for column, where in COLUMNS
        for finding in getattr(run, column)
        if finding.get("status") in ("fail", "warn")
    ]
    # What failed comes first: whoever reads this begins at the top.
    told.sort(key=lambda pair: pair[1]["status"] != "fail")
    documents: dict[str, str] = {}
    for number, (where, finding) in enumerate(told, 1):
        lines += ["", *_finding(number, where, finding, documents)]
    lines += ["", *_others(run)]
    for title, text in documents.items():
        lines += ["", f"## To paste: {title}", "", *_code(text)]
    return "\n".join(lines) + "\n"


def _facts(run: SpeedTestRun) -> list[tuple[str, str]]:
    facts = [
        ("Test", f"{run.pk}, {run.mode}, {run.state}"),
        ("Time", f"{_utc(run.started_at)} to {_utc(run.finished_at)}"),
        ("Configuration", f"“{run.configuration}”"),
        ("Bucket", f"s3://{run.bucket} in {run.region}"),
        ("Objects of the test", f"{run.path} below the configuration's prefix"),
        ("Person", run.who),
        *_measured_by(run),
    ]
    found = {
        str(name): str(value)
        for column, _ in COLUMNS
        for finding in getattr(run, column)
        for name, value in finding.get("facts") or ()
    }
    return list((dict(facts) | found).items())


def _measured_by(run: SpeedTestRun) -> list[tuple[str, str]]:
    if run.source == SpeedTestRun.Source.BROWSER:
        return [
            ("Address of the browser", run.address or "none"),
            ("Browser", run.user_agent or "none"),
        ]
    asked = [("Asked for from", run.address)] if run.address else []
    return [("Measured by", run.user_agent or run.get_source_display()), *asked]


def _utc(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if moment else "(not over)"


def _finding(
    number: int, where: str, finding: Mapping[str, Any], documents: dict[str, str]
) -> Iterable[str]:
    status = WORDS[finding["status"]]
    yield f"## {number}. {finding.get('title') or finding['check']} ({where}): {status}"
    yield ""
    yield str(finding.get("message") or "")
    if finding.get("fix"):
        yield f"What to do: {finding['fix']}"
    facts = [
        ("call", finding.get("call")),
        ("code", finding.get("code")),
        ("request id", finding.get("request_id")),
        ("ms", finding.get("ms")),
    ]
    said = ", ".join(f"{name} {value}" for name, value in facts if value not in ("", None))
    if said:
        yield f"S3: {said}"
    for one in finding.get("requests") or ():
        yield from _request(one)
    for title, text in finding.get("documents") or ():
        yield f"Document: see “To paste: {title}”"
        documents.setdefault(str(title), str(text))


def _request(one: Mapping[str, Any]) -> Iterable[str]:
    yield ""
    by = "Sent by the browser" if one.get("by") == "browser" else "Sent by this server"
    yield f"{by}, {one.get('time') or 'time unknown'}:"
    yield ""
    yield f"    {one.get('method')} {one.get('url')}"
    yield from (f"    {name}: {value}" for name, value in (one.get("headers") or {}).items())
    status = one.get("status")
    answer = f"    -> {status}" if status else "    -> no answer that could be read"
    if one.get("request_id"):
        answer += f", x-amz-request-id {one['request_id']}"
    if one.get("id_2"):
        answer += f", x-amz-id-2 {one['id_2']}"
    yield answer


def _others(run: SpeedTestRun) -> Iterable[str]:
    yield "## Other checks"
    yield ""
    some = False
    for column, where in COLUMNS:
        for status in ("pass", "skip"):
            names = [
                str(f.get("title") or f["check"])
                for f in getattr(run, column)
                if f.get("status") == status
            ]
            if names:
                some = True
                yield f"- {where}, {WORDS[status]}: {', '.join(names)}"
    if not some:
        yield "None."


def _code(text: str) -> Iterable[str]:
    yield "```json"
    yield from text.splitlines()
    yield "```"
