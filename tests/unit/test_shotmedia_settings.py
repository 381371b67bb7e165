"""Settings: the documented variables, the secret key, production."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from shotmedia.secret_key import find_secret_key

ROOT = Path(__file__).parents[2]
READ_BY_LIBRARIES = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_STS",
}


def test_env_example_names_what_settings_read_and_nothing_else():
    settings = (ROOT / "shotmedia/settings.py").read_text()
    read = set(re.findall(r'env\.\w+\(\s*"(\w+)"', settings)) | {"DATABASE_URL"}
    example = (ROOT / ".env.example").read_text()
    assert set(re.findall(r"^#(\w+)=", example, re.MULTILINE)) == read | READ_BY_LIBRARIES


def test_every_line_of_env_example_is_a_comment():
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []


def key(tmp_path, **changes):
    given = {
        "value": "",
        "value_file": "",
        "local_file": tmp_path / "key",
        "production": False,
    }
    return find_secret_key(**given | changes)


def test_a_local_site_makes_its_key_once_for_its_owner_only(tmp_path):
    made = key(tmp_path)
    assert len(made) >= 50
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert key(tmp_path) == made
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_production_refuses_to_make_one(tmp_path):
    with pytest.raises(ImproperlyConfigured, match="DJANGO_SECRET_KEY"):
        key(tmp_path, production=True)


def test_the_variable_and_the_file_are_used(tmp_path):
    file = tmp_path / "mounted"
    file.write_text("from-file\n")
    assert key(tmp_path, value="given", production=True) == "given"
    assert key(tmp_path, value_file=str(file), production=True) == "from-file"


def test_a_file_that_cannot_be_used_is_said(tmp_path):
    with pytest.raises(ImproperlyConfigured, match="cannot be read"):
        key(tmp_path, value_file=str(tmp_path / "gone"))
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ImproperlyConfigured, match="is empty"):
        key(tmp_path, value_file=str(tmp_path / "empty"))


def test_a_key_that_cannot_be_kept_is_said_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(ImproperlyConfigured, match=r"No space left.*Set DJANGO_SECRET_KEY"):
        key(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ImproperlyConfigured, match="cannot be kept in"):
        key(tmp_path, local_file=tmp_path / "gone" / "key")


PRODUCTION = {
    "DJANGO_ENV_FILE": os.devnull,
    "DJANGO_SETTINGS_MODULE": "shotmedia.settings",
    "DJANGO_ALLOWED_HOSTS": "media.example.com",
    "DJANGO_HTTPS": "True",
    "DJANGO_SECRET_KEY": "7fK3-long-enough-and-random-Qz8rT1vXbN5mW0pL2sD6hJ9gC4yE",
    "DATABASE_URL": "sqlite://:memory:",
}


def check(**changes):
    environment = {"PATH": os.environ["PATH"]} | PRODUCTION | changes
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )


def test_check_deploy_is_clean_in_production():
    done = check()
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_production_without_a_secret_key_does_not_start():
    done = check(DJANGO_SECRET_KEY="")
    assert done.returncode != 0
    assert "Set DJANGO_SECRET_KEY" in done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("LINK_SECONDS", "1h", "LINK_SECONDS cannot be “1h”; .env.example says what it takes."),
        ("REPLICA_TRUST_SECONDS", "x", "REPLICA_TRUST_SECONDS cannot be “x”"),
        ("DATABASE_URL", "db.example.com", "DATABASE_URL must look like postgres://"),
        ("DATABASE_URL", "postgress://u@db/name", "DATABASE_URL must look like postgres://"),
        ("DATABASE_URL", "mysql://u@db/name", "DATABASE_URL must look like postgres://"),
        ("DATABASE_URL", "postgres://u:a/b@db:5432/name", "In a password, / is written %2F"),
        ("DJANGO_HTTPS", "True  # by the proxy", "DJANGO_HTTPS cannot be “True  # by the proxy”"),
        ("DJANGO_ENV_FILE", "/none.env", "No such file or directory: '/none.env'"),
        ("DJANGO_STATIC_ROOT", ".", "DJANGO_STATIC_ROOT cannot be “.”"),
        ("DJANGO_LOG_LEVEL", "loud", "DJANGO_LOG_LEVEL cannot be “LOUD”"),
        ("AWS_ENDPOINT_URL_S3", "store:9000", "AWS_ENDPOINT_URL_S3 'store:9000' must look like"),
        ("AWS_ENDPOINT_URL_STS", "sts:9000", "AWS_ENDPOINT_URL_STS 'sts:9000' must look like"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(variable, value, said):
    done = check(**{variable: value})
    assert done.returncode != 0
    assert said in done.stderr


def setting(expression, **changes):
    program = f"from django.conf import settings; print({expression})"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]} | PRODUCTION | changes,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_static_files_have_a_folder_of_their_own_when_the_variable_is_empty():
    # The current folder would be sent to everybody: the code, .env and the database.
    root = setting("settings.STATIC_ROOT", DJANGO_STATIC_ROOT="")
    assert root == str(ROOT / "staticfiles")


@pytest.mark.parametrize(
    ("text", "meant"), [("True", True), ("ON ", True), ("1", True), ("no", False), ("", False)]
)
def test_yes_and_no_are_read(text, meant):
    assert setting("settings.HTTPS", DJANGO_HTTPS=text) == str(meant)


def test_the_folder_of_the_counters_is_made(tmp_path):
    folder = tmp_path / "run" / "metrics"
    setting("settings.METRICS_FOLDER", PROMETHEUS_MULTIPROC_DIR=str(folder))
    assert folder.is_dir()


def test_an_empty_folder_name_is_no_folder():
    said = setting("settings.DEBUG, __import__('os').environ", PROMETHEUS_MULTIPROC_DIR="")
    assert "PROMETHEUS_MULTIPROC_DIR" not in said


def test_a_local_database_is_beside_the_code_whatever_the_name_of_the_folder(tmp_path):
    folder = tmp_path / "c++ #1? 50%25"
    shutil.copytree(ROOT / "shotmedia", folder / "shotmedia", ignore=lambda *_: ["__pycache__"])
    program = "from shotmedia.settings import DATABASES; print(DATABASES['default']['NAME'])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, env={}
    )
    assert done.stdout.strip() == str(folder / "db.sqlite3"), done.stderr


def test_a_space_after_a_comma_is_no_part_of_a_host():
    hosts = setting("settings.ALLOWED_HOSTS", DJANGO_ALLOWED_HOSTS="a.example.com, b.example.com")
    assert hosts == "['a.example.com', 'b.example.com']"


def test_a_database_that_is_away_holds_no_thread_for_minutes():
    program = "from django.conf import settings; print(settings.DATABASES['default']['OPTIONS'])"
    for url, seconds in (("postgres://db/x", 5), ("postgres://db/x?connect_timeout=9", 9)):
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]} | PRODUCTION | {"DATABASE_URL": url},
            capture_output=True,
            text=True,
        )
        assert f"'connect_timeout': {seconds}" in done.stdout, done.stderr
