"""Links that let an artist test one configuration without a log-in: what they are good for."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.signing import BadSignature, Signer
from django.urls import reverse
from django.utils import timezone

from preferences.snapshot import Preferences
from speedtest.models import SpeedTestInvitation
from speedtest.words import file_time, mbps_text

ASK = "Ask whoever sent it to you for a new one."
_SALT = "speedtest.invitation"


def token_of(invitation: SpeedTestInvitation) -> str:
    """The signed id, for an address."""
    return _signer().sign(str(invitation.pk))


def path_of(invitation: SpeedTestInvitation) -> str:
    """The address of the page that the link opens."""
    return reverse("speedtest:invited", args=[token_of(invitation)])


def invitation_of(token: str) -> SpeedTestInvitation | None:
    """The invitation that `token` was signed for; None for any other text."""
    try:
        pk = UUID(_signer().unsign(token))
    except (BadSignature, ValueError):
        return None
    return SpeedTestInvitation.objects.select_related("made_by").filter(pk=pk).first()


def _signer() -> Signer:
    # A colon would be escaped in some chats, and cut the link.
    return Signer(salt=_SALT, sep=".")


def why_dead(
    invitation: SpeedTestInvitation, preferences: Preferences, now: datetime, used: int = 0
) -> str:
    """Why the link is good for nothing any more, as a sentence; "" while it is alive.

    used: tests that were begun with it. Its maker's rights are asked for anew each time: a link
    may not do what its maker may not.
    """
    maker = invitation.made_by
    config = preferences.configurations.get(invitation.configuration)
    if invitation.revoked_at is not None:
        return "This link was withdrawn."
    if invitation.expires_at <= now:
        until = timezone.localtime(invitation.expires_at)
        return f"This link was good until {until:%Y-%m-%d %H:%M} UTC."
    if maker is None or not (maker.is_active and maker.may_change_preferences()):
        return "Whoever made this link may not send tests any more."
    if config is None or config.fingerprint != invitation.place:
        return "What this link was made to test has been changed since."
    if used >= invitation.max_runs:
        return f"This link was good for {invitation.max_runs} tests, and all of them have been run."
    return ""


def verdict_by_link(
    browser: Iterable[Mapping[str, Any]], cleanup: Iterable[Mapping[str, Any]], state: str
) -> tuple[str, str]:
    """The status (pass, warn, fail) and the sentence for the admin's list. Pure.

    This server makes no checks of its own in such a test, so it is not spoken of.
    """
    browser, cleanup = list(browser), list(cleanup)
    failed = [one for one in browser if one["status"] == "fail"]
    left = [one for one in cleanup if one["status"] == "fail"]
    if failed:
        return "fail", f"From there something fails: {failed[0]['message']}"
    if state != "done":
        how = {"stopped": "was stopped before its end", "left": "was left: the page was closed"}
        return "warn", f"The test {how.get(state, 'could not be finished')}."
    if left:
        return "warn", f"From there everything works, but: {left[0]['message']}"
    if any(one["status"] == "warn" for one in [*browser, *cleanup]):
        return "warn", "From there everything works; something below should be looked at."
    return "pass", "From there everything works."


def plain_result(
    status: str, state: str, figures: Mapping[str, Any], review_mbps: float
) -> dict[str, Any]:
    """What the artist is told: {"status", "title", "sentences"}. Pure."""
    sentences = []
    for name, title in (("download", "Download"), ("upload", "Upload")):
        if rate := (figures.get(name) or {}).get("mbps"):
            time = file_time(2_000_000_000, figures, name)
            sentences.append(f"{title} {mbps_text(rate)}: a 2 GB plate takes {time}.")
    if rate := (figures.get("download") or {}).get("mbps"):
        count = int(rate // review_mbps) if review_mbps > 0 else 0
        if count:
            reviews = "one review" if count == 1 else f"{count} reviews"
            sentences.append(f"Enough for {reviews} in 1080p at once.")
    if (latency := figures.get("idle_median_ms")) is not None:
        sentences.append(f"An answer takes {latency:.0f} ms.")
    if state == "stopped":
        return {"status": "warn", "title": "The test was stopped.", "sentences": sentences}
    if status == "fail" or state != "done":
        title = "Not everything worked. The details are with whoever sent you the link."
        return {"status": "fail", "title": title, "sentences": sentences}
    title = "Done, thank you. The result is with whoever sent you the link."
    return {"status": "pass", "title": title, "sentences": sentences}
