"""Where Django's SECRET_KEY comes from."""

import os
import tempfile
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key


def find_secret_key(*, value: str, value_file: str, local_file: Path, production: bool) -> str:
    """Return the secret key, making one for a local site that has none.

    Arguments: `value` and `value_file` are the variables DJANGO_SECRET_KEY and
    DJANGO_SECRET_KEY_FILE ("" when unset); `local_file` is where a made key is kept, readable
    for its owner only; `production` says that the site answers to other hosts than this one.
    Raises ImproperlyConfigured when production has no key, when the named file is unreadable, and
    when a made key cannot be kept.
    """
    if value:
        return value
    if value_file:
        try:
            key = Path(value_file).read_text().strip()
        except OSError as error:
            raise ImproperlyConfigured(
                f"DJANGO_SECRET_KEY_FILE names {value_file}, which cannot be read: {error}."
            ) from error
        if not key:
            raise ImproperlyConfigured(f"DJANGO_SECRET_KEY_FILE names {value_file}: it is empty.")
        return key
    if production:
        raise ImproperlyConfigured(
            "Set DJANGO_SECRET_KEY (or DJANGO_SECRET_KEY_FILE): DJANGO_ALLOWED_HOSTS names hosts "
            "other than this machine, and all processes of such a site must share one secret key."
        )
    try:
        return _read_or_make(local_file)
    except OSError as error:
        raise ImproperlyConfigured(
            f"A secret key cannot be kept in {local_file}: {error}. Set DJANGO_SECRET_KEY."
        ) from error


def _read_or_make(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    # Written aside and linked into place, so that of two processes starting at once both read
    # the same whole key.
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(get_random_secret_key())
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        Path(draft).unlink()
    return path.read_text().strip()
