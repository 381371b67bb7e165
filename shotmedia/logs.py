"""The site's log lines: JSON, one line an event."""

import json
import logging
import os
import threading
import time
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


def log_event(logger: logging.Logger, message: str, **fields: object) -> None:
    """Log what happens often, at INFO; `fields` are in the line as `extra` is.

    logging looks for the file, line and function of each record, and takes paths and process
    names apart, which takes as long as writing the line. Here they are said as by logging where it
    finds none.
    """
    if not logger.isEnabledFor(logging.INFO):
        return
    factory = logging.getLogRecordFactory()
    if factory is logging.LogRecord:
        now = time.time()
        record = logging.LogRecord.__new__(logging.LogRecord)
        vars(record).update(
            _BLANK,
            name=logger.name,
            msg=message,
            created=now,
            msecs=now % 1 * 1000 // 1,
            relativeCreated=_BLANK["relativeCreated"] + (now - _BLANK["created"]) * 1000,
            process=os.getpid(),
            thread=threading.get_ident(),
            threadName=threading.current_thread().name,
        )
    else:
        record = factory(logger.name, logging.INFO, *_NOWHERE, message, (), None, _NO_FUNCTION)
    vars(record).update(fields)
    logger.handle(record)


_NOWHERE, _NO_FUNCTION = ("(unknown file)", 0), "(unknown function)"
_BLANK = vars(logging.LogRecord("", logging.INFO, *_NOWHERE, "", (), None, _NO_FUNCTION))
