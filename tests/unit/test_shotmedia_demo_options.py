"""The demo's options and environment, without starting it."""

import os
import secrets
import socket
from contextlib import ExitStack

import pytest
from django.core.management import CommandError, call_command
from environ import Env

from shotmedia.management.commands.demo import _choose_port, _environment


def test_neither_settings_nor_a_proxy_of_the_developer_reach_the_demo(tmp_path, monkeypatch):
    kept = {"LANG", "PATH"}
    left_out = {"REPLICA_TRUST_SECONDS", "LINK_SECONDS", "METRICS_ADDRESSES", "AWS_PROFILE"}
    left_out |= {"HTTP_PROXY", "https_proxy", "ALL_PROXY"}
    for name in kept | left_out:
        monkeypatch.setenv(name, os.environ.get(name, "60"))
    environment = _environment(tmp_path)
    assert kept <= environment.keys()
    assert not left_out & environment.keys()


def test_the_database_is_in_the_folder_whatever_its_name(tmp_path):
    folder = tmp_path / "c++ #1? 50%25"
    assert Env.db_url_config(_environment(folder)["DATABASE_URL"])["NAME"] == str(
        folder / "db.sqlite3"
    )


def test_the_secret_key_cannot_be_taken_for_an_option(tmp_path, monkeypatch):
    monkeypatch.setattr(secrets, "token_urlsafe", lambda size: "-" * size)
    assert _environment(tmp_path)["AWS_SECRET_ACCESS_KEY"][0] != "-"


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


def test_a_port_that_cannot_be_had_is_said(stack):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=f"Port {port} cannot be used.*Choose another"):
            _choose_port(stack, port)
    with pytest.raises(CommandError, match="Port 70000 cannot be used"):
        _choose_port(stack, 70000)


def test_two_demos_that_start_at_once_take_two_ports(stack):
    port = _choose_port(stack, 0)
    with ExitStack() as other:
        with pytest.raises(CommandError, match=f"Port {port} cannot be used"):
            _choose_port(other, port)
        assert _choose_port(stack, None) != _choose_port(other, None)
    stack.close()
    assert _choose_port(stack, port) == port


def test_the_folder_is_made_when_ctrl_c_would_remove_it(tmp_path):
    _environment(tmp_path / "demo")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lag", ["-1", "nan", "soon"])
def test_a_lag_that_makes_no_sense_is_refused_before_anything_starts(lag):
    with pytest.raises(CommandError, match=f"--lag: {lag} is not a number of seconds"):
        call_command("demo", "--lag", lag)
