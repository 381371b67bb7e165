"""/admin/speedtest/compare: two targets in turn, from the browser."""

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from preferences.addresses import client_address
from preferences.snapshot import Preferences, current_preferences
from shotmedia.middleware import allow_hosts
from shotmedia.s3.config import ConfigError
from speedtest import comparison, steps
from speedtest.ending import current_plan
from speedtest.figures import number_of
from speedtest.models import SpeedTestRun
from speedtest.views import for_admins, json_body, mode_choice, problem

DIRECTIONS = ("download", "upload")


@for_admins
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The page. It may call the targets' hosts, and no others."""
    preferences = current_preferences()
    targets = _targets(preferences)
    hosts = []
    for target in targets:
        try:
            hosts.append(target.config.public_endpoint().origin)
        except ConfigError:
            # Such a one is not reached; its test says why.
            continue
    used = (preferences.primary, preferences.replica)
    names = [config.name for config in used if config is not None]
    context = {
        **admin.site.each_context(request),
        "title": "Compare two configurations",
        "targets": [target.config for target in targets],
        "first": names[0] if names else "",
        "second": next((t.config.name for t in targets if t.config.name not in names[:1]), "")
        if len(names) < 2
        else names[1],
        "most": mode_choice(current_plan(), SpeedTestRun.Mode.COMPARE),
        "data": {
            "start": reverse("speedtest:start"),
            "judge": reverse("speedtest:compare_judge"),
            "order": comparison.ORDER,
        },
    }
    return allow_hosts(render(request, "speedtest/compare.html", context), hosts, "connect-src")


@for_admins
@require_POST
def judge(request: HttpRequest) -> JsonResponse:
    """Say what came out: {"a", "b", "rates": {direction: rates in order}}.

    Answers {"results": [{"direction", "text", "pairs"}], "suggestion": null or {"text", "url"}}.
    """
    body = json_body(request)
    preferences = current_preferences()
    names = [body.get("a"), body.get("b")]
    if not all(isinstance(n, str) and steps.target_of(preferences, n) for n in names):
        return problem("A configuration was renamed or removed meanwhile. Reload the page.")
    pairs = _pairs(body.get("rates"))
    results = []
    for direction in DIRECTIONS:
        ratio = comparison.ratio_of(pairs.get(direction, ()))
        if ratio is not None:
            text = comparison.sentence(*names, ratio)
            results.append({"direction": direction, "text": text, "pairs": pairs[direction]})
    if not results:
        return problem("No pair was measured, so there is nothing to compare.")
    downloads = pairs.get("download", [])
    found = _suggestion(preferences, names, downloads, client_address(request))
    return JsonResponse({"results": results, "suggestion": found})


def _pairs(rates: Any) -> dict[str, list[tuple[float, float]]]:
    """The pairs of each direction out of what a browser sent, which is not trusted."""
    found = {}
    for direction in DIRECTIONS:
        given = rates.get(direction) if isinstance(rates, Mapping) else None
        numbers = [number_of(rate) for rate in given] if isinstance(given, list) else []
        if all(number is not None for number in numbers):
            found[direction] = comparison.pairs_of(numbers)
    return found


def _suggestion(
    preferences: Preferences, names: list[str], pairs: list[tuple[float, float]], address: str
) -> dict[str, str] | None:
    """What to do where the replica is the faster one in all pairs; None when there is nothing."""
    primary, replica = preferences.primary, preferences.replica
    if primary is None or replica is None:
        return None
    bases = [name.removesuffix(steps.REGIONAL) for name in names]
    if bases == [replica.name, primary.name]:
        pairs = [(second, first) for first, second in pairs]
    elif bases != [primary.name, replica.name]:
        return None
    if not comparison.is_worth_it(comparison.ratio_of(pairs)):
        return None
    around = comparison.range_around(address)
    if not around:
        return None
    query = comparison.add_range_query(around)
    return {
        "text": f"The replica is at least {comparison.SUGGESTED:g} times faster in all pairs. "
        f"People whose Use S3 Replication is “auto” download from it at {around} when that "
        "range is among the IP Adresses for S3 replication.",
        "url": f"{reverse('admin:preferences_sitepreferences_change', args=[1])}?{query}",
    }


def _targets(preferences: Preferences) -> list[steps.Target]:
    """Every configuration, and those with a VPC endpoint without it too."""
    names = [
        name for base in preferences.configurations for name in (base, f"{base}{steps.REGIONAL}")
    ]
    return [target for name in names if (target := steps.target_of(preferences, name))]
