"""Fill the benchmark's database; prints a session key and a media file's id."""

import json
import os
from datetime import timedelta

import django

django.setup()

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.utils import timezone  # noqa: E402

from media.models import MediaFile, ReplicaCopy  # noqa: E402
from preferences.models import Session, User  # noqa: E402
from preferences.saving import save_preferences  # noqa: E402
from preferences.sessions import SessionStore  # noqa: E402
from preferences.snapshot import current_preferences  # noqa: E402
from shotmedia.s3.clients import s3_client  # noqa: E402

USERS, FILES = 200, 20_000
NAME = "aurora_010_0040_comp_v003.mov"


def main() -> None:
    """Make people with sessions, media files and their replica copies."""
    call_command("migrate", verbosity=0)
    configurations = {
        name: {
            "region": region,
            "bucket": f"bench-{name}",
            "prefix": "shotmedia",
            "endpoint_url": os.environ[f"BENCH_{name.upper()}"],
        }
        for name, region in (("main", "us-east-1"), ("sydney", "ap-southeast-2"))
    }
    save_preferences(
        {
            "s3_configuration": json.dumps(configurations),
            "s3_bucket_for_replication": "sydney",
            "s3_replication_delay": 60,
            "s3_replication_ip_addresses": "\n".join(f"10.{n}.0.0/16" for n in range(50)),
            "storage_location": "main",
            "verify_replica_copies": True,
        },
        base_version=0,
        user=None,
    )
    replica = current_preferences().replica
    now = timezone.now()
    User.objects.bulk_create(
        User(username=f"user{n}", use_s3_replication="yes") for n in range(USERS)
    )
    for user in User.objects.all():
        user.set_unusable_password()
        user.save()
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.save()
    MediaFile.objects.bulk_create(
        (
            MediaFile(
                name=NAME, kind="video", content_type="video/quicktime", size=5, etag="e",
                configuration="main", path=f"2026/11/{n:032x}/{NAME}",
                completed_at=now - timedelta(days=1),
            )
            for n in range(FILES)
        ),
        batch_size=1000,
    )  # fmt: skip
    ReplicaCopy.objects.bulk_create(
        (
            ReplicaCopy(
                media_file=media_file, target=replica.fingerprint, state="ready",
                checked_at=now, next_check_at=now + timedelta(hours=1),
            )
            for media_file in MediaFile.objects.all()
        ),
        batch_size=1000,
    )  # fmt: skip
    media_file = MediaFile.objects.all()[FILES // 2]
    s3_client(replica).put_object(
        Bucket=replica.bucket, Key=replica.key(media_file.path), Body=b"bytes"
    )
    print(Session.objects.order_by("session_key")[USERS // 2].session_key, media_file.pk)


main()
