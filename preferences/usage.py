"""Configurations in use: what media files depend on is neither removed nor renamed by accident.

Every writer is held to it by `saving.save_preferences`, which raises InUse; `checked` tells the
same beforehand, as errors beside the others.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from preferences import locks
from preferences.media_side import Use, media_side
from preferences.models import SitePreferences
from preferences.snapshot import parse
from preferences.validation import Finding, Validated
from shotmedia.s3.config import BucketConfig

NAMING_FIELDS = ("s3_bucket_for_replication", "storage_location")
"""The fields that hold the name of a configuration."""


@dataclass(frozen=True, slots=True)
class Left:
    """A configuration that things depend on and that the new values do not have."""

    name: str
    use: Use

    @property
    def what(self) -> str:
        """What depends on it, for the start of a sentence."""
        files, uploads = self.use
        if not uploads:
            return _files(files)
        under_way = f"{uploads:,} upload{'' if uploads == 1 else 's'} under way"
        return f"{_files(files)} and {under_way}" if files else under_way

    @property
    def message(self) -> str:
        """The error in a sentence, with what would be right."""
        verb = "is" if sum(self.use) == 1 else "are"
        return (
            f"{self.what} {verb} in “{self.name}”, which the new S3 Configuration does not have. "
            "Put it back, or say which configuration it was renamed to."
        )


class InUse(Exception):
    """Configurations that things depend on would be gone; nothing was saved."""

    code = "in-use"

    def __init__(self, left: Iterable[Left]) -> None:
        self.sentences = tuple(one.message for one in left)
        super().__init__(" ".join(self.sentences))


class RenameRefused(ValueError):
    """What is said to be a rename is none; nothing was saved."""

    code = "bad-rename"

    def __init__(self, sentence: str) -> None:
        self.sentences = (sentence,)
        super().__init__(sentence)


def follow(values: Mapping[str, Any], renames: Mapping[str, str]) -> dict[str, Any]:
    """Return `values` whose Storage Location and replica follow the renames, old name to new.

    One that the environment fixes stays as it is, for `validation.validate` to find.
    """
    followed = dict(values)
    for field in NAMING_FIELDS:
        name = followed.get(field)
        if isinstance(name, str) and field not in locks.locked():
            followed[field] = renames.get(name.strip(), name)
    return followed


def left_behind(old: str, new: str) -> list[Left]:
    """Return what depends on configurations that `old` has and `new` has not.

    Both are the text of S3 Configuration. The database is asked only when a name is gone.
    """
    gone = [name for name in names_in(old) if name not in names_in(new)]
    if not gone:
        return []
    return [Left(name, use) for name, use in media_side().count_use(gone).items()]


def checked(validated: Validated, row: SitePreferences, renames: Collection[str] = ()) -> Validated:
    """Return `validated` with an error for each configuration in use that only `row` has.

    Those in `renames` are known to go on under another name.
    """
    if validated.errors_of("s3_configuration"):
        return validated
    left = left_behind(row.s3_configuration, validated.values["s3_configuration"])
    return with_errors(validated, [one for one in left if one.name not in renames])


def with_errors(validated: Validated, left: Iterable[Left]) -> Validated:
    """Return `validated` with an error for each configuration that is left behind."""
    errors = [Finding("s3_configuration", one.message) for one in left]
    return replace(validated, errors=(*validated.errors, *errors))


def require_kept(old: SitePreferences, new: SitePreferences, renames: Mapping[str, str]) -> None:
    """Raise InUse or RenameRefused when `new` may not take the place of `old`."""
    before, after = names_in(old.s3_configuration), names_in(new.s3_configuration)
    for name, to in renames.items():
        if name not in before:
            raise RenameRefused(f"“{name}” is not in the S3 Configuration that is saved.")
        if name in after:
            raise RenameRefused(f"“{name}” is still in S3 Configuration: it was not renamed.")
        if to not in after:
            raise RenameRefused(f"“{to}” is not in S3 Configuration, so nothing can move to it.")
    left = left_behind(old.s3_configuration, new.s3_configuration)
    left = [one for one in left if one.name not in renames]
    if left:
        raise InUse(left)


def moved_places(
    old: SitePreferences, new: SitePreferences, renames: Mapping[str, str]
) -> list[str]:
    """Return a warning for each configuration whose files are looked for elsewhere from now on.

    To be asked before files move: they are counted under their old names.
    """
    before, after = parse(old).configurations, parse(new).configurations
    changed = {
        name: after[renames.get(name, name)]
        for name, config in before.items()
        if renames.get(name, name) in after
        and after[renames.get(name, name)].fingerprint != config.fingerprint
    }
    if not changed:
        return []
    return [
        f"{_files(use.files)} in “{changed[name].name}” {'is' if use.files == 1 else 'are'} "
        f"expected in {_place(changed[name])} from now on, under the same path. What is not there "
        "can’t be downloaded from it."
        for name, use in media_side().count_use(changed).items()
        if use.files
    ]


def move(renames: Mapping[str, str]) -> list[str]:
    """Move what depends on renamed configurations; return a sentence for each."""
    return [
        f"“{old}” was renamed to “{new}”, and {_files(media_side().move(old, new))} with it."
        for old, new in renames.items()
    ]


def would_move(renames: Mapping[str, str]) -> list[str]:
    """Return what `move` would do, a sentence for each; nothing is moved."""
    uses = media_side().count_use(renames)
    return [
        f"“{old}” would be renamed to “{new}”, and {_files(uses[old].files if old in uses else 0)} "
        "with it."
        for old, new in renames.items()
    ]


def all_renames(
    old: SitePreferences, new: SitePreferences, renames: Mapping[str, str]
) -> dict[str, str]:
    """Return `renames` with those that nobody has to be asked about, old name to new.

    A configuration that no media depends on simply gets another name in S3 Configuration: the one
    new name that is the same place is its name from now on.
    """
    before, after = parse(old).configurations, parse(new).configurations
    kept, known = names_in(new.s3_configuration), names_in(old.s3_configuration)
    found = dict(renames)
    for name, config in before.items():
        if name in kept or name in renames:
            continue
        same = [
            other
            for other, one in after.items()
            if other not in known and one.fingerprint == config.fingerprint
        ]
        if len(same) == 1:
            found[name] = same[0]
    return found


def names_in(text: str) -> list[str]:
    """Return the names in a stored S3 Configuration, [] when it cannot be read."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return []
    return list(value) if isinstance(value, dict) else []


def suggestion(left: Left, row: SitePreferences, choices: Mapping[str, BucketConfig]) -> str:
    """Return the one configuration of `choices` that is the same place as the saved one, or ""."""
    saved = parse(row).configurations.get(left.name)
    same = [
        name
        for name, config in choices.items()
        if saved is not None and config.fingerprint == saved.fingerprint
    ]
    return same[0] if len(same) == 1 else ""


def _files(number: int) -> str:
    return f"{number:,} media file{'' if number == 1 else 's'}"


def _place(config: BucketConfig) -> str:
    prefix = f", prefix {config.prefix}" if config.prefix else ""
    return f"bucket {config.bucket}{prefix} ({config.region})"
