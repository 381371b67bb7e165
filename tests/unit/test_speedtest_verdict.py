"""The verdict sentence, the plan, and what is taken from a browser."""

import pytest

from speedtest.plan import PLAN, merged, most_bytes, seed_name, sizes
from speedtest.verdict import leading, verdict
from speedtest.views import clean_figures, clean_findings


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


def test_sizes_are_powers_of_two_within_the_plan() -> None:
    assert sizes(PLAN)[0] == 128 << 10
    assert sizes(PLAN)[-1] == 32 << 20
    assert len(sizes(PLAN)) == 9


def test_the_seed_is_named_by_its_size() -> None:
    assert seed_name(PLAN) == ".speedtest/seed-64MiB-v1.bin"
    assert seed_name(merged({"seed_bytes": 1000})) == ".speedtest/seed-1000B-v1.bin"


def test_quick_moves_next_to_nothing() -> None:
    assert most_bytes(PLAN, "quick") < 100_000
    assert most_bytes(PLAN, "standard") == most_bytes(PLAN, "quick") + 1_000_000_000


def test_a_plan_with_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="no pause"):
        merged({"pause": 1})
    assert merged({"upload": {"max_ms": 1}})["upload"]["min_ms"] == PLAN["upload"]["min_ms"]


def test_a_browsers_figures_are_numbers_or_nothing() -> None:
    cleaned = clean_figures(
        {
            "figures": {
                "upload": {"mbps": 12.5, "p10": "x", "evil": 1, "bytes": float("nan"), "p90": -1},
                "idle_median_ms": 3,
                "hidden": True,
                "other": 1,
                "download": "fast",
            }
        }
    )
    assert cleaned == {
        "upload": {"mbps": 12.5, "p10": None, "bytes": None, "p90": None},
        "idle_median_ms": 3,
        "hidden": 1,
    }
    assert clean_figures({"figures": []}) == {}


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
