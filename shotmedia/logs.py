"""The site's log lines: JSON, one line an event."""

import json
import logging
from datetime import UTC, datetime

_encode = json.JSONEncoder(default=str, ensure_ascii=False).encode
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
        return _encode(event)
