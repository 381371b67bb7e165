"""One process of the site, for tests: a request for each line on stdin, with what it cost.

{"method": "get", "path": "/", "body": null, "headers": {}}
-> {"status": 200, "headers": {}, "body": "", "statements": [], "parsed": 0}
"""

import json
import sys

import django

django.setup()

from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.client import ClientHandler  # noqa: E402
from django.test.utils import CaptureQueriesContext, setup_test_environment  # noqa: E402

from preferences import snapshot  # noqa: E402
from tests.functional.site_client import answer_as_the_site  # noqa: E402


def main() -> None:
    """Answer until stdin ends."""
    setup_test_environment()
    ClientHandler.__call__ = answer_as_the_site
    parsed = []
    parse = snapshot.parse
    snapshot.parse = lambda row: parsed.append(row.version) or parse(row)
    client = Client(enforce_csrf_checks=True)
    for line in sys.stdin:
        asked = json.loads(line)
        parsed.clear()
        with CaptureQueriesContext(connection) as captured:
            response = getattr(client, asked["method"])(
                asked["path"],
                asked.get("body", ""),
                content_type="application/json",
                headers=asked.get("headers", {}),
            )
        answer = {
            "status": response.status_code,
            "headers": dict(response.headers),
            "body": response.content.decode(),
            "statements": [query["sql"] for query in captured],
            "parsed": list(parsed),
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
