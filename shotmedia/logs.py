"""The site's log lines: JSON, one line an event."""

import json
import logging
import re
from datetime import UTC, datetime

_encode = json.JSONEncoder(default=str, ensure_ascii=False).encode
# The address of a speed test by link: whoever reads its signature could test.
_LINK = "/speedtest/t/"
_SIGNATURE = re.compile(rf"({_LINK}[^./\s\"]*\.)[\w-]+")
_ORDINARY = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "request"}


class JsonFormatter(logging.Formatter):
    """One JSON object a record: time, level, logger, message, and whatever `extra` gave.

    Each download writes a line, so this is part of the hot path.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; values that JSON does not know are written as their text."""
        event = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in vars(record).items():
            if name not in _ORDINARY:
                event[name] = value
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        line = _encode(event)
        return _SIGNATURE.sub(r"\1…", line) if _LINK in line else line


def log_event(logger: logging.Logger, message: str, **fields: object) -> None:
    """Log what happens often, at INFO; `fields` are in the line as `extra` is.

    The same as `logger.info`, less the search for file, line and function, which are not in the
    line and take a part of the time that the rest takes.
    """
    if not logger.isEnabledFor(logging.INFO):
        return
    make = logging.getLogRecordFactory()
    nowhere = ("(unknown file)", 0)
    record = make(logger.name, logging.INFO, *nowhere, message, (), None, "(unknown function)")
    vars(record).update(fields)
    logger.handle(record)
