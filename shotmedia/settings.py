"""Settings of the site, all read from the environment here and nowhere else.

Every variable is described in `.env.example`; none is needed to run on one machine.
"""

import contextlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import environ
from django.core.exceptions import ImproperlyConfigured

from shotmedia.secret_key import find_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent


class Env(environ.Env):
    """django-environ's, which does not say which variable it could not read."""

    def get_value(self, var: str, *arguments: Any, **options: Any) -> Any:
        try:
            return super().get_value(var, *arguments, **options)
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{var} cannot be “{self.ENVIRON.get(var)}”; .env.example says what it takes."
            ) from error

    def bool(self, var: str, default: bool = False) -> bool:
        """Return what `var` says; what is neither yes nor no would quietly be no."""
        text = self.str(var, default="").strip().lower()
        if text in ("", *self.BOOLEAN_TRUE_STRINGS):
            return bool(text) or default
        if text in ("false", "off", "n", "no", "0"):
            return False
        raise ImproperlyConfigured(
            f"{var} cannot be “{self.ENVIRON[var]}”; it takes True or False."
        )

    def list(self, var: str, default: Sequence[str]) -> list[str]:
        """Return the entries of `var`; a space after a comma is not part of the next."""
        return [entry.strip() for entry in super().list(var, default=default) if entry.strip()]


env = Env()
ENV_FILE = env.str("DJANGO_ENV_FILE", default="")
try:
    with Path(ENV_FILE or BASE_DIR / ".env").open(encoding="utf-8") as file:
        env.read_env(file)
except OSError as error:
    # Without its settings a site in production would run as a local one, on a database of its own.
    if ENV_FILE or not isinstance(error, FileNotFoundError):
        raise ImproperlyConfigured(
            f"The settings (DJANGO_ENV_FILE, else .env) cannot be read: {error}."
        ) from error

# --- Who may reach the site -------------------------------------------------------------------

LOCAL_HOSTS = ["localhost", "127.0.0.1", "[::1]"]

DEBUG = env.bool("DJANGO_DEBUG", default=False)
ALLOWED_HOSTS = env.list("DJANGO_ALLOWED_HOSTS", default=LOCAL_HOSTS)
CSRF_TRUSTED_ORIGINS = env.list("DJANGO_CSRF_TRUSTED_ORIGINS", default=[])
SECRET_KEY = find_secret_key(
    value=env.str("DJANGO_SECRET_KEY", default=""),
    value_file=env.str("DJANGO_SECRET_KEY_FILE", default=""),
    local_file=BASE_DIR / ".secret_key",
    production=not DEBUG and not set(ALLOWED_HOSTS) <= set(LOCAL_HOSTS),
)

HTTPS = env.bool("DJANGO_HTTPS", default=False)
SECURE_SSL_REDIRECT = HTTPS
# Balancers and Prometheus ask by plain HTTP, and would take the redirect for the answer.
SECURE_REDIRECT_EXEMPT = [r"^readyz$", r"^metrics$"]
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = env.int("DJANGO_HSTS_SECONDS", default=31_536_000 if HTTPS else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
# A place on the browsers' preload list binds the studio's whole domain: not this site's to ask for.
SILENCED_SYSTEM_CHECKS = ["security.W021"]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True

TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=[])
CLIENT_ADDRESS_HEADER = env.str("CLIENT_ADDRESS_HEADER", default="X-Forwarded-For")
if HTTPS and TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
METRICS_ADDRESSES = env.list("METRICS_ADDRESSES", default=["127.0.0.1", "::1"])
# prometheus_client reads the variable itself. It takes an empty one for the current folder, and a
# folder that is not there, as one under /run after a start of the machine, for an error.
METRICS_FOLDER = env.str("PROMETHEUS_MULTIPROC_DIR", default="")
if METRICS_FOLDER:
    with contextlib.suppress(OSError):
        Path(METRICS_FOLDER).mkdir(parents=True, exist_ok=True)
else:
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)

# --- Media ------------------------------------------------------------------------------------

LINK_SECONDS = env.int("LINK_SECONDS", default=3600)
LINK_STEP_SECONDS = env.int("LINK_STEP_SECONDS", default=300)
REPLICA_TRUST_SECONDS = env.float("REPLICA_TRUST_SECONDS", default=0)
# US dollars; what the speed test tells of its cost before it starts. 0 hides it.
SPEEDTEST_EGRESS_PRICE_PER_GB = env.float("SPEEDTEST_EGRESS_PRICE_PER_GB", default=0.09)
# Mbit/s of one review movie in 1080p: how many can be watched at once.
SPEEDTEST_REVIEW_MBPS = env.float("SPEEDTEST_REVIEW_MBPS", default=20)

# Fields of Site Preferences that the environment fixes, as text; empty: people set them.
PREFERENCE_LOCKS = {
    "s3_configuration": env.str("MEDIA_PREF_S3_CONFIGURATION", default=""),
    "s3_bucket_for_replication": env.str("MEDIA_PREF_S3_BUCKET_FOR_REPLICATION", default=""),
    "s3_replication_delay": env.str("MEDIA_PREF_S3_REPLICATION_DELAY", default=""),
    "s3_replication_ip_addresses": env.str("MEDIA_PREF_S3_REPLICATION_IP_ADDRESSES", default=""),
    "storage_location": env.str("MEDIA_PREF_STORAGE_LOCATION", default=""),
    "verify_replica_copies": env.str("MEDIA_PREF_VERIFY_REPLICA_COPIES", default=""),
}
# What looks like one of them and is none: it would fix nothing, without a word.
UNKNOWN_PREFERENCE_LOCKS = sorted(
    {name for name in env.ENVIRON if name.startswith("MEDIA_PREF_")}
    - {f"MEDIA_PREF_{field.upper()}" for field in PREFERENCE_LOCKS}
)

# --- Django -----------------------------------------------------------------------------------

INSTALLED_APPS = [
    "shotmedia",
    "preferences",
    "media",
    "speedtest",
    "preferences.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "shotmedia.middleware.HealthMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "shotmedia.middleware.NoStoreMiddleware",
    "shotmedia.middleware.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "preferences.middleware.TokenMiddleware",
    "shotmedia.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "shotmedia.middleware.MethodNotAllowedMiddleware",
]

ROOT_URLCONF = "shotmedia.urls"
WSGI_APPLICATION = "shotmedia.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

try:
    DATABASES = {
        "default": env.db_url(
            "DATABASE_URL",
            default=f"sqlite:///{quote(str(BASE_DIR / 'db.sqlite3'))}",
        )
    }
except ValueError:
    # Its text may hold a part of the password.
    DATABASES = {"default": {}}
if DATABASES["default"].get("ENGINE") not in (
    "django.db.backends.postgresql",
    "django.db.backends.sqlite3",
):
    raise ImproperlyConfigured(
        "DATABASE_URL must look like postgres://user:password@host:5432/name or sqlite:////file. "
        "In a password, / is written %2F, ? %3F and % %25."
    )
DATABASES["default"]["CONN_MAX_AGE"] = None
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    # libpq waits for as long as the network does, some two minutes, and a thread waits with it.
    DATABASES["default"].setdefault("OPTIONS", {}).setdefault("connect_timeout", 5)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "preferences.User"
SESSION_ENGINE = "preferences.sessions"
CSRF_FAILURE_VIEW = "shotmedia.views.csrf_failure"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "media:library"
LOGOUT_REDIRECT_URL = "login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
# No form of the site takes a file. Django's second handler would write any that somebody sends, of
# any size and without a log-in, to the disk.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]

MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = Path(env.str("DJANGO_STATIC_ROOT", default="") or BASE_DIR / "staticfiles")
if BASE_DIR.is_relative_to(STATIC_ROOT.resolve()):
    raise ImproperlyConfigured(
        f"DJANGO_STATIC_ROOT cannot be “{STATIC_ROOT}”: all that is in it is sent to everybody, "
        "and this site's code and secrets are. Name a folder of its own."
    )
STORAGES = {"staticfiles": {"BACKEND": "shotmedia.staticfiles.StaticFilesStorage"}}
WHITENOISE_USE_FINDERS = True

# The policy of every page; a view that needs S3 adds its hosts (shotmedia.middleware.allow_hosts).
SECURE_CSP = {
    "default-src": ["'none'"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    "img-src": ["'self'"],
    "font-src": ["'self'"],
    "media-src": ["'self'"],
    "connect-src": ["'self'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
    "base-uri": ["'none'"],
}

LOG_LEVEL = env.str("DJANGO_LOG_LEVEL", default="INFO").upper()
if LOG_LEVEL not in logging.getLevelNamesMapping():
    raise ImproperlyConfigured(
        f"DJANGO_LOG_LEVEL cannot be “{LOG_LEVEL}”; it takes DEBUG, INFO, WARNING or ERROR."
    )
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "shotmedia.logs.JsonFormatter"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        name: {"level": LOG_LEVEL}
        for name in ("django", "shotmedia", "preferences", "media", "speedtest")
    }
    | {"django.server": {"handlers": ["stderr"], "level": LOG_LEVEL, "propagate": False}},
}
