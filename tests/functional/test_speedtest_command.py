"""`manage.py speedtest` against the embedded S3: output, exit codes, thresholds, interrupts."""

import csv
import io
import json
import os
import signal
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from speedtest import lag as lags
from speedtest import server_run
from speedtest.models import ReplicationLag, SpeedTestRun
from tests.functional.conftest import MAIN, SYDNEY, Site
from tests.functional.test_speedtest_server_run import PLAN, left


@pytest.fixture(autouse=True)
def short_plan(settings) -> None:
    settings.SPEEDTEST_PLAN = PLAN


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def speedtest(*arguments: str, stderr: io.StringIO | None = None) -> tuple[int, str, str]:
    """Run the command; (exit code, standard output, what it complained of)."""
    out = io.StringIO()
    given = ("speedtest", *arguments, "--origin", "http://testserver")
    try:
        call_command(*given, stdout=out, stderr=stderr or io.StringIO())
    except CommandError as error:
        return error.returncode, out.getvalue(), str(error)
    return 0, out.getvalue(), ""


def test_without_a_name_the_primary_and_the_replica_are_tested(site: Site):
    errors = io.StringIO()
    code, out, _ = speedtest("--checks-only", stderr=errors)
    assert code == 0
    assert [run.configuration for run in SpeedTestRun.objects.order_by("started_at")] == [
        "main",
        "sydney",
    ]
    assert out.index("main (bucket studio-main") < out.index("sydney (bucket studio-sydney")
    assert "✓ Upload 1 KiB:" in out
    assert "Mbit/s" not in out
    # No progress where there is no terminal.
    assert errors.getvalue() == ""


def test_checks_then_speeds_and_the_result_is_kept(site: Site):
    errors = Terminal()
    code, out, _ = speedtest("main", "--seconds", "2", "--streams", "2", stderr=errors)
    assert code == 0
    assert out.index("✓ Download:") < out.index("Download, several at once") < out.index("MB down")
    assert "Upload, several at once" in errors.getvalue()
    assert "\x1b[K" not in out
    run = SpeedTestRun.objects.get()
    assert (run.state, run.source, run.user, run.who) == ("done", "command", None, "command line")
    assert run.user_agent.startswith("manage.py speedtest")
    assert run.figures["download"]["streams"] == 2
    assert left(site, run) == []


def test_what_fails_is_exit_code_1_with_the_fix(site: Site):
    site.emulator.set_cors(MAIN, [])
    code, out, said = speedtest("main", "--checks-only")
    assert code == 1
    assert said == "Failed: “main”. See above."
    assert "✕ CORS for this site" in out
    assert "What to do:" in out
    assert '"AllowedOrigins"' in out


@pytest.mark.parametrize(("option", "word"), [("--min-down", "download"), ("--min-up", "upload")])
def test_below_a_threshold_is_exit_code_2(site: Site, option: str, word: str):
    assert speedtest("main", option, "0.001")[0] == 0
    code, _, said = speedtest("main", option, "10000000")
    assert code == 2
    assert f"“main”: {word} " in said
    assert "Mbit/s is below 1e+07 Mbit/s" in said


def test_json_is_one_object_a_line_and_nothing_else(site: Site):
    code, out, _ = speedtest("--json", stderr=Terminal())
    assert code == 0
    main, sydney = (json.loads(line) for line in out.splitlines())
    assert (main["configuration"], sydney["configuration"]) == ("main", "sydney")
    assert main["figures"]["upload"]["mbps"] > 0
    assert main["verdict"]["status"] in ("pass", "warn")
    assert {finding["check"] for finding in main["findings"]} >= {"put", "get", "measure"}


def test_json_stays_json_when_something_fails(site: Site):
    site.emulator.faults(MAIN, status=403)
    code, out, _ = speedtest("main", "--json")
    assert code == 1
    assert json.loads(out)["verdict"]["status"] == "fail"
    assert json.loads(out)["figures"] == {}


def test_csv_has_one_head(site: Site):
    code, out, _ = speedtest("--csv", stderr=Terminal())
    assert code == 0
    main, sydney = csv.DictReader(io.StringIO(out))
    assert (main["configuration"], sydney["configuration"]) == ("main", "sydney")
    assert float(main["download_mbps"]) > 0
    assert float(main["idle_median_ms"]) > 0


def test_the_text_for_it(site: Site):
    code, out, _ = speedtest("main", "--checks-only", "--report")
    assert code == 0
    assert out.startswith("# Speed test of “main”, for IT or AWS support")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "There is no configuration “nowhere”; there is: main, sydney."),
        (["--seconds", "0"], "--seconds must be 1 to 60."),
        (["--streams", "99"], "--streams must be 1 to 32."),
        (["--cap-mb", "1"], "--cap-mb must be 100 to 100000."),
        (["--checks-only", "--min-down", "5"], "--min-down needs a measurement"),
        (["--min-up", "-3"], "--min-up needs a measurement and a rate above 0."),
    ],
)
def test_wrong_usage_is_exit_code_2_and_tests_nothing(site: Site, arguments, words):
    code, out, said = speedtest(*arguments)
    assert code == 2
    assert words in said
    assert out == ""
    assert not SpeedTestRun.objects.exists()


def test_without_a_storage_location(site: Site):
    site.prefer(storage_location="", s3_bucket_for_replication="")
    assert speedtest()[0] == 2


def test_an_interrupt_removes_what_was_made(site: Site, monkeypatch):
    def interrupt(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(server_run.phases, "small_files", interrupt)
    code, _, said = speedtest("main")
    assert code == 130
    assert said.startswith("Stopped. ")
    run = SpeedTestRun.objects.get()
    assert run.state == "stopped"
    assert left(site, run) == []


def test_a_time_limit_of_cron_leaves_nothing_either(site: Site, monkeypatch):
    def terminate(*args: object, **options: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("The signal was not heard.")

    def unheard(*args: object) -> None:
        """What the process would die of."""

    before = signal.signal(signal.SIGTERM, unheard)
    try:
        monkeypatch.setattr(server_run.phases, "small_files", terminate)
        code, _, said = speedtest("main")
        assert signal.getsignal(signal.SIGTERM) is unheard
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (code, said[:9]) == (130, "Stopped. ")
    run = SpeedTestRun.objects.get()
    assert run.state == "stopped"
    assert left(site, run) == []


def test_one_at_a_time(site: Site):
    SpeedTestRun.objects.create(
        configuration="main",
        place="0" * 16,
        source="command",
        started_at=timezone.now(),
        seen_at=timezone.now(),
    )
    code, _, said = speedtest("main")
    assert code == 1
    assert "A test of “main” is running since" in said


def test_a_browsers_test_without_a_person_is_not_in_the_way(site: Site):
    now = timezone.now()
    SpeedTestRun.objects.create(configuration="main", place="0" * 16, started_at=now)
    assert speedtest("main", "--checks-only")[0] == 0


def test_a_test_whose_process_died_is_in_nobodys_way(site: Site):
    died = SpeedTestRun.objects.create(
        configuration="main",
        place="0" * 16,
        source="command",
        started_at=timezone.now(),
        seen_at=timezone.now() - timedelta(minutes=4),
    )
    assert speedtest("main", "--checks-only")[0] == 0
    died.refresh_from_db()
    assert died.state == "left"


# --- Replication lag ------------------------------------------------------------------------


def test_the_lag(site: Site, monkeypatch):
    look = lags.look

    def looked(lag, preferences, now):
        site.emulator.replicate_due(everything=True)
        return look(lag, preferences, now)

    monkeypatch.setattr(lags, "look", looked)
    code, out, _ = speedtest("--lag", "--json")
    assert code == 0
    assert json.loads(out)["state"] == "arrived"
    code, out, _ = speedtest("--lag", stderr=Terminal())
    assert "✓ The marker (1 MiB) was in the replica after" in out


def test_a_lag_that_cannot_be_measured(site: Site):
    site.emulator.faults(SYDNEY, status=403)
    code, out, _ = speedtest("--lag")
    assert code == 1
    assert "✕ S3 lets the site not look into" in out
    site.prefer(s3_bucket_for_replication="")
    assert speedtest("--lag")[0] == 1


def test_an_interrupted_lag_removes_its_marker(site: Site, monkeypatch):
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)
    assert speedtest("--lag")[0] == 130
    assert ReplicationLag.objects.get().state == "stopped"


# --- Comparison -----------------------------------------------------------------------------


def test_two_targets_in_turn(site: Site):
    for name, rate in ((MAIN, 2), (SYDNEY, 10)):
        site.emulator.faults(name, rate_mb_s=rate, methods=["GET"], key="/.speedtest/seed")
    code, out, said = speedtest("--compare", "main", "sydney", "--json")
    assert (code, said) == (0, "")
    told = json.loads(out)
    assert (told["a"], told["b"]) == ("main", "sydney")
    assert len(told["pairs"]["download"]) == 4
    assert told["ratios"]["download"]["median"] > 1.25
    runs = {run.configuration: run for run in SpeedTestRun.objects.all()}
    assert {run.mode for run in runs.values()} == {"compare"}
    assert runs["sydney"].figures["download"]["mbps"] > runs["main"].figures["download"]["mbps"]
    assert all(left(site, run) == [] for run in runs.values())
    # In turn: not all of one, then all of the other.
    seen = [
        one.bucket
        for one in site.emulator.log
        if one.method == "GET" and "/seed-" in one.key and one.status == 200
    ]
    turns = [bucket for at, bucket in enumerate(seen) if at == 0 or bucket != seen[at - 1]]
    assert turns[-5:] == [MAIN, SYDNEY, MAIN, SYDNEY, MAIN]


def test_a_comparison_in_words(site: Site):
    code, out, _ = speedtest("--compare", "sydney", "main")
    assert code == 0
    assert out.startswith("Download: ")
    assert out.count(" pairs)") == len(out.splitlines())


def test_a_comparison_that_cannot_begin_keeps_neither_busy(site: Site):
    SpeedTestRun.objects.create(
        configuration="sydney", place="0" * 16, source="command", started_at=timezone.now(),
        seen_at=timezone.now(),
    )  # fmt: skip
    code, _, said = speedtest("--compare", "main", "sydney")
    assert code == 1
    assert "A test of “sydney” is running" in said
    assert SpeedTestRun.objects.get(configuration="main").state == "stopped"


def test_a_target_that_refuses_fails_the_comparison(site: Site):
    site.emulator.faults(SYDNEY, status=403, methods=["GET"], key="/seed-")
    code, _, said = speedtest("--compare", "main", "sydney")
    assert code == 1
    assert "“sydney”: " in said
    assert all(left(site, run) == [] for run in SpeedTestRun.objects.all())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--compare", "main", "main"], "two different names"),
        (["--compare", "main", "nowhere"], "There is no configuration “nowhere”"),
        (["main", "--compare", "main", "sydney"], "nothing else to test"),
        (["--compare", "main", "main (regional endpoint)"], "There is no configuration"),
    ],
)
def test_a_comparison_needs_two_targets(site: Site, arguments, words):
    code, _, said = speedtest(*arguments)
    assert code == 2
    assert words in said
