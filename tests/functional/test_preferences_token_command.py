"""`manage.py token`."""

import json
import re
import subprocess
import sys

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from preferences.models import ApiToken, User
from preferences.tokens import authenticate


@pytest.fixture
def rhea(db):
    return User.objects.create_user("rhea")


def token(capsys, *arguments):
    call_command("token", *arguments)
    return capsys.readouterr()


def test_create_prints_the_token_once_and_nothing_else_on_stdout(rhea, capsys):
    said = token(capsys, "create", "rhea", "render farm", "--address", "10.20.0.0/16")
    assert re.fullmatch(r"shot_[0-9a-f]{16}_[0-9a-f]{64}\n", said.out)
    assert said.err == "This is the only time the token is shown.\n"
    made = ApiToken.objects.get()
    assert (made.user, made.created_by, made.addresses) == (rhea, None, "10.20.0.0/16")
    assert round((made.expires_at - made.created).total_seconds() / 86400) == 365
    assert authenticate(said.out.strip(), "10.20.1.7", made.created.timestamp()) == rhea
    assert said.out.strip() not in token(capsys, "list").out


def test_never_expires_and_days(rhea, capsys):
    token(capsys, "create", "rhea", "one", "--never-expires")
    token(capsys, "create", "rhea", "two", "--days", "7")
    two, one = ApiToken.objects.all()
    assert one.expires_at is None
    assert round((two.expires_at - two.created).total_seconds() / 86400) == 7


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["create", "nobody", "x"], "There is no user named “nobody”."),
        (["create", "gone", "x"], "gone may not log in, so a token would open nothing."),
        (["create", "rhea", "x", "--days", "0"], "days: Ensure this value is greater"),
        (["create", "rhea", "x", "--address", "office"], "“office” is not an IP address"),
        (["create", "rhea", "taken"], "name: rhea has a token of this name."),
        (["list", "--user", "nobody"], "There is no user named “nobody”."),
        (["revoke", "shot_0000000000000000"], "There is no such token"),
    ],
)
def test_what_is_refused_says_why(rhea, capsys, arguments, sentence):
    User.objects.create_user("gone", is_active=False)
    token(capsys, "create", "rhea", "taken")
    with pytest.raises(CommandError) as raised:
        token(capsys, *arguments)
    assert sentence in str(raised.value)
    assert raised.value.returncode == 1
    assert ApiToken.objects.count() == 1


def test_list_and_revoke(rhea, capsys):
    text = token(capsys, "create", "rhea", "render farm").out.strip()
    User.objects.create_user("kim")
    token(capsys, "create", "kim", "other")
    key = text.rpartition("_")[0]
    said = token(capsys, "list", "--user", "rhea").out
    assert re.fullmatch(
        rf"{key}  active   rhea  “render farm”  expires \S+  last used never\n", said
    )
    # The whole token as found in a log, say, will do.
    assert token(capsys, "revoke", text).out == f"render farm ({key}_…) was revoked.\n"
    assert "had been revoked before" in token(capsys, "revoke", key).out
    rows = json.loads(token(capsys, "list", "--json").out)
    assert [(row["user"], row["state"]) for row in rows] == [
        ("kim", "active"),
        ("rhea", "revoked"),
    ]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["list"], 0),
        (["create", "nobody", "x"], 1),
        (["create"], 2),
        (["forget"], 2),
        ([], 2),
        (["create", "rhea", "x", "--days", "7", "--never-expires"], 2),
    ],
)
def test_exit_codes(tmp_path, arguments, code):
    """As a program, on a database of its own."""
    import os

    env = os.environ | {
        "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    command = [sys.executable, "manage.py"]
    if code != 2:
        migrate = [*command, "migrate", "-v0"]
        subprocess.run(migrate, env=env, cwd=settings.BASE_DIR, check=True)
    done = subprocess.run(
        [*command, "token", *arguments],
        env=env,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
