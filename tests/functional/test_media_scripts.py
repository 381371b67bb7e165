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


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl_follows_the_redirect_too(url, headers, tmp_path):
    header = f"Authorization: {headers['Authorization']}"
    subprocess.run(
        ["curl", "--silent", "--fail", "--noproxy", "*", "-H", header, "-L", "-OJ", url],
        cwd=tmp_path,
        check=True,
    )
    assert (tmp_path / "shot.mov").read_bytes() == b"frames"


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
