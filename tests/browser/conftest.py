"""Fixtures of the browser tests: Chromium, and pages of the real site with a person logged in."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect, sync_playwright

from preferences.models import User
from tests.functional.conftest import (  # noqa: F401
    CORS,
    MAIN,
    SYDNEY,
    Site,
    _fresh_memory,
    emulator,
    s3,
    site,
)

# Playwright's sync API runs an event loop in the thread that the tests use the database from.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

# Only a page that never gets there fails; a busy machine may take its time.
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)

CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium: the system's own when there is one, else Playwright's."""
    installed = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=installed, args=CHROMIUM_OPTIONS)
        yield running
        running.close()


@pytest.fixture(scope="session", autouse=True)
def _everything_answered(live_server) -> Iterator[None]:
    """Let the server's threads end before the database is dropped.

    Each closes its connection to it; PostgreSQL drops no database that somebody is connected to.
    The browser has hung up by then, but they may not have noticed yet.
    """
    yield
    until = time.monotonic() + 5
    for thread in threading.enumerate():
        if "process_request_thread" in thread.name:
            thread.join(max(0, until - time.monotonic()))


@pytest.fixture
def page_as(browser: Browser, live_server, site: Site) -> Iterator[Callable[..., Page]]:  # noqa: F811
    """Return a function that opens a page of the site with a person logged in.

    The buckets allow the site's origin. `page.problems` collects errors of scripts and of the
    content security policy; a test that leaves any there fails.
    """
    rules = [rule | {"AllowedOrigins": [live_server.url]} for rule in CORS]
    for bucket in (MAIN, SYDNEY):
        site.emulator.set_cors(bucket, rules)
    contexts, problems = [], []

    def open_page(user: User, **options: object) -> Page:
        context = browser.new_context(base_url=live_server.url, **options)
        contexts.append(context)
        client = Client()
        client.force_login(user)
        session = client.cookies[settings.SESSION_COOKIE_NAME].value
        context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
        )
        page = context.new_page()
        page.problems = problems
        page.on("pageerror", lambda error: problems.append(f"script: {error}"))
        page.on("console", lambda message: _note_violation(problems, message))
        page.set_default_timeout(PATIENCE_MS)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def press_enter(button: Locator) -> None:
    """Press Enter on a button once its page's script has enabled it."""
    expect(button).to_be_enabled()
    button.press("Enter")


def _note_violation(problems: list[str], message: ConsoleMessage) -> None:
    if message.type == "error" and "Content Security Policy" in message.text:
        problems.append(message.text)
