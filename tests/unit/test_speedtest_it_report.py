"""The text for IT, from a stored test; no database is asked."""

from datetime import UTC, datetime

from preferences.models import User
from shotmedia.s3.probe_record import Sent, redacted, worth_telling
from speedtest.it_report import it_report
from speedtest.models import SpeedTestRun

LINK = (
    "https://studio-main.s3.us-east-1.amazonaws.com/p/.speedtest/runs/1/a.bin"
    "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAEXAMPLE%2F2026&X-Amz-Expires=900"
    "&X-Amz-Security-Token=SECRETTOKEN&X-Amz-SignedHeaders=host&X-Amz-Signature=5ec2e7"
)


def run() -> SpeedTestRun:
    """A test whose bucket has no CORS rules."""
    preflight = Sent(
        "2026-11-25T10:00:01.000+00:00",
        "OPTIONS",
        "https://studio-main.s3.us-east-1.amazonaws.com/p/.speedtest/runs/1/preflight",
        {"Origin": "https://studio.example.com", "Access-Control-Request-Method": "PUT"},
        403,
        "REQ1",
        "ID2",
    ).as_dict()
    put = {
        "by": "browser", "time": "2026-11-25T10:00:05.000Z", "method": "PUT",
        "url": redacted(LINK), "headers": {"Origin": "https://studio.example.com"}, "status": 0,
    }  # fmt: skip
    rules = ["CORS rules for studio-main (S3 console)", '[{"AllowedMethods": ["PUT"]}]']
    return SpeedTestRun(
        user=User(username="ada"),
        configuration="main",
        bucket="studio-main",
        region="us-east-1",
        mode="quick",
        state="done",
        started_at=datetime(2026, 11, 25, 10, tzinfo=UTC),
        finished_at=datetime(2026, 11, 25, 10, 0, 9, tzinfo=UTC),
        address="203.0.113.9",
        user_agent="Mozilla/5.0",
        verdict_status="fail",
        verdict="The bucket studio-main has no CORS rules.",
        server_findings=[
            {"check": "configuration", "title": "Configuration", "status": "pass",
             "facts": [["Site", "https://studio.example.com"], ["Role", "arn:aws:iam::1:role/m"]]},
            {"check": "dns", "title": "Name look-up", "status": "pass",
             "facts": [["studio-main.s3.us-east-1.amazonaws.com", "52.216.1.1, 52.216.1.2"],
                       ["Address of this server", "10.0.0.7"]]},
            {"check": "clock", "title": "Clock", "status": "warn", "message": "90 s ahead."},
            {"check": "cors", "title": "CORS for this site", "status": "fail", "ms": 12,
             "call": "preflight", "code": "AccessForbidden", "request_id": "REQ1",
             "message": "The bucket studio-main has no CORS rules.", "fix": "Paste the rules.",
             "documents": [rules], "requests": [preflight]},
            {"check": "exposed", "title": "Headers", "status": "skip"},
        ],
        browser_findings=[
            {"check": "put", "title": "Upload 1 KiB", "status": "fail", "message": "May not.",
             "documents": [rules], "requests": [put]},
        ],
        cleanup=[{"check": "cleanup", "title": "Clean-up of main", "status": "pass"}],
    )  # fmt: skip


def test_the_text_says_everything_that_it_asks_for() -> None:
    text = it_report(run())
    for words in (
        "Failed: The bucket studio-main has no CORS rules.",
        "- Time: 2026-11-25 10:00:00 UTC to 2026-11-25 10:00:09 UTC",
        "- Site: https://studio.example.com",
        "- Person: ada",
        "- Address of the browser: 203.0.113.9",
        "- Address of this server: 10.0.0.7",
        "- studio-main.s3.us-east-1.amazonaws.com: 52.216.1.1, 52.216.1.2",
        "- Role: arn:aws:iam::1:role/m",
        "CORS for this site (from this server): failed",
        "S3: call preflight, code AccessForbidden, request id REQ1, ms 12",
        "    OPTIONS https://studio-main.s3.us-east-1.amazonaws.com/p/.speedtest/runs/1/preflight",
        "    Access-Control-Request-Method: PUT",
        "-> 403, x-amz-request-id REQ1, x-amz-id-2 ID2",
        "Upload 1 KiB (from the browser): failed",
        "Sent by the browser, 2026-11-25T10:00:05.000Z:",
        "X-Amz-Expires=900",
        "-> no answer that could be read",
        "- from this server, passed: Configuration, Name look-up",
        "- from this server, not run: Headers",
        "- clean-up, passed: Clean-up of main",
    ):
        assert words in text
    assert text.index("(from the browser): failed") < text.index("Clock (from this server): warn")


def test_a_document_is_told_once() -> None:
    text = it_report(run())
    assert text.count('[{"AllowedMethods": ["PUT"]}]') == 1
    assert text.count("Document: see “To paste: CORS rules for studio-main (S3 console)”") == 2


def test_nothing_secret_is_in_it() -> None:
    text = it_report(run())
    for secret in ("5ec2e7", "AKIAEXAMPLE", "SECRETTOKEN"):
        assert secret not in text
    assert "X-Amz-SignedHeaders=host" in text


def test_a_test_that_is_running_has_a_text_too() -> None:
    running = SpeedTestRun(
        configuration="main", started_at=datetime(2026, 11, 25, tzinfo=UTC), mode="quick"
    )
    text = it_report(running)
    assert "Still running" in text
    assert "(not over)" in text
    assert "- Person: (removed)" in text


def test_refused_requests_explain_a_check_best() -> None:
    def one(status: int) -> Sent:
        return Sent("", "GET", f"https://b/{status}", {}, status)

    told = worth_telling([one(200), one(403), one(0), one(200)])
    assert [each["status"] for each in told] == [403, 0]
    assert len(worth_telling([one(403)] * 40)) == 6
    assert [each["status"] for each in worth_telling([one(200), one(204), one(206)])] == [204, 206]


def test_only_signature_credential_and_token_are_taken_out_of_a_link() -> None:
    assert redacted("https://b/k") == "https://b/k"
    assert redacted("https://b/k?uploads=&x-amz-credential=A") == (
        "https://b/k?uploads=&x-amz-credential=REDACTED"
    )
    assert redacted("http://[?X-Amz-Signature=A") == "http://[?X-Amz-Signature=REDACTED"


def test_what_this_server_measured_names_no_browser() -> None:
    by_server = run()
    by_server.source, by_server.user_agent = "server", "this server"
    text = it_report(by_server)
    assert "- Measured by: this server\n- Asked for from: 203.0.113.9\n" in text
    assert "the browser:" not in text
