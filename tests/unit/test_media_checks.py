"""Settings of links that S3 would refuse are named by manage.py check."""

import pytest

from media.checks import check_links


@pytest.mark.parametrize(
    ("name", "value", "identity"),
    [
        ("LINK_SECONDS", 0, "media.E001"),
        ("LINK_SECONDS", 604_801, "media.E001"),
        ("LINK_STEP_SECONDS", -1, "media.E002"),
        ("LINK_STEP_SECONDS", 302_401, "media.E002"),
    ],
)
def test_a_value_that_cannot_work_is_named(settings, name, value, identity):
    setattr(settings, name, value)
    (problem,) = check_links()
    assert problem.id == identity
    assert name in problem.msg


def test_usual_values_pass(settings):
    assert check_links() == []
