"""/admin/speedtest: the page, and the steps that its script asks for."""

import json
import math
import re
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.http import (
    HttpRequest,
    HttpResponse,
    JsonResponse,
    RawPostDataException,
    StreamingHttpResponse,
)
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from preferences.addresses import client_address
from preferences.media_side import media_side
from preferences.snapshot import Preferences, current_preferences
from shotmedia.middleware import allow_hosts
from shotmedia.s3.config import BucketConfig, ConfigError
from shotmedia.s3.errors import CredentialsUnavailable, Unreachable
from shotmedia.s3.probe import CHECKS
from shotmedia.s3.probe_judgements import REGION_FACT, Finding
from shotmedia.s3.probe_record import redacted
from speedtest import replays, steps
from speedtest.access import Person, may_read, may_test
from speedtest.ending import current_plan as plan
from speedtest.ending import (
    end_left_behind,
    end_out_of_reach,
    end_run,
    running_of,
    target_of_run,
    tidy_if_ended,
    told_late,
)
from speedtest.figures import clean_figures, number_of, text_of
from speedtest.it_report import it_report
from speedtest.models import SpeedTestRun
from speedtest.plan import (
    egress_cost,
    most_bytes,
    most_seconds,
)
from speedtest.results import compared, finished
from speedtest.verdict import leading
from speedtest.words import file_times

HISTORY = 20
"""Results that the page lists; the page of results has all."""
ANSWERS = ("done", "stopped", "failed", "left")
BROWSER_CHECKS = ("context", "reach", "get", "put", "readback", "range", "multipart", "measure")
STATUSES = ("pass", "warn", "fail", "skip")

View = Callable[..., HttpResponse]


def for_admins(view: View) -> View:
    """Let staff in who may change Site Preferences; others get 403 (anonymous: log in first)."""

    why = "Speed tests are for admins who may change Site Preferences."
    return _for(view, may_test, why)


def for_readers(view: View) -> View:
    """Let in who may see results; others get 403 (anonymous: log in first)."""
    return _for(view, may_read, "Results of speed tests are for admins.")


def _for(view: View, allowed: Callable[[Person], bool], why: str) -> View:
    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not allowed(request.user):
            raise PermissionDenied(why)
        return view(request, *args, **kwargs)

    return never_cache(checked)


# --- The page -------------------------------------------------------------------------------


@for_admins
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The page. It may call the configurations' hosts, and no others."""
    preferences = current_preferences()
    options = [_option(preferences, config) for config in preferences.configurations.values()]
    # A result may be of a configuration without its endpoint, which is for comparisons only.
    chosen = request.GET.get("configuration", "").removesuffix(steps.REGIONAL)
    if chosen not in preferences.configurations:
        chosen = preferences.primary.name if preferences.primary else ""
    current = plan()
    data = {
        "start": reverse("speedtest:start"),
        "checks": [[check.name, check.title] for check in CHECKS],
        "hosts": {option["name"]: option["host"] for option in options},
    }
    runs = finished()[:HISTORY]
    context = {
        **admin.site.each_context(request),
        "title": "Speed test",
        "options": options,
        "chosen": chosen,
        "data": data,
        "history": [row(run) for run in runs],
        "modes": [mode_choice(current, mode) for mode in SpeedTestRun.Mode if mode != "compare"],
        "seed_bytes": current["seed_bytes"],
        "problems": preferences.problems,
    }
    response = render(request, "speedtest/page.html", context)
    return allow_hosts(response, [o["host"] for o in options if o["host"]], "connect-src")


def _option(preferences: Preferences, config: BucketConfig) -> dict[str, Any]:
    uses = []
    if preferences.primary and preferences.primary.name == config.name:
        uses.append("Storage Location")
    if preferences.replica and preferences.replica.name == config.name:
        uses.append("replica")
    try:
        host = config.public_endpoint().origin
    except ConfigError:
        host = ""
    return {
        "name": config.name,
        "uses": ", ".join(uses),
        "bucket": config.bucket,
        "region": config.region,
        "host": host,
    }


def mode_choice(current: dict[str, Any], mode: SpeedTestRun.Mode) -> dict[str, Any]:
    """What a mode moves, takes and costs at most, for the person who chooses it."""
    price = settings.SPEEDTEST_EGRESS_PRICE_PER_GB
    return {
        "name": mode.value,
        "label": mode.label,
        "bytes": most_bytes(current, mode),
        "seconds": most_seconds(current, mode),
        "cost": cost_text(egress_cost(current, mode, price)) if price else "",
    }


def cost_text(dollars: float) -> str:
    """Dollars for people: whole cents, rounded up, so that nobody pays more than was said."""
    return "less than $0.01" if dollars < 0.01 else f"${math.ceil(dollars * 100 - 1e-9) / 100:.2f}"


def row(run: SpeedTestRun) -> dict[str, Any]:
    """One line of the history, as plain values for the template and for JSON."""
    figures = run.figures
    return {
        "id": str(run.pk),
        "when": timezone.localtime(run.started_at).strftime("%Y-%m-%d %H:%M"),
        "iso": run.started_at.isoformat(),
        "configuration": run.configuration,
        "who": run.who,
        "address": run.address,
        "url": reverse("speedtest:result", args=[run.pk]),
        "status": run.verdict_status,
        "verdict": run.verdict,
        "download": _mbps(figures.get("download")),
        "upload": _mbps(figures.get("upload")),
        "latency": _ms(figures.get("idle_median_ms")),
    }


def _mbps(direction: dict[str, Any] | None) -> str:
    rate = (direction or {}).get("mbps")
    if rate is None:
        return "–"
    return f"{rate:.0f} Mbit/s" if rate >= 100 else f"{rate:.1f} Mbit/s"


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f} ms"


# --- Steps ----------------------------------------------------------------------------------


def json_body(request: HttpRequest) -> dict[str, Any]:
    """The JSON of a request; a beacon can only send it as a form's field "result"."""
    try:
        text = request.POST.get("result") or request.body.decode("utf-8", "replace") or "{}"
        value = json.loads(text)
    except (ValueError, RecursionError, RawPostDataException):
        # The last: a form with parts, and none of them is the field.
        return {}
    return value if isinstance(value, dict) else {}


def problem(message: str, status: int = 400, **more: Any) -> JsonResponse:
    return JsonResponse({"message": message, **more}, status=status)


def origin_of(request: HttpRequest) -> str:
    """This site as the browser sees it: Django has checked a POST's Origin against the site."""
    return request.headers.get("Origin") or f"{request.scheme}://{request.get_host()}"


@for_admins
@require_POST
def start(request: HttpRequest) -> JsonResponse:
    """Begin a test: {"configuration", "mode", "end": id of a test to end first}."""
    body = json_body(request)
    name = body.get("configuration")
    target = steps.target_of(current_preferences(), name) if isinstance(name, str) else None
    if target is None:
        return problem(f"There is no configuration “{name}” in Site Preferences. Reload the page.")
    if body.get("mode") not in SpeedTestRun.Mode.values:
        return problem("“mode” must be quick, standard or thorough.")
    preferences, now = current_preferences(), timezone.now()
    end_left_behind(preferences, now)
    running = running_of(request.user, name, body.get("end"), preferences, now)
    if running is not None:
        by_server = running.source == SpeedTestRun.Source.SERVER
        where = "from this server" if by_server else "perhaps in another tab"
        return problem(
            f"You have a test of “{name}” running since "
            f"{timezone.localtime(running.started_at):%H:%M:%S}, {where}.",
            409,
            running=str(running.pk),
        )
    try:
        with transaction.atomic():
            run = SpeedTestRun.objects.create(
                user=request.user,
                configuration=name,
                place=target.config.fingerprint,
                bucket=target.config.bucket,
                region=target.config.region,
                mode=body["mode"],
                started_at=timezone.now(),
                address=client_address(request),
                user_agent=request.headers.get("User-Agent", "")[:400],
            )
    except IntegrityError:
        return problem(f"A test of “{name}” has just been started in another tab.", 409)
    steps_urls = {
        step: reverse(f"speedtest:{step}", args=[run.pk])
        for step in ("server", "prepare", "replay", "complete", "join", "finish")
    }
    return JsonResponse({"run": str(run.pk), "urls": steps_urls, "plan": plan(run.mode)})


def _own(request: HttpRequest, run_id: UUID) -> tuple[SpeedTestRun, steps.Target | None]:
    """A person's own test in a browser, and its target (None when the configuration is gone)."""
    run = get_object_or_404(
        SpeedTestRun, pk=run_id, user=request.user, source=SpeedTestRun.Source.BROWSER
    )
    return run, target_of_run(run, current_preferences())


CHANGED = "The configuration was changed while the test ran. Reload the page and start again."
OVER = "This test was ended meanwhile."


def step(view: Callable[[HttpRequest, SpeedTestRun, steps.Target], HttpResponse]) -> View:
    """Hand a person's running test and its target to a step of it; S3's refusals become JSON."""

    @for_admins
    @require_POST
    @wraps(view)
    def checked(request: HttpRequest, run_id: UUID) -> HttpResponse:
        run, target = _own(request, run_id)
        if run.state != SpeedTestRun.State.RUNNING:
            return problem(OVER, 409)
        if target is None:
            return problem(CHANGED, 409)
        try:
            return view(request, run, target)
        except (CredentialsUnavailable, Unreachable) as error:
            return problem(error.message, 502)

    return checked


def json_lines(events: Iterator[dict[str, Any]]) -> StreamingHttpResponse:
    """JSON lines, each sent when it is known."""
    response = StreamingHttpResponse(
        (json.dumps(event) + "\n" for event in events), content_type="application/x-ndjson"
    )
    # nginx would collect the lines otherwise.
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _actions(run: SpeedTestRun, finding: Finding) -> list[tuple[str, str]]:
    """Links (text, address) to a remedy that is filled in, and not saved, in Site Preferences."""
    region = dict(finding.facts).get(REGION_FACT)
    if not region:
        return []
    query = urlencode({"configuration": run.configuration, "use_region": region})
    page = reverse("admin:preferences_sitepreferences_change", args=["1"])
    return [(f"Use {region} in Site Preferences", f"{page}?{query}")]


@step
def server_checks(request: HttpRequest, run: SpeedTestRun, target: steps.Target) -> HttpResponse:
    """Run the server's checks and send each finding as it comes."""
    origin, current = origin_of(request), plan()

    def events() -> Iterator[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        try:
            for finding in steps.server_findings(target, run.path, origin, current):
                found.append(finding.as_dict() | {"actions": _actions(run, finding)})
                yield found[-1]
        finally:
            SpeedTestRun.objects.filter(pk=run.pk).update(server_findings=found)

    return json_lines(events())


@step
def prepare(request: HttpRequest, run: SpeedTestRun, target: steps.Target) -> HttpResponse:
    """Sign the links of a test and make its objects: progress lines, then the links."""
    measure, current = run.mode != SpeedTestRun.Mode.QUICK, plan(run.mode)
    origin = origin_of(request)

    def events() -> Iterator[dict[str, Any]]:
        try:
            yield from steps.prepare(target, run.path, current, measure=measure, origin=origin)
        except (CredentialsUnavailable, Unreachable) as error:
            yield {"problem": f"The site cannot sign links: {error.message}"}
        finally:
            # A page that was told to stop does not wait for this.
            tidy_if_ended(run, target)

    return json_lines(events())


@step
def replay(request: HttpRequest, run: SpeedTestRun, target: steps.Target) -> JsonResponse:
    """Show what the browser may not see: {"what", "said": S3's refusal if it was readable}.

    what: a name in REPLAYS, answered with a finding; or "reach", with this server's view of the
    host.
    """
    body = json_body(request)
    what = body.get("what")
    if what == "reach":
        return JsonResponse(replays.view_of_host(target))
    if what not in replays.NAMES:
        return problem(f"“what” must be reach or one of {', '.join(replays.REPLAYS)}.")
    return JsonResponse(replayed(request, run, target, body).as_dict())


def replayed(
    request: HttpRequest, run: SpeedTestRun, target: steps.Target, body: dict[str, Any]
) -> Finding:
    """What S3 answers when the server repeats the request `body["what"]` of the browser.

    `body["said"]` is S3's refusal if it was readable. Nothing is left of it when the test was ended
    meanwhile.
    """
    try:
        return replays.replay(
            target,
            run.path,
            origin_of(request),
            body["what"],
            said=replays.said_by_s3(body.get("said")),
            address=f"{run.address}/{128 if ':' in run.address else 32}",
        )
    finally:
        tidy_if_ended(run, target)


@step
def complete(request: HttpRequest, run: SpeedTestRun, target: steps.Target) -> JsonResponse:
    """Complete the multipart upload of the browser's check: {"upload_id", "etag"}."""
    body = json_body(request)
    upload_id, etag = body.get("upload_id"), body.get("etag")
    if not is_upload_id(upload_id):
        return problem("“upload_id” is missing.")
    if not is_etag(etag):
        return problem("“etag” must be an ETag as S3 gave it.")
    return JsonResponse(steps.complete_part(target, run.path, upload_id, etag).as_dict())


@step
def join(request: HttpRequest, run: SpeedTestRun, target: steps.Target) -> JsonResponse:
    """Complete the measured multipart upload: {"upload_id", "etags": one for each part}."""
    body = json_body(request)
    upload_id, etags = body.get("upload_id"), body.get("etags")
    if not is_upload_id(upload_id):
        return problem("“upload_id” is missing.")
    parts = len(plan(run.mode)["parts"])
    if not isinstance(etags, list) or len(etags) != parts or not all(map(is_etag, etags)):
        return problem(f"“etags” must be the {parts} ETags as S3 gave them.")
    return JsonResponse(steps.join_parts(target, run.path, upload_id, etags).as_dict())


def is_upload_id(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"[!-%'-;=?-~]{1,1024}", value))


def is_etag(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r'"?[0-9A-Za-z-]{1,80}"?', value))


@for_admins
@require_POST
def finish(request: HttpRequest, run_id: UUID) -> JsonResponse:
    """End a test: {"state", "findings", "figures"}. Removes its objects, and stores the result.

    Once more asked, because the answer was lost, it answers the same.
    """
    run, target = _own(request, run_id)
    body = json_body(request)
    state = body.get("state") if body.get("state") in ANSWERS else "failed"
    if run.state == SpeedTestRun.State.LEFT:
        return problem(told_late(run, target), 409)
    if run.state == SpeedTestRun.State.RUNNING and target is None:
        end_out_of_reach(run, timezone.now(), "failed")
        return problem(f"{run.verdict} Reload the page and start again.", 409)
    if run.state == SpeedTestRun.State.RUNNING:
        end_run(
            run,
            target,
            timezone.now(),
            state=state,
            findings=clean_findings(body.get("findings")),
            figures=clean_figures(body.get("figures")),
        )
    return JsonResponse(
        {
            "verdict": {"status": run.verdict_status, "text": run.verdict},
            "leading": leading(run.server_findings, run.browser_findings),
            "cleanup": run.cleanup,
            "figures": run.figures,
            "row": row(run),
            "afterwards": {
                "times": file_times(
                    run.figures, media_side().media_sizes(), settings.SPEEDTEST_REVIEW_MBPS
                ),
                "compared": compared(run),
                "page": reverse("speedtest:result", args=[run.pk]),
            },
            "report": reverse("speedtest:report", args=[run.pk]),
        }
    )


# --- What a browser sends is not trusted ------------------------------------------------------


def clean_findings(value: Any) -> list[dict[str, Any]]:
    """A browser's findings reduced to what findings are made of. Pure."""
    cleaned = []
    for finding in value if isinstance(value, list) else []:
        if not isinstance(finding, dict) or finding.get("check") not in BROWSER_CHECKS:
            continue
        if finding.get("status") not in STATUSES:
            continue
        texts = ("check", "title", "status", "call", "code", "request_id", "message", "fix")
        documents = finding.get("documents")
        documents = documents if isinstance(documents, list) else []
        cleaned.append(
            {name: text_of(finding.get(name), 2000) for name in texts}
            | {
                "ms": number_of(finding.get("ms")),
                "documents": [
                    [text_of(part, 8000) for part in document]
                    for document in documents[:4]
                    if isinstance(document, list) and len(document) == 2
                ],
                "requests": _clean_requests(finding.get("requests")),
            }
        )
    return cleaned[: len(BROWSER_CHECKS)]


def _clean_requests(value: Any) -> list[dict[str, Any]]:
    """The requests of a browser's finding, without signatures."""
    cleaned = []
    for one in value[:8] if isinstance(value, list) else []:
        if not isinstance(one, dict):
            continue
        headers = one.get("headers")
        headers = list(headers.items())[:8] if isinstance(headers, dict) else []
        status = number_of(one.get("status"))
        cleaned.append(
            {
                "by": "browser" if one.get("by") == "browser" else "server",
                "time": text_of(one.get("time"), 40),
                "method": text_of(one.get("method"), 10),
                "url": redacted(text_of(one.get("url"), 2000)),
                "headers": {text_of(name, 60): text_of(text, 300) for name, text in headers},
                "status": int(status or 0),
                "request_id": text_of(one.get("request_id"), 100),
                "id_2": text_of(one.get("id_2"), 200),
            }
        )
    return cleaned


# --- For IT ---------------------------------------------------------------------------------


@for_readers
@require_safe
def report(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """A test as one text for IT or AWS support; anybody's test, as the list of results."""
    run = get_object_or_404(SpeedTestRun.objects.select_related("user", "invitation"), pk=run_id)
    return HttpResponse(it_report(run), content_type="text/plain; charset=utf-8")
