"""Fields of Site Preferences that environment variables fix (MEDIA_PREF_…).

What the environment sets is written into the row, as a revision, when a process first reads the
preferences (`preferences.saving.enforce_locks`). So every process, the one-statement download and
History go on reading one and the same row: a variable laid over the row in each process would give
the processes of a site different preferences under one version, and join a download with the copies
of another replica than the one it is sent to.
"""

from typing import Any

from django.conf import settings

from preferences.validation import Finding, validate

_SWITCH = {"on": True, "true": True, "yes": True, "1": True} | {
    "off": False,
    "false": False,
    "no": False,
    "0": False,
}
_NAMES = ("s3_bucket_for_replication", "storage_location")


def variable_of(field: str) -> str:
    """Return the name of the environment variable that fixes `field`."""
    return f"MEDIA_PREF_{field.upper()}"


def locked() -> dict[str, Any]:
    """Return what the environment fixes: values as typed, by field name."""
    return {
        field: as_typed(field, text)
        for field, text in settings.PREFERENCE_LOCKS.items()
        if text.strip()
    }


def as_typed(field: str, text: str) -> Any:
    """Return the text of one field for `validation.validate`: a switch's on or off as a bool."""
    if field == "verify_replica_copies":
        return _SWITCH.get(text.strip().lower(), text)
    return text


def problems() -> list[Finding]:
    """Return what is wrong with the variables, as far as they can be judged by themselves.

    Whether a name is in S3 Configuration is known here only when that is fixed as well.
    """
    values = locked()
    known = values if "s3_configuration" in values else values.keys() - set(_NAMES)
    return [error for error in validate(values).errors if error.field in known]


def described(problem: Finding) -> str:
    """Return a problem of the variables as a sentence that names the variable."""
    if problem.field in locked():
        return f"{variable_of(problem.field)}: {problem.message}"
    return f"With the MEDIA_PREF_… variables: {problem.message}"
