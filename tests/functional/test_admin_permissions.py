"""Who may do what at each address of the admin, and of preferences outside it.

The addresses come from the URLconf itself: one that is added without a line in the tables below
fails here.
"""

import json
from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.urls import URLResolver, get_resolver, reverse
from django.utils import timezone

from preferences.models import ApiToken, PreferenceRevision, SitePreferences, User
from preferences.tokens import new_secret
from speedtest.models import SpeedTestRun

PEOPLE = ("artist", "staff", "viewer", "changer", "root")
"""Not staff; staff without a permission; with all view permissions; with those of Media admins;
with all."""

PREFERENCES = {
    # Status of GET for: artist, staff, viewer, changer, root.
    "preferences_sitepreferences_changelist": (403, 403, 302, 302, 302),
    "preferences_sitepreferences_change": (403, 403, 200, 200, 200),
    "preferences_sitepreferences_history": (403, 403, 200, 200, 200),
    "preferences_sitepreferences_revision": (403, 403, 200, 200, 200),
    "preferences_sitepreferences_restore": (403, 403, 403, 200, 200),
    "preferences_sitepreferences_preview": (403, 403, 405, 405, 405),
    "preferences_sitepreferences_test": (403, 403, 403, 405, 405),
    "preferences_sitepreferences_add": (403, 403, 403, 403, 403),
    "preferences_sitepreferences_delete": (403, 403, 403, 403, 403),
}
GET = PREFERENCES | {
    "index": (403, 200, 200, 200, 200),
    "app_list": (403, 404, 200, 200, 200),
    "login": (403, 302, 302, 302, 302),
    "logout": (403, 405, 405, 405, 405),
    "password_change": (403, 200, 200, 200, 200),
    "password_change_done": (403, 200, 200, 200, 200),
    "autocomplete": (403, 403, 403, 403, 403),
    "jsi18n": (403, 200, 200, 200, 200),
    "view_on_site": (403, 302, 302, 302, 302),
    "preferences_user_changelist": (403, 403, 200, 403, 200),
    "preferences_user_add": (403, 403, 403, 403, 200),
    "preferences_user_change": (403, 403, 200, 403, 200),
    "preferences_user_history": (403, 403, 200, 403, 200),
    "preferences_user_delete": (403, 403, 403, 403, 200),
    "preferences_apitoken_changelist": (403, 403, 200, 403, 200),
    "preferences_apitoken_add": (403, 403, 403, 403, 200),
    "preferences_apitoken_change": (403, 403, 200, 403, 200),
    "preferences_apitoken_history": (403, 403, 200, 403, 200),
    "preferences_apitoken_delete": (403, 403, 403, 403, 403),
    "auth_user_password_change": (403, 403, 403, 403, 200),
    "auth_group_changelist": (403, 403, 200, 403, 200),
    "auth_group_add": (403, 403, 403, 403, 200),
    "auth_group_change": (403, 403, 200, 403, 200),
    "auth_group_history": (403, 403, 200, 403, 200),
    "auth_group_delete": (403, 403, 403, 403, 200),
    "media_mediafile_changelist": (403, 403, 200, 403, 200),
    "media_mediafile_add": (403, 403, 403, 403, 403),
    "media_mediafile_change": (403, 403, 200, 403, 200),
    "media_mediafile_history": (403, 403, 200, 403, 200),
    "media_mediafile_delete": (403, 403, 403, 403, 403),
    "speedtest_speedtestrun_changelist": (403, 403, 302, 302, 302),
    "speedtest_speedtestrun_add": (403, 403, 403, 403, 403),
    "speedtest_speedtestrun_change": (403, 403, 302, 302, 302),
    "speedtest_speedtestrun_history": (403, 403, 200, 200, 200),
    "speedtest_speedtestrun_delete": (403, 403, 403, 403, 200),
}
OUTSIDE = {
    "preferences:account": (200, 200, 200, 200, 200),
    "preferences:password": (200, 200, 200, 200, 200),
    "preferences:tokens": (200, 200, 200, 200, 200),
    "preferences:revoke-token": (405, 405, 405, 405, 405),
    "preferences:site": (403, 403, 302, 302, 302),
}


def names(patterns: list, prefix: str = "") -> Iterator[str]:
    """Every name in a URLconf, with its namespace; addresses without one only redirect."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{prefix}{pattern.namespace}:" if pattern.namespace else prefix
            yield from names(pattern.url_patterns, inner)
        elif pattern.name:
            yield prefix + pattern.name


def test_no_address_of_the_admin_is_without_a_line_here():
    assert set(names(admin.site.get_urls())) == set(GET)


def test_no_address_of_preferences_is_without_a_line_here():
    found = names(get_resolver().url_patterns)
    assert {name for name in found if name.startswith("preferences:")} == set(OUTSIDE)


@pytest.fixture
def world(site) -> dict[str, str]:
    """A site with one thing of each kind; returns the address of each name."""
    target = site.person(username="target")
    media_file = site.media_file()
    run = SpeedTestRun.objects.create(
        user=target, configuration="main", place="0" * 16, started_at=timezone.now(), state="done"
    )
    group = Group.objects.get(name="Media admins")
    token = ApiToken(user=target, name="farm")
    new_secret(token)
    token.save()
    objects = {
        "preferences_user": target.pk,
        "preferences_apitoken": token.pk,
        "auth_user": target.pk,
        "auth_group": group.pk,
        "media_mediafile": media_file.pk,
        "speedtest_speedtestrun": run.pk,
        "preferences_sitepreferences": 1,
    }
    arguments = {
        "app_list": ["preferences"],
        "view_on_site": [ContentType.objects.get_for_model(media_file).pk, media_file.pk],
        "preferences_sitepreferences_revision": [0],
        "preferences_sitepreferences_restore": [0],
    }
    found = {}
    for name in GET:
        model, _, page = name.rpartition("_")
        if page in ("change", "history", "delete") and model in objects:
            arguments.setdefault(name, [objects[model]])
        if name == "auth_user_password_change":
            arguments[name] = [target.pk]
        found[name] = reverse(f"admin:{name}", args=arguments.get(name))
    arguments["preferences:revoke-token"] = [token.pk]
    return found | {name: reverse(name, args=arguments.get(name)) for name in OUTSIDE}


@pytest.fixture
def people(db) -> dict[str, Client]:
    """The browsers of PEOPLE."""
    made = {
        name: User.objects.create_user(
            name, password="pw", is_staff=name != "artist", is_superuser=name == "root"
        )
        for name in PEOPLE
    }
    views = Permission.objects.filter(codename__startswith="view_")
    made["viewer"].user_permissions.set(views)
    changes = Permission.objects.filter(codename__endswith="_sitepreferences")
    made["changer"].user_permissions.set(changes)
    clients = {name: Client() for name in PEOPLE}
    for name, client in clients.items():
        client.force_login(made[name])
    return clients


def test_each_address_for_each_person(world, people):
    found = {
        name: tuple(people[who].get(world[name]).status_code for who in PEOPLE)
        for name in GET | OUTSIDE
    }
    assert found == GET | OUTSIDE


def test_the_anonymous_log_in_and_scripts_get_401(world):
    client = Client()
    for name in (GET | OUTSIDE).keys() - {"login", "logout"}:
        response = client.get(world[name], follow=True)
        assert response.redirect_chain[-1][0].startswith("/login/?next="), name
        assert response.status_code == 200, name
        for method in (client.get, client.post):
            answer = method(world[name], headers={"Accept": "application/json"})
            assert answer.status_code == 401, name
            assert answer.json()["error"] == "not-logged-in", name


def filled() -> dict[str, str]:
    """A form that would change something, were it taken."""
    return {
        "base_version": SitePreferences.objects.get().version,
        "s3_configuration": json.dumps({}),
        "s3_replication_delay": "4711",
        "username": "changed",
        "name": "changed",
        "post": "yes",
        "usable_password": "true",
        "password1": "Correct-horse-9",
        "password2": "Correct-horse-9",
        "try_typed": "1",
    }


def state() -> tuple:
    """What must not change."""
    return (
        list(SitePreferences.objects.values()),
        PreferenceRevision.objects.count(),
        list(User.objects.order_by("pk").values("username", "password", "use_s3_replication")),
        list(Group.objects.order_by("pk").values()),
        SpeedTestRun.objects.count(),
        list(ApiToken.objects.values()),
    )


MAY_POST = {"preferences_sitepreferences_preview", "index", "login", "logout"} | {
    # Their own password, and what Django answers to any method.
    "password_change",
    "password_change_done",
    "app_list",
    "autocomplete",
    "jsi18n",
    "view_on_site",
}
"""Addresses where a POST by who may change nothing is taken, and changes nothing of others."""


@pytest.mark.parametrize("who", ["artist", "staff", "viewer"])
def test_who_may_only_look_changes_nothing(world, people, who):
    before = state()
    for name in set(GET) - MAY_POST:
        status = people[who].post(world[name], filled()).status_code
        # Where there is nothing to change, POST is no method or leads to the page.
        assert status in (403, 405) or GET[name][PEOPLE.index(who)] in (200, 302), name
        assert state() == before, name


def test_nothing_is_taken_without_a_csrf_token(world, people):
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = people["root"].cookies
    for name in GET:
        assert strict.post(world[name], filled()).status_code == 403, name


@pytest.mark.parametrize("who", ["artist", "staff", "viewer"])
@pytest.mark.parametrize("page", ["change", "restore", "test"])
def test_changing_restoring_and_testing_need_the_permission(world, people, page, who):
    url = world[f"preferences_sitepreferences_{page}"]
    assert people[who].post(url, filled()).status_code == 403


@pytest.mark.parametrize(
    ("who", "status"), [("artist", 403), ("staff", 403), ("viewer", 200), ("changer", 200)]
)
def test_who_may_look_may_ask_which_bucket(world, people, who, status):
    url = world["preferences_sitepreferences_preview"]
    assert people[who].post(url, filled()).status_code == status


def test_who_may_change_changes(world, people):
    values = filled() | {"s3_configuration": SitePreferences.objects.get().s3_configuration}
    assert people["changer"].post(world["preferences_sitepreferences_change"], values).status_code \
        == 302  # fmt: skip
    assert SitePreferences.objects.get().s3_replication_delay == 4711
