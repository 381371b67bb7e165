"""The site's settings with what tests need changed."""

import os
import tempfile
from pathlib import Path

# Nothing of the developer's own settings or AWS account takes part in a test.
for _name in list(os.environ):
    if _name.startswith(
        ("AWS_", "DJANGO_", "LINK_", "MEDIA_PREF_", "REPLICA_TRUST_", "TRUSTED_PROXIES")
    ) and (_name not in ("DJANGO_SETTINGS_MODULE", "DJANGO_ALLOW_ASYNC_UNSAFE")):
        del os.environ[_name]
os.environ |= {
    # A studio's proxy does not reach the servers that tests start on 127.0.0.1.
    "NO_PROXY": "127.0.0.1,localhost",
    "no_proxy": "127.0.0.1,localhost",
    "DJANGO_ENV_FILE": os.devnull,
    "DJANGO_SECRET_KEY": "only-for-tests",
    "AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST",
    "AWS_SECRET_ACCESS_KEY": "test-secret-key-test-secret-key-test-000",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}

from shotmedia.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":  # noqa: F405
    # A file, as on a site: a database in memory has one connection, which the threads of the
    # live server would use at once.
    DATABASES["default"]["TEST"] = {  # noqa: F405
        "NAME": str(Path(tempfile.gettempdir()) / f"shotmedia-test-{os.getpid()}.sqlite3")
    }
