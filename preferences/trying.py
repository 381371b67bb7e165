"""Site Preferences tried before they are saved: the values as typed, and “Which bucket?”."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from preferences.addresses import plain_address, shortened
from preferences.forms import SitePreferencesForm, label_of
from preferences.media_side import Question, media_side
from preferences.models import SitePreferences, User
from preferences.reader import canonical, read_json
from preferences.saving import FIELDS, values_of
from preferences.snapshot import Preferences, parse
from preferences.validation import MAX_ADDRESS_CHARACTERS, validate
from shotmedia.s3.config import BucketConfig

USUAL_AGE = "45"
_WHOLE_NUMBER = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class Typed:
    """Preferences as typed on the page, and what is wrong with them in sentences."""

    preferences: Preferences
    problems: tuple[str, ...]


def read_typed(form: SitePreferencesForm, row: SitePreferences) -> Typed:
    """Return the preferences in a form that was sent, without saving anything.

    What does not validate is named, and as much of it as can be read is used all the same: entries
    of S3 Configuration and of the address list one by one. The rest stays as it is saved.
    """
    form.is_valid()
    saved = values_of(row)
    validated = form.validated or validate(
        {field: form.cleaned_data.get(field, saved[field]) for field in FIELDS}
    )
    values, problems = dict(validated.values), []
    for field in FIELDS:
        messages = form.errors.get(field, ())
        problems += [_labelled(field, message) for message in messages]
        if messages and not _readable(field, str(form[field].value() or ""), values):
            values[field] = saved[field]
            problems.append(f"{label_of(field)}: the saved value is used instead.")
    preferences = parse(SitePreferences(pk=1, version=row.version, **values))
    return Typed(preferences, tuple(problems) or preferences.problems)


def _labelled(field: str, message: str) -> str:
    label = label_of(field)
    return message if message.startswith((label, f"“{label}")) else f"{label}: {message}"


def _readable(field: str, text: str, values: dict[str, Any]) -> bool:
    """Put what can be used of an invalid field's `text` into `values`; say whether it can be."""
    if field == "s3_configuration":
        value = read_json(text).value
        if not isinstance(value, dict):
            return False
        values[field] = canonical(value)
        return True
    if field == "s3_replication_ip_addresses":
        values[field] = text
        return len(text) <= MAX_ADDRESS_CHARACTERS
    # A name that no configuration has, and the other one that goes with it, mean what they say.
    return field in ("s3_bucket_for_replication", "storage_location")


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to “Which bucket?”. Without a `configuration` the problems say why."""

    problems: tuple[str, ...]
    configuration: str = ""
    place: str = ""
    """Bucket and region of the configuration."""
    otherwise: str = ""
    """What it comes from while the copy is not there; "" where no copy is looked for."""
    why: str = ""


def which_bucket(typed: Typed, asked: Mapping[str, str], me: User, my_address: str) -> Answer:
    """Answer “Which bucket?” for the person, address and age in `asked`.

    asked       "try_user", "try_address" and "try_age" (seconds) as typed; an empty one is `me`,
                `my_address`, and 45 s
    my_address  the client address as the site sees it
    """
    preferences, problems = typed.preferences, list(typed.problems)
    name = asked.get("try_user", "").replace("\0", "").strip() or me.get_username()
    user = me if name == me.get_username() else User.objects.filter(username=name).first()
    if user is None:
        problems.append(f"There is no user named “{shortened(name)}”.")
    given = asked.get("try_address", "").strip()
    address = plain_address(given or my_address) or None
    if address is None:
        problems.append(f"“{shortened(given or my_address)}” is not an IP address.")
    age = asked.get("try_age", "").strip() or USUAL_AGE
    seconds = float(age) if _WHOLE_NUMBER.fullmatch(age) else None
    if seconds is None:
        problems.append(
            f"“{shortened(age)}” is not an age: enter a whole number of seconds, 0 or more."
        )
    if preferences.primary is None:
        problems.append(_no_primary(preferences))
    if user is None or preferences.primary is None:
        return Answer(tuple(problems))
    question = Question(user.get_username(), user.use_s3_replication, address, seconds)
    choice = media_side().which_bucket(preferences, question)
    if choice is None:
        return Answer(tuple(problems))
    return Answer(
        tuple(problems),
        choice.configuration.name,
        _place(choice.configuration),
        f"{choice.otherwise.name} {_place(choice.otherwise)}" if choice.otherwise else "",
        choice.why,
    )


def _no_primary(preferences: Preferences) -> str:
    if preferences.storage_location:
        return (
            f"There is no main bucket: Storage Location names “{preferences.storage_location}”, "
            "which is no usable configuration."
        )
    return "There is no main bucket: Storage Location is empty, so no media is uploaded."


def _place(config: BucketConfig) -> str:
    return f"(bucket {config.bucket}, {config.region})"
