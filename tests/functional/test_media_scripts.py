"""What docs/artist.md tells scripts to do, done: redirects and the token."""

import json
import shutil
import subprocess
import urllib.error
import urllib.request

import pytest
import requests


@pytest.fixture
def url(live_server, site):
    return f"{live_server.url}/media/{site.media_file().pk}/download"


@pytest.fixture
def headers(site):
    return {"Authorization": f"Bearer {site.token(site.person('yes'))}"}


def test_requests_follows_the_redirect_and_leaves_the_token_behind(site, url, headers):
    answer = requests.get(url, headers=headers, timeout=10)
    assert (answer.status_code, answer.content) == (200, b"frames")
    assert "Authorization" not in answer.request.headers


def curl(url, header, folder, *options):
    options = options or ("-OJ",)
    command = ["curl", "-sfL", *options, "--noproxy", "*", "-H", header, url]
    return subprocess.run(command, cwd=folder)


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")


@needs_curl
def test_curl_follows_the_redirect_too(url, headers, tmp_path):
    done = curl(url, f"Authorization: {headers['Authorization']}", tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "shot.mov").read_bytes() == b"frames"


@needs_curl
def test_curl_keeps_what_it_can_of_a_name_that_is_not_ascii(site, live_server, headers, tmp_path):
    media_file = site.media_file(name="Übung 最終版.mov")
    url = f"{live_server.url}/media/{media_file.pk}/download"
    curl(url, f"Authorization: {headers['Authorization']}", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["Ubung.mov"]


@needs_curl
def test_curl_goes_on_with_a_download_that_broke_off(url, headers, tmp_path):
    (tmp_path / "plate.dpx").write_bytes(b"fra")
    header = f"Authorization: {headers['Authorization']}"
    assert curl(url, header, tmp_path, "-C", "-", "-o", "plate.dpx").returncode == 0
    assert (tmp_path / "plate.dpx").read_bytes() == b"frames"


@needs_curl
def test_curl_takes_no_error_for_the_file(url, tmp_path):
    done = curl(url, "Authorization: Bearer not-a-token", tmp_path)
    assert done.returncode == 22  # "HTTP page not retrieved"
    assert list(tmp_path.iterdir()) == []


def test_urllib_sends_the_token_on_so_it_asks_for_json(url, headers):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError) as refused:
        opener.open(urllib.request.Request(url, headers=headers), timeout=10)
    assert refused.value.code == 400  # S3's answer to a token beside a signed link
    refused.value.close()
    asked = urllib.request.Request(f"{url}?redirect=0", headers=headers)
    with opener.open(asked, timeout=10) as answer:
        link = json.load(answer)["url"]
    with opener.open(link, timeout=10) as answer:
        assert answer.read() == b"frames"
