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
        ([found("put", "fail", "No!")], [found("put", "fail")], [], "done", "fail",
         "Neither this server nor your browser gets through; it is the role or a policy of the "
         "bucket: No!"),
        ([found("bucket", "fail")], [found("get", "fail")], [], "done", "fail",
         "it is the bucket: bucket is fail."),
        ([found("clock", "fail")], [found("get", "fail")], [], "done", "fail",
         "it is this server's clock"),
        ([found("dns", "fail")], [found("reach", "fail")], [], "done", "fail",
         "it is the endpoint's name"),
        ([found("put", "pass"), found("get", "fail")],
         [found("put", "pass"), found("readback", "fail")], [], "done", "fail",
         "Uploads work, downloads do not, here as in your browser: get is fail."),
        ([found("get", "pass"), found("put", "fail")],
         [found("get", "pass"), found("put", "fail")], [], "done", "fail",
         "Downloads work, uploads do not, here as in your browser"),
        ([found("get", "fail", "Denied here.")], [*FINE, found("put", "pass")], [], "done",
         "fail", "Artists are fine; what this server does itself is not (checking uploads and "
         "replica copies): Denied here."),
        # Only the way was looked at: nobody knows whether artists are fine.
        ([found("role", "fail", "Role!")], [found("context", "pass"), found("reach", "pass")], [],
         "done", "fail", "Role!"),
        ([found("cors", "fail", "No CORS.")],
         [found("get", "pass"), found("put", "pass"), found("multipart", "pass")], [], "done",
         "warn", "Your browser gets through, although this server finds: No CORS."),
        (GOOD, [*FINE, found("put", "fail", "CSP!")], [], "done", "fail",
         "your browser is kept from the bucket: CSP!"),
        ([found("role", "fail", "Role!")], [], [], "failed", "fail", "Role!"),
        ([found("cors", "fail", "No CORS.")], [found("get", "fail")], [], "done", "fail",
         "No CORS."),
        ([found("cors", "fail", "No CORS."), found("get", "fail", "Denied.")], [], [], "done",
         "fail", "No CORS. On the server too: Denied."),
        (GOOD, FINE, [found("cleanup", "fail", "Objects stay.")], "done", "warn",
         "except that objects stay."),
        (GOOD, FINE, [], "stopped", "warn", "stopped before its end"),
        (GOOD, [], [], "left", "warn", "closed before the end"),
        # Broken off in the middle of the checks: nobody knows whether the others pass.
        (GOOD, [], [], "failed", "fail",
         "The test could not be finished; nothing had failed before."),
        (GOOD, FINE, [found("cleanup", "fail", "Objects stay.")], "stopped", "warn",
         "nothing had failed so far. But: Objects stay."),
        (GOOD, [], [], "done", "warn", "the browser was not tested"),
    ],
)  # fmt: skip
def test_the_verdict(
    server: list, browser: list, cleanup: list, state: str, status: str, words: str
) -> None:
    given, sentence = verdict(server, browser, cleanup, state=state)
    assert given == status
    assert words in sentence


def test_the_verdict_leaves_s3s_own_words_to_the_check() -> None:
    refused = found("get", "fail", "It may not. S3 said 403 AccessDenied: User: x is not ...")
    sentence = verdict(GOOD, [refused])[1]
    assert sentence.endswith("kept from the bucket: It may not.")


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


def test_a_test_of_the_server_alone_says_nothing_of_browsers():
    passed = [{"check": "put", "status": "pass", "message": ""}]
    assert verdict(passed, [], by_browser=False) == (
        "pass",
        "Everything works from this server; no browser took part.",
    )
    assert "process" in verdict(passed, [], state="left", by_browser=False)[1]
