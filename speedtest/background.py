"""Work that goes on after the answer, in a thread of this process."""

import threading
from collections.abc import Callable

from django.db import connection


def in_background(work: Callable[[], None]) -> None:
    """Run `work` in a thread; it has its own database connection, closed at its end.

    The thread dies with the process: whoever waits for it has to notice its silence.
    """

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    threading.Thread(target=run, name="speedtest", daemon=True).start()
