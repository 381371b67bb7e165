"""The verdict sentence, and the findings that are taken from a browser."""

import pytest

from speedtest.verdict import leading, verdict
from speedtest.views import clean_findings


def found(check: str, status: str, message: str = "") -> dict:
    return {"check": check, "status": status, "message": message or f"{check} is {status}."}


GOOD = [found("put", "pass"), found("cors", "pass")]
FINE = [found("reach", "pass"), found("get", "pass")]


@pytest.mark.parametrize(
    ("server", "browser", "cleanup", "state", "status", "words"),
    [
        (GOOD, FINE, [], "done", "pass", "Everything works: this server and your browser"),
        ([*GOOD, found("clock", "warn")], FINE, [], "done", "warn", "one thing below"),
        (GOOD, [found("reach", "fail")], [], "done", "fail", "your browser is kept"),
        ([found("put", "fail")], FINE, [], "done", "fail", "Artists are fine"),
        ([found("put", "fail")], [found("put", "fail")], [], "done", "fail", "Neither"),
        ([found("role", "fail", "Role!")], [], [], "failed", "fail", "Role!"),
        ([found("cors", "fail", "No CORS.")], [found("get", "fail")], [], "done", "fail",
         "No CORS."),
        ([found("cors", "fail", "No CORS."), found("get", "fail", "Denied.")], [], [], "done",
         "fail", "No CORS. On the server too: Denied."),
        (GOOD, FINE, [found("cleanup", "fail", "Objects stay.")], "done", "warn",
         "except that objects stay."),
        (GOOD, FINE, [], "stopped", "warn", "stopped before its end"),
        (GOOD, [], [], "left", "warn", "closed before the end"),
        (GOOD, FINE, [], "failed", "fail", "could not be finished"),
        (GOOD, [], [], "done", "warn", "the browser was not tested"),
    ],
)  # fmt: skip
def test_the_verdict(
    server: list, browser: list, cleanup: list, state: str, status: str, words: str
) -> None:
    given, sentence = verdict(server, browser, cleanup, state=state)
    assert given == status
    assert words in sentence


def test_cors_is_mended_first() -> None:
    server = [found("get", "fail"), found("cors", "fail")]
    assert leading(server, [])["check"] == "cors"
    assert leading(GOOD, [found("put", "fail")])["check"] == "put"
    assert leading(GOOD, FINE) is None


def test_a_browsers_findings_are_cut_to_what_findings_are() -> None:
    cleaned = clean_findings(
        [
            {"check": "get", "status": "fail", "message": "x" * 9000, "ms": "soon",
             "documents": [["CORS", "[]"], "no", ["only one"]], "extra": 1},
            {"check": "made-up", "status": "pass"},
            {"check": "put", "status": "great"},
            "text",
        ]
    )  # fmt: skip
    assert [finding["check"] for finding in cleaned] == ["get"]
    assert len(cleaned[0]["message"]) == 2000
    assert cleaned[0]["ms"] is None
    assert cleaned[0]["documents"] == [["CORS", "[]"]]
    assert "extra" not in cleaned[0]
    assert clean_findings({"check": "get"}) == []
