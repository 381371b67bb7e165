"""What the demo's site holds: people, Site Preferences and sample media."""

import json
import secrets

import requests
from django.utils import timezone

from media import uploads
from media.models import MediaFile
from preferences.models import PreferenceSource, SitePreferences, User, UseS3Replication
from preferences.saving import save_preferences
from preferences.snapshot import current_preferences
from shotmedia.demo.samples import samples

PRIMARY, REPLICA = "main", "sydney"
BUCKETS = ["studio-main:us-east-1", "studio-sydney:ap-southeast-2:studio-main"]
PREFIX = "shotmedia"
ROLE_ARN = "arn:aws:iam::111122223333:role/shotmedia-site"
EXTERNAL_ID = "shotmedia-demo"
ROLE = f"{ROLE_ARN}={EXTERNAL_ID}"


def cors_rules(origins: list[str]) -> list[dict]:
    """Return the CORS rules of both buckets for a site at `origins`."""
    return [
        {
            "ID": "shotmedia",
            "AllowedOrigins": origins,
            "AllowedMethods": ["GET", "HEAD", "PUT"],
            "AllowedHeaders": ["*"],
            "ExposeHeaders": [
                "ETag",
                "Content-Length",
                "Content-Range",
                "Accept-Ranges",
                "Date",
                "x-amz-request-id",
                "x-amz-version-id",
                "x-amz-checksum-sha256",
            ],
            "MaxAgeSeconds": 3000,
        }
    ]


def create_people() -> list[dict]:
    """Create an admin and three artists; return their log-ins with passwords made for this run."""
    people = [("admin", UseS3Replication.NO, "admin: preferences, speed test")]
    people += [
        (f"artist-{mode}", mode, f"artist, Use S3 Replication = {mode}")
        for mode in UseS3Replication.values
    ]
    logins = []
    for username, mode, what in people:
        password = secrets.token_urlsafe(9)
        is_admin = username == "admin"
        User.objects.create_user(
            username,
            f"{username}@example.com",
            password,
            use_s3_replication=mode,
            is_staff=is_admin,
            is_superuser=is_admin,
        )
        logins.append(
            {
                "username": username,
                "password": password,
                "use_s3_replication": str(mode),
                "is_staff": is_admin,
                "what": what,
            }
        )
    return logins


def write_preferences(endpoints: dict[str, str], *, delay: int) -> None:
    """Save Site Preferences for the embedded S3: two configurations, the replica, the delay.

    `endpoints` are the addresses of the embedded S3's buckets by name; `delay` is in seconds.
    """
    configurations = {}
    for name, entry in zip((PRIMARY, REPLICA), BUCKETS, strict=True):
        bucket, region = entry.split(":")[:2]
        configurations[name] = {
            "region": region,
            "bucket": bucket,
            "prefix": PREFIX,
            "aws_role_arn": ROLE_ARN,
            "external_id": EXTERNAL_ID,
            "endpoint_url": endpoints[bucket],
            "addressing_style": "path",
        }
    save_preferences(
        {
            "s3_configuration": json.dumps(configurations, indent=4),
            "s3_bucket_for_replication": REPLICA,
            "s3_replication_delay": delay,
            "s3_replication_ip_addresses": "10.20.0.0/16",
            "storage_location": PRIMARY,
            "verify_replica_copies": True,
        },
        base_version=SitePreferences.objects.get(pk=1).version,
        user=User.objects.get(username="admin"),
        source=PreferenceSource.COMMAND_LINE,
        comment="The demo’s two buckets",
    )


def upload_samples() -> list[MediaFile]:
    """Upload the sample media as artist-yes, the way a browser does; return the media files."""
    user = User.objects.get(username="artist-yes")
    preferences = current_preferences()
    media_files = []
    for sample in samples():
        upload, plan = uploads.begin(
            user=user,
            name=sample.name,
            size=len(sample.data),
            declared_type=sample.content_type,
            preferences=preferences,
            now=timezone.now(),
        )
        etags = []
        for start in range(1, plan.count + 1, uploads.PARTS_AT_ONCE):
            numbers = range(start, min(start + uploads.PARTS_AT_ONCE, plan.count + 1))
            links = uploads.sign_parts(upload=upload, numbers=numbers, preferences=preferences)
            for link in links:
                offset = (link.number - 1) * plan.part_size
                part = memoryview(sample.data)[offset : offset + link.length]
                answer = requests.put(link.url, data=part, timeout=60)
                answer.raise_for_status()
                etags.append((link.number, answer.headers["ETag"]))
        media_files.append(
            uploads.complete(
                upload=upload, parts=etags, preferences=preferences, now=timezone.now()
            )
        )
    return media_files
