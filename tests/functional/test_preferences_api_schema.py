"""The document of the API against the API: schemathesis sends what it allows, and what not."""

import json

import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig

from preferences.api import openapi_text
from preferences.models import ApiToken, User
from preferences.tokens import new_secret

# No document can say which values work together, or which revision is in force: what it allows may
# be refused all the same, in these ways.
REFUSED = [404, 409, 412, 422, 428]
CONFIG = SchemathesisConfig.from_dict(
    {"checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", "3xx", *REFUSED]}}}
)


@pytest.fixture
def admin_headers(db):
    token = ApiToken(user=User.objects.create_superuser("admin"), name="schemathesis")
    text = new_secret(token)
    token.save()
    return {"Authorization": f"Bearer {text}"}


@pytest.fixture
def document(admin_headers, one_connection):
    """The document as served, in this process."""
    return schemathesis.openapi.from_wsgi(
        "/api/openapi.json", WSGIHandler(), config=CONFIG, headers=admin_headers
    )


OPERATIONS = [
    operation["operationId"]
    for path in json.loads(openapi_text())["paths"].values()
    for operation in path.values()
]


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_schemathesis_finds_nothing(document, admin_headers, operation_id, mode):
    """What the document allows and what it forbids, with If-Match as made up and as it must be."""
    operation = document.find_operation_by_id(operation_id)
    seen = set()

    # The examples are the same in each run, so that a build does not fail by chance.
    @settings(
        max_examples=25,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), past_if_match=st.booleans())
    def run(case, past_if_match):
        headers = admin_headers | ({"If-Match": "*"} if past_if_match else {})
        seen.add(case.call_and_validate(headers=headers).status_code)

    run()
    # Made-up names are in no made-up configuration, and a made-up number is hardly a revision's.
    if mode.is_positive and operation_id not in ("replace_preferences", "read_revision"):
        assert 200 in seen
