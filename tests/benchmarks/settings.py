"""Settings of the benchmark's servers; BENCH_TARGET names the one that this process is."""

import json
import os

from shotmedia.settings import *  # noqa: F403

TARGET = os.environ["BENCH_TARGET"]

if TARGET not in ("site", "look"):
    ROOT_URLCONF = "tests.benchmarks.targets"
if TARGET == "empty":
    MIDDLEWARE = []
elif TARGET == "user":
    MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]
elif TARGET == "peer":
    # What `django-admin startproject` writes.
    MIDDLEWARE = [
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ]

# What the speed test's benchmark changes of the plan.
SPEEDTEST_PLAN = json.loads(os.environ.get("BENCH_PLAN", "{}"))
