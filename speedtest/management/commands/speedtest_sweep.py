"""`manage.py speedtest_sweep`: clean up after tests whose page was closed without a word."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from preferences.snapshot import current_preferences
from speedtest.sweep import sweep


class Command(BaseCommand):
    """For cron, once a day: nothing is left even where nobody runs a test again."""

    help = (
        "Ends speed tests that were left behind and removes test objects older than an hour "
        "from every configuration's bucket. Touches only .speedtest/runs/. Exit code 1 when "
        "something could not be removed."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print a line for each test and each bucket."""
        failed = 0
        for status, sentence in sweep(current_preferences(), timezone.now()):
            failed += status == "fail"
            (self.stderr if status == "fail" else self.stdout).write(sentence)
        if failed:
            raise CommandError(f"{failed} of them could not be cleaned up; see above.")
