"""Log lines are JSON, whatever is in them."""

import json
import logging
import sys

from shotmedia.logs import JsonFormatter, log_event


def line(**record):
    return json.loads(JsonFormatter().format(logging.makeLogRecord(record)))


def test_a_line_says_when_how_bad_who_what_and_the_extras():
    event = line(
        created=1795460559.25,
        levelname="INFO",
        name="media.downloads",
        msg="%s done",
        args=("download",),
        reason="ready",
        media_file=42,
    )
    assert event == {
        "time": "2026-11-23T19:02:39.250+00:00",
        "level": "INFO",
        "logger": "media.downloads",
        "message": "download done",
        "reason": "ready",
        "media_file": 42,
    }


def test_a_line_stays_one_line_and_keeps_any_text():
    text = JsonFormatter().format(logging.makeLogRecord({"msg": "a\nb ü 日本"}))
    assert "\n" not in text
    assert json.loads(text)["message"] == "a\nb ü 日本"


def test_an_exception_is_in_the_line():
    try:
        raise ValueError("broken")
    except ValueError:
        event = line(msg="failed", exc_info=sys.exc_info())
    assert event["exception"].endswith("ValueError: broken")


def test_the_link_of_a_speed_test_cannot_be_used_by_who_reads_the_log():
    path = "/speedtest/t/2155d767-4b49-4a0f-a6ce-78f623dc5bea.0Z9q6Cb-_2Vr/start"
    said = line(msg="%s: %s", args=("Conflict", path), where={"path": path})
    assert said["message"] == "Conflict: /speedtest/t/2155d767-4b49-4a0f-a6ce-78f623dc5bea.…/start"
    assert "0Z9q6Cb" not in str(said)


def test_values_that_json_does_not_know_are_written_as_text():
    assert line(msg="x", path={1})["path"] == "{1}"


def test_an_event_is_the_record_that_logging_makes_less_where_it_came_from(caplog):
    logger = logging.getLogger("shotmedia.tests")
    with caplog.at_level(logging.INFO, logger=logger.name):
        log_event(logger, "download", media_file=42, reason="ready")
        logger.info("download", extra={"media_file": 42, "reason": "ready"})
    ours, theirs = (vars(record) for record in caplog.records)
    assert ours.keys() == theirs.keys()
    assert 0 <= theirs["created"] - ours["created"] < 10
    assert 0 <= theirs["relativeCreated"] - ours["relativeCreated"] < 10_000
    differ = {name for name in ours if ours[name] != theirs[name]}
    assert differ <= {
        *("pathname", "filename", "module", "lineno", "funcName"),
        *("created", "msecs", "relativeCreated", "asctime"),
    }
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    assert lines[0] | {"time": ""} == lines[1] | {"time": ""}
    assert lines[0]["media_file"] == 42


def test_an_event_can_be_written_as_djangos_documentation_does(caplog):
    logger = logging.getLogger("shotmedia.tests")
    with caplog.at_level(logging.INFO, logger=logger.name):
        log_event(logger, "download")
    (event,) = caplog.records
    verbose = "{levelname} {asctime} {module} {process:d} {thread:d} {message}"
    assert logging.Formatter(verbose, style="{").format(event).endswith("download")
    place = "%(pathname)s:%(lineno)d %(funcName)-20s %(processName)-10s %(threadName)-10s"
    assert "MainThread" in logging.Formatter(place).format(event)


def test_an_event_is_made_by_the_record_factory_that_is_set(caplog):
    factory = logging.getLogRecordFactory()

    def with_site(*args, **kwargs):
        record = factory(*args, **kwargs)
        record.site = "sydney"
        return record

    logger = logging.getLogger("shotmedia.tests")
    logging.setLogRecordFactory(with_site)
    try:
        with caplog.at_level(logging.INFO, logger=logger.name):
            log_event(logger, "download")
    finally:
        logging.setLogRecordFactory(factory)
    assert caplog.records[0].site == "sydney"


def test_an_event_below_the_level_is_not_made(caplog):
    logger = logging.getLogger("shotmedia.tests")
    with caplog.at_level(logging.WARNING, logger=logger.name):
        log_event(logger, "download")
    assert not caplog.records
