"""/speedtest/t/<token>/: the test for whoever holds a link, without a log-in and without rights.

Only the browser's part, and nothing is told that an artist has no use for: no buckets' documents,
request ids or policies. Those are kept with the result, for admins.
"""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from preferences.addresses import client_address
from preferences.snapshot import current_preferences
from shotmedia.middleware import allow_hosts
from shotmedia.s3.errors import CredentialsUnavailable, Unreachable
from speedtest import replays, steps
from speedtest.ending import current_plan as plan
from speedtest.ending import (
    end_left,
    end_left_behind,
    end_out_of_reach,
    end_run,
    target_of_run,
    tidy_if_ended,
    told_late,
)
from speedtest.figures import clean_figures
from speedtest.invitations import ASK, invitation_of, plain_result, verdict_by_link, why_dead
from speedtest.models import SpeedTestInvitation, SpeedTestRun
from speedtest.plan import most_bytes, most_seconds
from speedtest.views import (
    ANSWERS,
    OVER,
    clean_findings,
    is_etag,
    is_upload_id,
    json_body,
    json_lines,
    origin_of,
    problem,
    replayed,
)

MODE = SpeedTestRun.Mode.STANDARD
NOTED = "The site has noted why, for whoever sent you the link."

View = Callable[..., HttpResponse]


def for_link_holders(view: Callable[..., HttpResponse]) -> View:
    """Hand the invitation of a signed token to `view`; any other text is not found."""

    @wraps(view)
    def checked(request: HttpRequest, token: str, **kwargs: Any) -> HttpResponse:
        invitation = invitation_of(token)
        if invitation is None:
            raise Http404("There is no such link.")
        response = view(request, invitation, **kwargs)
        # The address is the key: it goes to no search engine and to no other site.
        response.headers["X-Robots-Tag"] = "noindex, nofollow"
        response.headers["Referrer-Policy"] = "same-origin"
        return response

    return login_not_required(never_cache(checked))


@for_link_holders
@require_safe
def page(request: HttpRequest, invitation: SpeedTestInvitation) -> HttpResponse:
    """One big Start, in plain words; or why the link is good for nothing any more."""
    preferences = current_preferences()
    # A test that is running may be ended from here, so it does not count as used up.
    used = invitation.runs.exclude(state="running").count()
    reason = why_dead(invitation, preferences, timezone.now(), used)
    if reason:
        context = {"reason": reason, "ask": ASK}
        return render(request, "speedtest/invited_dead.html", context, status=410)
    token = request.resolver_match.kwargs["token"]
    current = plan(MODE)
    context = {
        "invitation": invitation,
        "bytes": most_bytes(current, MODE),
        "seconds": most_seconds(current, MODE),
        "data": {"start": reverse("speedtest:invited_start", args=[token])},
    }
    response = render(request, "speedtest/invited.html", context)
    endpoint = preferences.configurations[invitation.configuration].public_endpoint()
    return allow_hosts(response, [endpoint.origin], "connect-src")


@for_link_holders
@require_POST
def start(request: HttpRequest, invitation: SpeedTestInvitation) -> JsonResponse:
    """Begin a test: {"end": id of this link's running test, to end it first}."""
    preferences, now = current_preferences(), timezone.now()
    end_left_behind(preferences, now)
    target = steps.target_of(preferences, invitation.configuration)
    running = invitation.runs.filter(state="running").first()
    reason = why_dead(invitation, preferences, now)
    if running is not None and target is not None and not reason:
        if json_body(request).get("end") != str(running.pk):
            return problem(
                "A test with this link is running already, perhaps in another tab.",
                409,
                running=str(running.pk),
            )
        end_left(running, preferences, now)
    try:
        with transaction.atomic():
            # Locked, so that two tabs do not both run the last test.
            locked = SpeedTestInvitation.objects.select_for_update().get(pk=invitation.pk)
            locked.made_by = invitation.made_by
            reason = why_dead(locked, preferences, now, locked.runs.count())
            if reason:
                return problem(f"{reason} {ASK}", 410)
            run = SpeedTestRun.objects.create(
                invitation=locked,
                user=request.user if request.user.is_authenticated else None,
                configuration=target.config.name,
                place=target.config.fingerprint,
                bucket=target.config.bucket,
                region=target.config.region,
                mode=MODE,
                started_at=now,
                address=client_address(request),
                user_agent=request.headers.get("User-Agent", "")[:400],
            )
    except IntegrityError:
        return problem("Another test is running already, perhaps in another tab.", 409)
    token = request.resolver_match.kwargs["token"]
    urls = {
        step: reverse(f"speedtest:invited_{step}", args=[token, run.pk])
        for step in ("prepare", "replay", "complete", "join", "finish")
    }
    return JsonResponse({"run": str(run.pk), "urls": urls, "plan": plan(MODE)})


# --- Steps ----------------------------------------------------------------------------------


def _own(invitation: SpeedTestInvitation, run_id: UUID) -> tuple[SpeedTestRun, steps.Target | None]:
    """A test with this link, and its target (None when it was changed meanwhile)."""
    run = get_object_or_404(SpeedTestRun, pk=run_id, invitation=invitation)
    return run, target_of_run(run, current_preferences())


def step(view: Callable[[HttpRequest, SpeedTestRun, steps.Target], HttpResponse]) -> View:
    """Hand the link's running test and its target to a step of it, while the link is alive."""

    @for_link_holders
    @require_POST
    @wraps(view)
    def checked(
        request: HttpRequest, invitation: SpeedTestInvitation, run_id: UUID
    ) -> HttpResponse:
        run, target = _own(invitation, run_id)
        if run.state != SpeedTestRun.State.RUNNING:
            return problem(OVER, 409)
        reason = why_dead(invitation, current_preferences(), timezone.now())
        if reason or target is None:
            return problem(f"{reason or 'The link was changed.'} {ASK}", 410)
        try:
            return view(request, run, target)
        except (CredentialsUnavailable, Unreachable):
            return problem("The site cannot reach its storage just now. Try again later.", 502)

    return checked


@step
def prepare(request: HttpRequest, run: SpeedTestRun, target: steps.Target) -> HttpResponse:
    """Sign the links of a test and make its objects: progress lines, then the links."""
    origin, current = origin_of(request), plan(MODE)

    def events() -> Iterator[dict[str, Any]]:
        try:
            for event in steps.prepare(target, run.path, current, measure=True, origin=origin):
                if "links" in event:
                    # Notes quote S3's refusals.
                    yield {"links": event["links"] | {"notes": []}}
                else:
                    yield {"progress": "Preparing the test."}
        except (CredentialsUnavailable, Unreachable):
            yield {"problem": "The site cannot prepare the test just now. Try again later."}
        finally:
            tidy_if_ended(run, target)

    return json_lines(events())


@step
def replay(request: HttpRequest, run: SpeedTestRun, target: steps.Target) -> JsonResponse:
    """Find out why a request failed, and keep it for admins: {"what", "said"} as for theirs."""
    body = json_body(request)
    if body.get("what") not in replays.NAMES:
        return problem("There is nothing to repeat.")
    finding = replayed(request, run, target, body)
    _keep(run, finding.as_dict())
    return JsonResponse({"status": finding.status, "message": NOTED})


@step
def complete(request: HttpRequest, run: SpeedTestRun, target: steps.Target) -> JsonResponse:
    """Complete the multipart upload of the browser's check: {"upload_id", "etag"}."""
    body = json_body(request)
    upload_id, etag = body.get("upload_id"), body.get("etag")
    if not (is_upload_id(upload_id) and is_etag(etag)):
        return problem("“upload_id” and “etag” must be as S3 gave them.")
    return _told(run, steps.complete_part(target, run.path, upload_id, etag).as_dict())


@step
def join(request: HttpRequest, run: SpeedTestRun, target: steps.Target) -> JsonResponse:
    """Complete the measured multipart upload: {"upload_id", "etags": one for each part}."""
    body = json_body(request)
    upload_id, etags = body.get("upload_id"), body.get("etags")
    parts = len(plan(MODE)["parts"])
    if not (is_upload_id(upload_id) and isinstance(etags, list) and len(etags) == parts):
        return problem(f"“upload_id” and {parts} “etags” must be as S3 gave them.")
    if not all(map(is_etag, etags)):
        return problem("“etags” must be as S3 gave them.")
    return _told(run, steps.join_parts(target, run.path, upload_id, etags).as_dict())


def _told(run: SpeedTestRun, finding: dict[str, Any]) -> JsonResponse:
    """A finding without what S3 said; a failed one is kept for admins."""
    if finding["status"] != "pass":
        _keep(run, finding)
    kept = {name: finding[name] for name in ("check", "status")}
    return JsonResponse(kept | {"message": NOTED if finding["status"] != "pass" else "Joined."})


def _keep(run: SpeedTestRun, finding: dict[str, Any]) -> None:
    run.server_findings = [*run.server_findings, finding][-20:]
    run.save(update_fields=["server_findings"])


@for_link_holders
@require_POST
def finish(request: HttpRequest, invitation: SpeedTestInvitation, run_id: UUID) -> JsonResponse:
    """End a test: {"state", "findings", "figures"}. Also when the link has died: it cleans up."""
    run, target = _own(invitation, run_id)
    body = json_body(request)
    state = body.get("state") if body.get("state") in ANSWERS else "failed"
    if run.state == SpeedTestRun.State.LEFT:
        # What could not be removed is for whoever made the link.
        told_late(run, target)
        return problem("This test was ended meanwhile: from another tab, or as it took too long.",
                       409)  # fmt: skip
    if run.state == SpeedTestRun.State.RUNNING and target is None:
        end_out_of_reach(run, timezone.now(), "failed")
        return problem(f"What this link was made to test has been changed. {ASK}", 409)
    if run.state == SpeedTestRun.State.RUNNING:
        findings, figures = clean_findings(body.get("findings")), clean_figures(body.get("figures"))
        end_run(run, target, timezone.now(), state=state, findings=findings, figures=figures)
        run.verdict_status, run.verdict = verdict_by_link(run.browser_findings, run.cleanup, state)
        run.save(update_fields=["verdict_status", "verdict"])
    browser_failed = any(one["status"] == "fail" for one in run.browser_findings)
    told = plain_result(
        "fail" if browser_failed else "pass",
        run.state,
        run.figures,
        settings.SPEEDTEST_REVIEW_MBPS,
    )
    return JsonResponse({"told": told})
