"""System checks of the settings that links are made with."""

import os

from django.conf import settings
from django.core.checks import Error, register

from shotmedia.s3.config import ConfigError, parse_endpoint_url
from shotmedia.s3.presign import MAX_LIFE


@register
def check_links(**kwargs: object) -> list[Error]:
    """Name a life or a step of links that S3 would refuse, before the first download does."""
    problems = []
    if not 1 <= settings.LINK_SECONDS <= MAX_LIFE:
        problems.append(
            Error(
                f"LINK_SECONDS is {settings.LINK_SECONDS}.",
                hint=f"A link works for 1 to {MAX_LIFE} seconds (seven days); 3600 is usual.",
                id="media.E001",
            )
        )
    if not 0 <= settings.LINK_STEP_SECONDS <= MAX_LIFE // 2:
        problems.append(
            Error(
                f"LINK_STEP_SECONDS is {settings.LINK_STEP_SECONDS}.",
                hint=f"Set it to 0 to {MAX_LIFE // 2} seconds; 300 is usual.",
                id="media.E002",
            )
        )
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_STS"):
        try:
            if os.environ.get(name):
                parse_endpoint_url(os.environ[name], name)
        except ConfigError as error:
            hint = "Nothing that needs it works until then."
            problems.append(Error(str(error), hint=hint, id="media.E003"))
    return problems
