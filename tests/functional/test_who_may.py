"""Who may reach each address of the site, with which method.

The addresses come from the URLconf: one that is added without a line in MAY fails here. Those of
the admin have a table of their own, in test_admin_permissions.
"""

import json
import re
from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import URLResolver, get_resolver
from django.utils import timezone

from media.models import Upload
from preferences.models import ApiToken, SitePreferences, User
from preferences.saving import values_of
from preferences.tokens import new_secret
from speedtest.invitations import token_of
from speedtest.models import ReplicationLag, SpeedTestRun
from tests.functional import test_admin_permissions
from tests.functional.test_speedtest_invitations import invite

people = test_admin_permissions.people
"""The browsers of an artist, of staff without a permission, and of three with some."""

ANYBODY = {"anonymous", "deactivated", "artist", "staff", "viewer", "changer", "root"}
PEOPLE = ANYBODY - {"anonymous", "deactivated"}
SEE = {"viewer", "changer", "root"}
CHANGE = {"changer", "root"}

RUN, LINK = "admin/speedtest/runs/<uuid:run_id>", "speedtest/t/<str:token>"
MAY = {
    "login/": {"GET": ANYBODY, "POST": ANYBODY},
    "readyz": {"GET": ANYBODY},
    "metrics": {"GET": ANYBODY},  # of the addresses in METRICS_ADDRESSES
    "api/": {"GET": PEOPLE},
    "api/openapi.json": {"GET": PEOPLE},
    "api/preferences/": {"GET": SEE, "PUT": CHANGE, "PATCH": CHANGE},
    "api/preferences/revisions/": {"GET": SEE},
    "api/preferences/revisions/<int:number>/": {"GET": SEE},
    "": {"GET": PEOPLE},
    "upload/": {"GET": PEOPLE},
    "media/uploads": {"POST": PEOPLE},
    "media/uploads/<uuid:upload_id>": {"DELETE": PEOPLE},
    "media/uploads/<uuid:upload_id>/parts": {"POST": PEOPLE},
    "media/uploads/<uuid:upload_id>/complete": {"POST": PEOPLE},
    "media/<int:media_id>/download": {"GET": PEOPLE},
    "media/<int:media_id>/source": {"GET": PEOPLE},
    "media/<int:pk>/": {"GET": PEOPLE},
    "account/": {"GET": PEOPLE, "POST": PEOPLE},
    "account/password/": {"GET": PEOPLE, "POST": PEOPLE},
    "account/tokens/": {"GET": PEOPLE, "POST": PEOPLE},
    "account/tokens/<int:token_id>/revoke": {"POST": PEOPLE},
    "^preferences/?$": {"GET": SEE},
    "^admin/speedtest/?$": {"GET": CHANGE},
    "admin/speedtest/compare": {"GET": CHANGE},
    "admin/speedtest/compare/judge": {"POST": CHANGE},
    "admin/speedtest/lag": {"GET": CHANGE},
    "admin/speedtest/lag/start": {"POST": CHANGE},
    "admin/speedtest/lag/<uuid:lag_id>/look": {"POST": CHANGE},
    "admin/speedtest/lag/<uuid:lag_id>/stop": {"POST": CHANGE},
    "admin/speedtest/server": {"GET": CHANGE},
    "admin/speedtest/server/start": {"POST": CHANGE},
    "admin/speedtest/server/<uuid:run_id>/look": {"GET": CHANGE},
    "admin/speedtest/server/<uuid:run_id>/stop": {"POST": CHANGE},
    "admin/speedtest/results/": {"GET": SEE},
    "admin/speedtest/results.csv": {"GET": SEE},
    "admin/speedtest/results.json": {"GET": SEE},
    "admin/speedtest/results/<uuid:run_id>/": {"GET": SEE},
    "admin/speedtest/runs": {"POST": CHANGE},
    f"{RUN}/server": {"POST": CHANGE},
    f"{RUN}/prepare": {"POST": CHANGE},
    f"{RUN}/replay": {"POST": CHANGE},
    f"{RUN}/complete": {"POST": CHANGE},
    f"{RUN}/join": {"POST": CHANGE},
    f"{RUN}/finish": {"POST": CHANGE},
    f"{RUN}/report.txt": {"GET": SEE},
    "admin/speedtest/invitations/": {"GET": CHANGE, "POST": CHANGE},
    "admin/speedtest/invitations/<uuid:invitation_id>/revoke": {"POST": CHANGE},
    # Whoever holds a link.
    LINK: {"GET": ANYBODY},
    f"{LINK}/start": {"POST": ANYBODY},
    f"{LINK}/<uuid:run_id>/prepare": {"POST": ANYBODY},
    f"{LINK}/<uuid:run_id>/replay": {"POST": ANYBODY},
    f"{LINK}/<uuid:run_id>/complete": {"POST": ANYBODY},
    f"{LINK}/<uuid:run_id>/join": {"POST": ANYBODY},
    f"{LINK}/<uuid:run_id>/finish": {"POST": ANYBODY},
    # The last: from then on they are logged out.
    "logout/": {"GET": PEOPLE, "POST": PEOPLE},
}
EACH = [(route, method) for route, methods in MAY.items() for method in methods]
PERSONAL = re.compile(":(upload_id|token_id|run_id)>")
"""What belongs to one person: nobody else's exists."""
SHARED = ("admin/speedtest/results/<uuid:run_id>/", f"{RUN}/report.txt")


def routes(patterns: list, prefix: str = "") -> Iterator[str]:
    """Every address in a URLconf but the admin's."""
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if not isinstance(pattern, URLResolver):
            yield route
        elif pattern.namespace != admin.site.name:
            yield from routes(pattern.url_patterns, route)


def test_no_address_is_without_a_line_here():
    assert set(routes(get_resolver().url_patterns)) == set(MAY)


@pytest.fixture
def address(site):
    """A site with one thing of each kind, all of root's; fills the arguments of an address in."""
    root = User.objects.create_superuser("owner", password="pw")
    now = timezone.now()
    token = ApiToken(user=root, name="farm")
    new_secret(token)
    token.save()
    run = {"user": root, "configuration": "main", "place": "0" * 16, "started_at": now}
    values = {
        "number": SitePreferences.objects.get().version,
        "media_id": site.media_file().pk,
        "upload_id": Upload.objects.create(
            user=root, name="a.mov", size=1, part_size=1, configuration="main", path="p"
        ).pk,
        "token_id": token.pk,
        "lag_id": ReplicationLag.objects.create(
            user=root, primary="main", replica="sydney", places="p", stored_at=now, delay=60
        ).pk,
        "run_id": SpeedTestRun.objects.create(state="done", **run).pk,
        "invitation_id": (invitation := invite(root)).pk,
        "token": token_of(invitation),
    }
    values["pk"] = values["media_id"]

    def fill(route: str) -> str:
        return "/" + re.sub(r"<\w+:(\w+)>", lambda found: str(values[found[1]]), route.strip("^?$"))

    return fill


@pytest.fixture
def browsers(people) -> dict[str, Client]:
    """The browsers of ANYBODY."""
    gone = Client()
    gone.force_login(User.objects.create_user("deactivated"))
    User.objects.filter(username="deactivated").update(is_active=False)
    return people | {"anonymous": Client(), "deactivated": gone}


def asked(client: Client, method: str, route: str, url: str, **headers: str):
    """The answer to a request whose body is well-formed, so that only who asks can be wrong."""
    if method == "GET":
        return client.get(url, headers=headers)
    body = {"numbers": [1], "parts": [{"number": 1, "etag": "e"}]}
    if route.startswith("api/"):
        body = values_of(SitePreferences.objects.get()) if method == "PUT" else {}
    return client.generic(method, url, json.dumps(body), "application/json", headers=headers)


def is_refused(answer) -> bool:
    """Whether somebody was not let in."""
    assert answer.status_code < 500
    to_log_in = answer.headers.get("Location", "").startswith("/login/?next=")
    return answer.status_code in (401, 403) or to_log_in


@pytest.mark.parametrize("who", sorted(ANYBODY))
def test_each_address_for_each_person(address, browsers, who):
    let_in = []
    for route, method in EACH:
        answer = asked(browsers[who], method, route, address(route))
        if not is_refused(answer):
            let_in.append((route, method))
            if PERSONAL.search(route) and route not in SHARED:
                assert answer.status_code == 404, route
    assert let_in == [(route, method) for route, method in EACH if who in MAY[route][method]]


@pytest.mark.parametrize("who", sorted(PEOPLE))
def test_a_token_opens_to_its_person_what_is_for_scripts(site, address, people, who):
    person = User.objects.get(username=who)
    token, client = {"Authorization": f"Bearer {site.token(person)}"}, Client()
    for route, method in EACH:
        answer = asked(client, method, route, address(route), **token)
        if route.startswith(("api/", "media/")):
            assert is_refused(answer) == (who not in MAY[route][method]), route
        else:
            assert answer.json()["error"] == "not-for-tokens", route
    User.objects.filter(pk=person.pk).update(is_active=False)
    for route, method in EACH:
        answer = asked(client, method, route, address(route), **token)
        assert (answer.status_code, answer.json()["error"]) == (401, "bad-token"), route


def test_nothing_is_taken_without_a_csrf_token(address, people):
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = people["root"].cookies
    for route, method in EACH:
        if method != "GET" and route != "login/":
            answer = asked(strict, method, route, address(route))
            assert (answer.status_code, answer.json()["error"]) == (403, "no-csrf-token"), route
