"""/api/preferences/: reading and writing Site Preferences by script."""

import json
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from preferences import api as api_module
from preferences import snapshot
from preferences.api import MOST_FAULTS, _no_doubles, openapi_text
from preferences.models import ApiToken, PreferenceRevision, SitePreferences, User
from preferences.saving import FIELDS, save_preferences
from preferences.tokens import new_secret
from preferences.validation import validate

URL = "/api/preferences/"
REVISIONS = f"{URL}revisions/"
MAIN = {"region": "us-east-1", "bucket": "studio-main", "prefix": "shotmedia"}
SYDNEY = {"region": "ap-southeast-2", "bucket": "studio-sydney", "prefix": "shotmedia"}
ALL = {
    "s3_configuration": {"main": MAIN, "sydney": SYDNEY},
    "s3_bucket_for_replication": "sydney",
    "s3_replication_delay": 900,
    "s3_replication_ip_addresses": "10.20.0.0/16",
    "storage_location": "main",
    "verify_replica_copies": True,
}


def person(name, *codenames, staff=True):
    made = User.objects.create_user(name, is_staff=staff)
    made.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    return made


def token_of(user):
    token = ApiToken(user=user, name="script")
    text = new_secret(token)
    token.save()
    return text


class Script:
    """A client that sends a token, and JSON."""

    def __init__(self, user=None):
        self.client = Client(enforce_csrf_checks=True)
        self.headers = {"HTTP_AUTHORIZATION": f"Bearer {token_of(user)}"} if user else {}

    def get(self, url=URL, **headers):
        return self.client.get(url, **self.headers, **headers)

    def head(self, url=URL, **headers):
        return self.client.head(url, **self.headers, **headers)

    def send(self, method, body, match='"0"', url=URL, **headers):
        if match is not None:
            headers["HTTP_IF_MATCH"] = match
        body = body if isinstance(body, str | bytes) else json.dumps(body)
        return getattr(self.client, method)(
            url, body, content_type="application/json", **self.headers, **headers
        )


@pytest.fixture
def rhea(db):
    return person("rhea", "change_sitepreferences")


@pytest.fixture
def script(rhea):
    return Script(rhea)


def errors_of(response):
    assert response.status_code == 422, response.content
    return response.json()["errors"]


# --- Reading --------------------------------------------------------------------------------------


def test_read_all(script, rhea):
    save_preferences({"s3_replication_delay": 90}, 0, rhea)
    response = script.get()
    assert response.status_code == 200
    assert response["ETag"] == '"1"'
    assert response["Cache-Control"] == "private, no-cache"
    assert list(response.json()) == list(FIELDS)
    assert response.json()["s3_replication_delay"] == 90
    assert response.json()["verify_replica_copies"] is True


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?names=storage_location", ["storage_location"]),
        ("?names=storage_location,s3_replication_delay,nonsense", [FIELDS[2], FIELDS[4]]),
        ("?names=storage_location&names=s3_replication_delay", [FIELDS[2], FIELDS[4]]),
        ("?names=nonsense", []),
        ("?names=", list(FIELDS)),
    ],
)
def test_read_some(script, query, names):
    assert list(script.get(URL + query).json()) == names


@pytest.mark.parametrize("etag", ['"0"', 'W/"0"', '"7", "0"'])
def test_not_modified(script, etag):
    response = script.get(HTTP_IF_NONE_MATCH=etag)
    assert (response.status_code, response.content, response["ETag"]) == (304, b"", '"0"')
    assert script.get(HTTP_IF_NONE_MATCH='"1"').status_code == 200


@pytest.mark.parametrize("url", [URL, f"{URL}?names=x", REVISIONS, f"{REVISIONS}0/"])
def test_head_is_answered_as_get_without_the_body(script, url):
    head, get = script.head(url), script.get(url)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers == get.headers


def test_a_session_reads_too(client, rhea):
    client.force_login(rhea)
    assert client.get(URL).status_code == 200


# --- Writing --------------------------------------------------------------------------------------


def test_replace_all_and_read_it_back(script, rhea):
    response = script.send(
        "put", ALL, url=f"{URL}?comment=Sydney goes live", REMOTE_ADDR="10.1.1.1"
    )
    assert response.status_code == 200, response.content
    assert response["ETag"] == '"1"'
    answer = response.json()
    assert answer["revision"] == 1
    assert "S3 Replication Delay: 60 → 900" in answer["changes"]
    revision = PreferenceRevision.objects.get(number=1)
    assert (revision.source, revision.user, revision.username) == ("api", rhea, "rhea")
    assert (revision.address, revision.comment) == ("10.1.1.1", "Sydney goes live")
    assert "60 → 900" in LogEntry.objects.get().get_change_message()
    read = script.get().json()
    assert read == answer["values"]
    assert json.loads(read["s3_configuration"]) == ALL["s3_configuration"]
    assert list(json.loads(read["s3_configuration"])) == ["main", "sydney"]
    # What was read can be sent back, and changes nothing.
    again = script.send("put", read, '"1"').json()
    assert (again["revision"], again["changes"]) == (1, [])
    assert snapshot.current_preferences().replica.bucket == "studio-sydney"


def test_the_object_and_the_text_are_the_same(script):
    script.send("put", ALL)
    text = json.dumps(ALL["s3_configuration"])
    response = script.send("patch", {"s3_configuration": text}, '"1"')
    assert response.json()["changes"] == []
    order = {"sydney": SYDNEY, "main": MAIN}
    script.send("patch", {"s3_configuration": order}, '"1"')
    assert list(json.loads(script.get().json()["s3_configuration"])) == ["sydney", "main"]


def test_change_some(script):
    script.send("put", ALL)
    response = script.send("patch", {"s3_replication_delay": 120}, '"1"')
    assert response.json()["changes"] == ["S3 Replication Delay: 900 → 120"]
    assert script.get().json() == response.json()["values"]
    assert response.json()["values"]["storage_location"] == "main"


def test_notices_and_warnings_are_in_the_answer(script):
    text = '{"main": {"region": "us-east-1", "bucket": "studio-main",}}'
    changed = {"s3_configuration": text, "s3_replication_ip_addresses": "10.20.0.1/16"}
    answer = script.send("patch", changed).json()
    assert [(n["field"], n["line"], n["code"], n["message"]) for n in answer["notices"]] == [
        (
            "s3_configuration",
            0,
            "notice",
            "S3 Configuration: a comma after the last entry was removed.",
        ),
        (
            "s3_replication_ip_addresses",
            1,
            "notice",
            "Line 1: 10.20.0.1/16 has host bits set; it was changed to 10.20.0.0/16.",
        ),
    ]
    assert [(w["field"], w["code"]) for w in answer["warnings"]] == [
        ("storage_location", "warning")
    ]
    assert answer["values"]["s3_replication_ip_addresses"] == "10.20.0.0/16"


def test_errors_are_those_of_the_page_with_line_and_column(script):
    given = {
        "s3_configuration": '{\n  "main": {"regoin": "us-east-1"}\n  "sydney": {}\n}',
        "s3_replication_ip_addresses": "10.0.0.0/8\noffice",
        "s3_replication_delay": -1,
    }
    expected = [
        {
            "field": error.field,
            "line": error.line,
            "column": error.column,
            "code": "invalid",
            "message": error.message,
        }
        for error in validate(given).errors
    ]
    assert {(e["field"], e["line"]) for e in expected} >= {
        ("s3_configuration", 2),
        ("s3_replication_ip_addresses", 2),
        ("s3_replication_delay", 0),
    }
    assert errors_of(script.send("patch", given)) == expected
    assert SitePreferences.objects.get().version == 0


@pytest.mark.parametrize(
    ("body", "field", "code", "message"),
    [
        ({"s3_replication_dealy": 5}, "s3_replication_dealy", "unknown", "Did you mean"),
        ({"Storage Location": "x"}, "Storage Location", "unknown", "is a label"),
        ({"s3_replication_delay": "60"}, "s3_replication_delay", "type", "valid integer"),
        ({"s3_replication_delay": True}, "s3_replication_delay", "type", "valid integer"),
        ({"s3_replication_delay": 1.5}, "s3_replication_delay", "type", "valid integer"),
        ({"verify_replica_copies": "on"}, "verify_replica_copies", "type", "valid boolean"),
        ({"storage_location": None}, "storage_location", "type", "valid string"),
        ({"s3_configuration": []}, "s3_configuration", "type", "valid"),
        ([], "", "type", "valid dictionary"),
        ("", "", "missing", "The body is missing"),
    ],
)
def test_names_and_types(script, body, field, code, message):
    errors = errors_of(script.send("patch", body))
    assert (errors[0]["field"], errors[0]["code"]) == (field, code)
    assert message in errors[0]["message"]


def test_put_needs_all(script):
    errors = errors_of(script.send("put", {"s3_replication_delay": 5}))
    assert {(e["field"], e["code"]) for e in errors} == {
        (field, "missing") for field in FIELDS if field != "s3_replication_delay"
    }


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "Send a JSON object: "),
        (b"\xff\xfe", "Send a JSON object: "),
        ('{"s3_replication_delay": NaN}', "NaN is not JSON."),
        ('{"s3_replication_delay": %s}' % ("9" * 5000), "Send a JSON object: "),
        ("[" * 100_000, "Send a JSON object: "),
        ('{"s3_configuration": {"main": {}, "main": {}}}', "“main” appears twice"),
    ],
)
def test_what_is_not_json(script, body, message):
    response = script.send("patch", body)
    assert (response.status_code, response.json()["error"]) == (400, "bad-json")
    assert message in response.json()["message"]


def test_a_body_full_of_names_is_not_compared_name_by_name():
    compared = []

    class Name(str):
        __hash__ = str.__hash__

        def __eq__(self, other):
            compared.append(other)
            return str.__eq__(self, other)

    pairs = [(Name(number), 0) for number in [*range(1000), 999]]
    with pytest.raises(ValueError, match="“999” appears twice"):
        _no_doubles(pairs)
    assert len(compared) < 5000


def test_of_a_body_full_of_wrong_names_some_are_told(script):
    answer = script.send("patch", {f"name{number}": 0 for number in range(1000)})
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == MOST_FAULTS


def test_too_big_a_body(script):
    response = script.send("patch", b" " * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1))
    assert (response.status_code, response.json()["error"]) == (413, "too-big")


@pytest.mark.parametrize("text", ["\x00", "\ud800", "a\x00b", "x" * 300_000])
@pytest.mark.parametrize(
    "field",
    ["s3_bucket_for_replication", "storage_location", "s3_replication_ip_addresses"],
)
def test_text_that_no_database_stores_is_an_error_of_the_field(script, text, field):
    assert errors_of(script.send("patch", {field: text}))[0]["field"] == field


@pytest.mark.parametrize("comment", ["%00", "a%0Ab", "x" * 501])
def test_a_comment_is_one_short_line(script, comment):
    url = f"{URL}?comment={comment}"
    response = script.send("patch", {"s3_replication_delay": 90}, url=url)
    assert response.status_code == 422
    assert "comment" in json.dumps(response.json())
    assert SitePreferences.objects.get().version == 0


# --- Which revision -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["put", "patch"])
def test_if_match_is_needed(script, method):
    response = script.send(method, ALL, match=None)
    assert (response.status_code, response.json()["error"]) == (428, "no-if-match")
    assert 'If-Match: "0"' in response.json()["message"]
    assert SitePreferences.objects.get().version == 0


@pytest.mark.parametrize("match", ['"1"', 'W/"0"', '"00"', "0"])
def test_another_revision_is_stale(script, match):
    response = script.send("patch", {"s3_replication_delay": 90}, match)
    # A bare 0 is no ETag at all.
    assert response.status_code == (428 if match == "0" else 412)
    assert SitePreferences.objects.get().version == 0


def test_who_is_stale_is_told_who_saved_and_when(script):
    save_preferences({"s3_replication_delay": 5}, 0, User.objects.create_user("kim"))
    when = SitePreferences.objects.get().changed_at
    response = script.send("patch", {"s3_replication_delay": 90}, '"0"')
    assert response.json()["message"] == (
        "Nothing was saved: your If-Match names another revision than 1, which kim saved at "
        f"{when:%H:%M} UTC. Read the preferences again."
    )


@pytest.mark.parametrize("match", ['"0"', '"7", "0"', "*"])
def test_the_revision_in_force_matches(script, match):
    assert script.send("patch", {"s3_replication_delay": 90}, match).status_code == 200


def test_a_save_in_between_is_a_conflict(script, rhea, monkeypatch):
    def validate_while_kim_saves(values):
        save_preferences({"s3_replication_delay": 5}, 0, User.objects.create_user("kim"))
        return validate(values)

    monkeypatch.setattr(api_module, "validate", validate_while_kim_saves)
    response = script.send("patch", {"s3_replication_delay": 90})
    assert (response.status_code, response.json()["error"]) == (409, "conflict")
    when = SitePreferences.objects.get().changed_at
    assert response.json()["message"] == (
        f"Nothing was saved: kim saved revision 1 at {when:%H:%M} UTC, while you did. Read the "
        "preferences again."
    )
    assert SitePreferences.objects.get().s3_replication_delay == 5


# --- Fields that the environment sets -------------------------------------------------------------


LOCKED = {
    "field": "s3_replication_delay",
    "message": "Set by the environment variable MEDIA_PREF_S3_REPLICATION_DELAY. Change it there "
    "and restart.",
}


@pytest.fixture
def locked(settings):
    settings.PREFERENCE_LOCKS = {"s3_replication_delay": "77"}


def test_reading_shows_and_names_what_the_environment_sets(script, locked):
    response = script.get()
    assert response.json()["s3_replication_delay"] == 77
    assert response["X-Locked-Preferences"] == "s3_replication_delay"
    assert response["ETag"] == '"1"'


def test_replacing_all_skips_it_and_says_so(script, locked):
    etag = script.get()["ETag"]
    response = script.send("put", ALL, etag)
    assert response["X-Locked-Preferences"] == "s3_replication_delay"
    assert response.json()["skipped"] == [LOCKED]
    assert response.json()["values"]["s3_replication_delay"] == 77
    assert response.json()["values"]["storage_location"] == "main"
    again = script.send("put", script.get().json(), response["ETag"])
    assert (again.json()["skipped"], again.json()["changes"]) == ([], [])


def test_changing_it_is_an_error(script, locked):
    changes = {"s3_replication_delay": 90, "storage_location": ""}
    [error] = errors_of(script.send("patch", changes, script.get()["ETag"]))
    assert error == LOCKED | {"code": "locked", "line": 0, "column": 0}
    assert script.get()["ETag"] == '"1"'


# --- Revisions ------------------------------------------------------------------------------------


def test_revisions(script, rhea):
    script.send("patch", {"s3_replication_delay": 90}, url=f"{URL}?comment=slower")
    script.send("patch", {"s3_replication_delay": 91}, '"1"')
    listed = script.get(REVISIONS).json()
    assert [revision["number"] for revision in listed] == [2, 1, 0]
    assert (listed[1]["username"], listed[1]["source"]) == ("rhea", "api")
    assert listed[1]["comment"] == "slower"
    assert [r["number"] for r in script.get(f"{REVISIONS}?before=2&limit=1").json()] == [1]
    one = script.get(f"{REVISIONS}1/").json()
    assert one["values"]["s3_replication_delay"] == 90
    assert script.get(f"{REVISIONS}9/").json()["error"] == "not-found"
    assert script.get(f"{REVISIONS}{10**20}/").status_code == 422
    assert script.get(f"{REVISIONS}?before=x").json()["errors"][0]["field"] == "before"


def test_revisions_cannot_be_changed(script):
    for method in ("put", "patch", "delete", "post"):
        assert getattr(script.client, method)(f"{REVISIONS}0/", **script.headers).status_code == 405


# --- Who may --------------------------------------------------------------------------------------

ADDRESSES = [
    ("get", URL),
    ("get", REVISIONS),
    ("get", f"{REVISIONS}0/"),
    ("put", URL),
    ("patch", URL),
]


def ask(script, method, url):
    if method == "get":
        return script.get(url)
    return script.send(method, ALL if method == "put" else {"s3_replication_delay": 90}, url=url)


@pytest.mark.parametrize(("method", "url"), [*ADDRESSES, ("get", "/api/openapi.json")])
def test_anonymous_gets_401_json(db, method, url):
    response = ask(Script(), method, url)
    assert (response.status_code, response.json()["error"]) == (401, "not-logged-in")
    assert response["WWW-Authenticate"] == 'Bearer realm="Shotmedia"'
    assert SitePreferences.objects.get().version == 0


@pytest.mark.parametrize(("method", "url"), ADDRESSES)
def test_each_address_needs_its_permission(db, method, url):
    people = {
        "artist": person("artist", staff=False),
        "staff": person("staff"),
        "not staff": person("former", "change_sitepreferences", staff=False),
        "viewer": person("viewer", "view_sitepreferences"),
        "changer": person("changer", "change_sitepreferences"),
    }
    answers = {name: ask(Script(user), method, url) for name, user in people.items()}
    expected = dict.fromkeys(people, 403) | {"changer": 200}
    if method == "get":
        expected["viewer"] = 200
    assert {name: answer.status_code for name, answer in answers.items()} == expected
    assert answers["artist"].json()["error"] == "not-allowed"


def test_a_session_writes_with_its_csrf_token_only(rhea):
    script = Script()
    script.client.force_login(rhea)
    change = {"s3_replication_delay": 90}
    response = script.send("patch", change)
    assert (response.status_code, response.json()["error"]) == (403, "no-csrf-token")
    assert SitePreferences.objects.get().version == 0
    script.client.get("/account/")
    csrf = script.client.cookies["csrftoken"].value
    assert script.send("patch", change, HTTP_X_CSRFTOKEN=csrf).status_code == 200


# --- Cost -----------------------------------------------------------------------------------------


def test_reading_costs_one_indexed_read_besides_who_asks(db):
    admin = User.objects.create_superuser("admin")
    script = Script(admin)
    script.get()
    with CaptureQueriesContext(connection) as captured:
        assert script.get().status_code == 200
    tables = ["apitoken", "sitepreferences"]
    assert [next(t for t in tables if t in q["sql"]) for q in captured] == tables


# --- The document ---------------------------------------------------------------------------------


def test_the_document_is_served_and_checked_in(script):
    served = script.get("/api/openapi.json")
    assert served.status_code == 200
    assert served.json() == json.loads(openapi_text())
    kept = (Path(settings.BASE_DIR) / "docs/openapi.json").read_text(encoding="utf-8")
    assert kept == openapi_text(), (
        'docs/openapi.json is not up to date: python manage.py shell -v0 -c "from preferences.api '
        "import openapi_text; print(openapi_text(), end='')\" > docs/openapi.json"
    )


def test_the_document_names_both_ways_to_log_in(script):
    schemes = script.get("/api/openapi.json").json()["components"]["securitySchemes"]
    assert schemes["Token"]["scheme"] == "bearer"
    assert schemes["SessionAuth"] == {"type": "apiKey", "in": "cookie", "name": "sessionid"}
