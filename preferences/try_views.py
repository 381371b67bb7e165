"""“Try before saving” on the page Site Preferences: answers about the values as typed.

Nothing is saved. A browser without JavaScript gets a page in a new tab; the page's script asks the
same addresses for JSON.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict

from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotAllowed,
    JsonResponse,
    StreamingHttpResponse,
)
from django.template.response import TemplateResponse

from preferences.addresses import client_address
from preferences.bucket_tests import run_checks, tested
from preferences.forms import SitePreferencesForm, options_for
from preferences.saving import current_row
from preferences.snapshot import parse
from preferences.trying import Typed, read_typed, which_bucket
from shotmedia.middleware import wants_json

WORDS = {
    "pass": ("✓", "passed"),
    "warn": ("⚠", "to look at"),
    "fail": ("✗", "failed"),
    "skip": ("–", "not run"),
}
"""Each status as a mark and in words."""


def preview(request: HttpRequest, *, model_admin: ModelAdmin) -> HttpResponse:
    """Answer “Which bucket?”; who may see the preferences may ask."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    answer = which_bucket(_typed(request), request.POST, request.user, client_address(request))
    if wants_json(request):
        return JsonResponse(asdict(answer))
    return _page(model_admin, request, "preview", "Which bucket?", answer=answer)


def test(request: HttpRequest, *, model_admin: ModelAdmin) -> HttpResponseBase:
    """Run “Test the buckets”; only for who may change the preferences.

    The server connects to what is typed, so nobody else may have it do that.
    """
    if not model_admin.has_change_permission(request):
        raise PermissionDenied
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    typed = _typed(request)
    origin = f"{request.scheme}://{request.get_host()}"
    if wants_json(request):
        response = StreamingHttpResponse(
            (json.dumps(event) + "\n" for event in _events(typed, origin)),
            content_type="application/x-ndjson",
        )
        # nginx would collect the lines otherwise.
        response.headers["X-Accel-Buffering"] = "no"
        return response
    tables = {config.name: [] for config in tested(typed.preferences)}
    failed = set()
    for name, finding in run_checks(typed.preferences, origin):
        if finding is not None:
            failed |= {name} if finding.status == "fail" else set()
            mark, words = WORDS[finding.status]
            tables[name].append({"finding": finding, "mark": mark, "words": words})
    return _page(
        model_admin,
        request,
        "test",
        "Test of the buckets",
        problems=_problems(typed),
        reached=tables.keys() - failed,
        tables=[
            {"config": typed.preferences.configurations[name], "rows": rows}
            for name, rows in tables.items()
        ],
    )


def _events(typed: Typed, origin: str) -> Iterator[dict]:
    """Yield what the page's script shows: first what will be tested, then each finding."""
    yield {
        "problems": _problems(typed),
        "configurations": [
            {"name": config.name, "bucket": config.bucket, "region": config.region}
            for config in tested(typed.preferences)
        ],
        "words": WORDS,
    }
    for name, finding in run_checks(typed.preferences, origin):
        yield {"configuration": name, "finding": finding.as_dict() if finding else None}


def _problems(typed: Typed) -> list[str]:
    problems, known = list(typed.problems), typed.preferences.configurations
    left_out = len(known) - len(tested(typed.preferences))
    if left_out:
        problems.append(
            f"{left_out} of {len(known)} configurations are not tested here: run the Speed Test "
            "for them."
        )
    if not known:
        problems.append("There is no configuration that can be tested.")
    return problems


def _typed(request: HttpRequest) -> Typed:
    row = current_row()
    if "try_typed" not in request.POST:
        # The page of who may only look has no fields to type into: the saved values are tried.
        preferences = parse(row)
        return Typed(preferences, preferences.problems)
    return read_typed(SitePreferencesForm(request.POST, **options_for(row)), row)


def _page(
    model_admin: ModelAdmin, request: HttpRequest, template: str, title: str, **context: object
) -> HttpResponse:
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(
        request,
        f"admin/preferences/sitepreferences/{template}.html",
        {
            **model_admin.admin_site.each_context(request),
            "title": title,
            "subtitle": None,
            "opts": model_admin.opts,
            **context,
        },
    )
