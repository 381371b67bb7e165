"""manage.py demo, started as a person starts it: the main job from log-in to a replica download."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
import requests
from botocore.config import Config

ROOT = Path(__file__).parents[2]
PATIENCE = 90
"""Seconds that anything in the demo may take on a busy machine."""
MOVIE = "aurora_010_0050_review_v003.mp4"


class Demo:
    """A running demo, as its line of JSON describes it."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process
        self.said = json.loads(process.stdout.readline())
        self.address = self.said["address"].rstrip("/")
        self.media = {entry["name"]: entry["id"] for entry in self.said["media"]}
        self.replica = self.said["s3"]["buckets"][-1]

    def person(self, username: str) -> requests.Session:
        """Log in by the form."""
        (login,) = [login for login in self.said["logins"] if login["username"] == username]
        session = requests.Session()
        page = session.get(f"{self.address}/login/", timeout=PATIENCE)
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
        form = {
            "username": username,
            "password": login["password"],
            "csrfmiddlewaretoken": token,
        }
        answer = session.post(
            f"{self.address}/login/", form, headers={"Referer": page.url}, timeout=PATIENCE
        )
        assert answer.url == f"{self.address}/", answer.text
        return session

    def download(self, session: requests.Session, name: str) -> tuple[str, str, int]:
        """Download; return configuration, reason and the number of bytes that came."""
        answer = session.get(
            f"{self.address}/media/{self.media[name]}/download",
            allow_redirects=False,
            timeout=PATIENCE,
        )
        file = requests.get(answer.headers["Location"], timeout=PATIENCE)
        assert file.status_code == 200, file.text
        configuration, reason = answer.headers["X-Media-Source"].split("; reason=")
        return configuration, reason, len(file.content)

    def s3(self):
        """Return a client of the replica bucket."""
        return boto3.client(
            "s3",
            region_name=self.replica["region"],
            endpoint_url=self.replica["endpoint"],
            aws_access_key_id=self.said["s3"]["access_key"],
            aws_secret_access_key=self.said["s3"]["secret_key"],
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )

    def control(self, method: str, path: str, body: object = None) -> None:
        """Call the embedded S3's control API."""
        requests.request(
            method,
            f"{self.said['s3']['endpoint']}/_emulator/{path}",
            headers={"X-Emulator": "1"},
            json=body,
            timeout=PATIENCE,
        ).raise_for_status()


def until(wanted: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo, started from another folder and with a developer's settings in the way."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "DJANGO_", "DATABASE_URL"))
    }
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "demo", "--json", "--port", "0", "--lag", "1"],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        env=environment
        | {"TMPDIR": str(tmp_path_factory.mktemp("tmp")), "DATABASE_URL": "postgres://nowhere/x"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Demo(process)
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def test_each_artist_gets_the_bucket_of_the_setting(demo):
    size = next(entry["size"] for entry in demo.said["media"] if entry["name"] == MOVIE)
    yes, no, auto = (demo.person(f"artist-{mode}") for mode in ("yes", "no", "auto"))
    assert demo.download(no, MOVIE) == ("main", "user-no", size)
    assert demo.download(auto, MOVIE) == ("main", "address-not-listed", size)
    assert demo.download(yes, MOVIE)[0::2] in (("main", size), ("sydney", size))
    until(lambda: demo.download(yes, MOVIE) == ("sydney", "ready", size))
    assert demo.download(no, MOVIE) == ("main", "user-no", size)


def test_auto_gets_the_replica_once_its_address_is_listed(demo):
    admin, auto = demo.person("admin"), demo.person("artist-auto")
    page = admin.get(f"{demo.address}/preferences", timeout=PATIENCE)
    form = dict(re.findall(r'<input[^>]* name="([\w-]+)"[^>]* value="([^"]*)"', page.text))
    form |= {
        name: text.strip().replace("&quot;", '"')
        for name, text in re.findall(
            r'<textarea[^>]* name="([\w-]+)"[^>]*>(.*?)</textarea>', page.text, re.DOTALL
        )
    }
    form["s3_replication_ip_addresses"] += "\n127.0.0.1"
    form["verify_replica_copies"] = "on"
    saved = admin.post(page.url, form, headers={"Referer": page.url}, timeout=PATIENCE)
    assert "Site Preferences were saved" in saved.text
    until(lambda: demo.download(auto, MOVIE)[:2] == ("sydney", "ready"))


def test_a_file_deleted_from_the_replica_still_downloads_and_the_page_says_why(demo):
    yes, name = demo.person("artist-yes"), "harbor_020_0110_slapcomp.jpg"
    until(lambda: demo.download(yes, name)[:2] == ("sydney", "ready"))
    objects = demo.s3().list_objects_v2(Bucket=demo.replica["name"])["Contents"]
    (key,) = [entry["Key"] for entry in objects if entry["Key"].endswith(name)]
    demo.s3().delete_object(Bucket=demo.replica["name"], Key=key)
    assert demo.download(yes, name)[:2] == ("main", "missing")
    page = yes.get(f"{demo.address}/media/{demo.media[name]}/", timeout=PATIENCE)
    assert "but the file is not in the replica sydney" in page.text


def test_a_replica_that_is_down_costs_nobody_a_download(demo):
    yes, name = demo.person("artist-yes"), "shot_breakdown.pdf"
    until(lambda: demo.download(yes, name)[:2] == ("sydney", "ready"))
    demo.control("PUT", f"faults/{demo.replica['name']}", {"refuse": True})
    try:
        configuration, reason, _ = demo.download(yes, name)
        assert (configuration, reason) in [("main", "no-answer"), ("main", "replica-down")]
        page = yes.get(f"{demo.address}/media/{demo.media[name]}/", timeout=PATIENCE)
        why = " ".join(page.text.partition("Where it comes from")[2].split())[:800]
        assert re.search(r"the replica sydney (gave no usable answer|has not been answering)", why)
    finally:
        demo.control("DELETE", f"faults/{demo.replica['name']}")


def test_pages_have_their_style_without_a_web_server(demo):
    page = requests.get(f"{demo.address}/login/", timeout=PATIENCE)
    style = re.search(r'href="(/static/[^"]+\.css)"', page.text)[1]
    answer = requests.get(demo.address + style, timeout=PATIENCE)
    assert answer.headers["Content-Type"].startswith("text/css")
    assert "immutable" in answer.headers["Cache-Control"]


def test_ctrl_c_leaves_nothing_running_and_nothing_behind(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "manage.py", "demo", "--port", "0"],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    said = []
    for line in process.stdout:
        said.append(line)
        if "Ctrl-C stops the demo" in line:
            break
    (folder,) = tmp_path.iterdir()
    address = re.search(r"http://\S+", "".join(said))[0]
    assert requests.get(f"{address}healthz", timeout=PATIENCE).ok
    process.send_signal(signal.SIGINT)
    # Who presses it twice gets no traceback, and nothing is left either.
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "everything was thrown away" in rest
    assert not folder.exists()
    with pytest.raises(requests.ConnectionError):
        requests.get(address, timeout=PATIENCE)
