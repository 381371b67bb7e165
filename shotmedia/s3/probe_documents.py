"""Texts that an admin pastes into AWS: CORS rules, policies, a lifecycle rule. All pure.

"Speed test reference", section 10, and "S3, STS and replication", section 3.4.
"""

import json
import re
from dataclasses import fields
from typing import Any

from .config import BucketConfig

TEST_PATH = ".speedtest/"
"""Everything that the checks and the speed test touch is below this path."""
RUNS_PATH = f"{TEST_PATH}runs/"

EXPOSED_HEADERS = (
    "ETag",
    "Content-Length",
    "Content-Range",
    "Accept-Ranges",
    "Date",
    "x-amz-request-id",
    "x-amz-id-2",
    "x-amz-version-id",
    "x-amz-replication-status",
    "x-amz-checksum-crc32",
    "x-amz-checksum-sha256",
)

OBJECT_ACTIONS = (
    "s3:PutObject",
    "s3:GetObject",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
)
LIST_ACTIONS = ("s3:ListBucket", "s3:ListBucketVersions")
UPLOADS_ACTION = "s3:ListBucketMultipartUploads"
"""AWS gives this one no s3:prefix (Service Authorization Reference), so it stands alone."""


def as_text(document: Any) -> str:
    """The document as indented JSON, ready to paste."""
    return json.dumps(document, indent=2)


def cors_rules(origin: str, *, download_only: bool = False) -> list[dict[str, Any]]:
    """CORS rules for one bucket: the array that the S3 console takes.

    origin         the site's, such as "https://studio.example.com"
    download_only  a replica: browsers read from it and never write to it
    """
    methods = ["GET", "HEAD"] if download_only else ["GET", "HEAD", "PUT"]
    site = re.sub(r"[^A-Za-z0-9]+", "-", origin.partition("://")[2]).strip("-")
    return [
        {
            "ID": f"{site}-media",
            "AllowedOrigins": [origin],
            "AllowedMethods": methods,
            "AllowedHeaders": ["*"],
            "ExposeHeaders": list(EXPOSED_HEADERS),
            "MaxAgeSeconds": 3000,
        }
    ]


def cors_documents(
    config: BucketConfig, origin: str, *, download_only: bool = False
) -> tuple[tuple[str, str], ...]:
    """The CORS rules to paste: as the console takes them, and as the command line does."""
    rules = cors_rules(origin, download_only=download_only)
    return (
        (f"CORS rules for {config.bucket} (S3 console)", as_text(rules)),
        (
            f"The same for: aws s3api put-bucket-cors --bucket {config.bucket} "
            "--cors-configuration file://cors.json",
            as_text({"CORSRules": rules}),
        ),
    )


def corrected_entry(config: BucketConfig, **changes: str) -> str:
    """The entry of S3 Configuration as it is, with `changes`: a JSON text to paste."""
    values = {
        one.name: getattr(config, one.name) for one in fields(config) if one.name != "name"
    } | changes
    shown = ("region", "bucket", "prefix", "aws_role_arn", "s3_interface_vpc_endpoint_dns_name")
    return as_text({config.name: {name: v for name, v in values.items() if v or name in shown}})


def download_statement(config: BucketConfig, address: str) -> dict[str, Any]:
    """The bucket policy statement that keeps downloads to some addresses, with `address` let in.

    As Autodesk's tuning page recommends it, on keys below the prefix. Exempting the role instead
    would exempt everybody: links are signed with it.
    """
    return {
        "Sid": "DownloadsFromTheseAddressesOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:GetObject*",
        "Resource": _arn(config, "*"),
        "Condition": {
            "NotIpAddress": {"aws:SourceIp": [address]},
            "StringNotEquals": {"aws:SourceVpc": ["YOUR-VPC"]},
        },
    }


def replication_rules(config: BucketConfig) -> list[dict[str, Any]]:
    """Filters of replication rules that copy media and the seed, and no test objects.

    A rule cannot exclude a prefix. Media keys begin with the year, so two rules do it.
    """
    return [
        {"ID": "media", "Priority": 1, "Filter": {"Prefix": _below(config, "2")}},
        {"ID": "seed", "Priority": 2, "Filter": {"Prefix": _below(config, f"{TEST_PATH}seed-")}},
    ]


def _arn(config: BucketConfig, path: str = "") -> str:
    bucket = f"arn:{config.partition}:s3:::{config.bucket}"
    if not path:
        return bucket
    return f"{bucket}/{config.prefix}/{path}" if config.prefix else f"{bucket}/{path}"


def _below(config: BucketConfig, path: str) -> str:
    return f"{config.prefix}/{path}" if config.prefix else path


def role_policy(config: BucketConfig, *, download_only: bool = False) -> dict[str, Any]:
    """The least that the site's role needs on this configuration's bucket and prefix."""
    actions = [
        action
        for action in OBJECT_ACTIONS
        if not download_only or action in ("s3:GetObject", "s3:DeleteObject")
    ]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": actions, "Resource": _arn(config, "*")},
            *_listing(config, f"{config.prefix}/*" if config.prefix else ""),
        ],
    }


def _listing(config: BucketConfig, below: str) -> list[dict[str, Any]]:
    """Statements that allow lists, those of objects only below a prefix ("": all)."""
    objects: dict[str, Any] = {
        "Effect": "Allow",
        "Action": list(LIST_ACTIONS),
        "Resource": _arn(config),
    }
    if below:
        objects["Condition"] = {"StringLike": {"s3:prefix": below}}
    return [objects, {"Effect": "Allow", "Action": UPLOADS_ACTION, "Resource": _arn(config)}]


def session_policy(config: BucketConfig) -> dict[str, Any]:
    """The inline policy that narrows an assumed role to the test's own objects.

    The two KMS actions stay as the role has them: without them a bucket encrypted with KMS would
    fail in the test only.
    """
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": [*OBJECT_ACTIONS, "s3:GetObjectVersion"],
                "Resource": _arn(config, f"{TEST_PATH}*"),
            },
            *_listing(config, _below(config, f"{TEST_PATH}*")),
            {"Effect": "Allow", "Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": "*"},
        ],
    }


def kms_statement(config: BucketConfig) -> dict[str, Any]:
    """The policy statement that a bucket encrypted with a KMS key needs."""
    return {
        "Effect": "Allow",
        "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
        "Resource": f"arn:{config.partition}:kms:{config.region}:ACCOUNT:key/KEY",
        "Condition": {
            "StringLike": {"kms:ViaService": f"s3.{config.region}.{config.suffix}"},
        },
    }


def principal(caller_arn: str) -> str:
    """The principal for a trust policy: the role behind an assumed-role session, else as given.

    "arn:aws:sts::111122223333:assumed-role/web/i-1" is "arn:aws:iam::111122223333:role/web" (a
    role with a path needs the path put back by hand: STS does not tell it).
    """
    match = re.fullmatch(r"arn:(aws[a-z-]*):sts::(\d{12}):assumed-role/([^/]+)/.+", caller_arn)
    return f"arn:{match[1]}:iam::{match[2]}:role/{match[3]}" if match else caller_arn


def trust_policy(config: BucketConfig, caller_arn: str) -> dict[str, Any]:
    """The trust policy that lets the site assume the configuration's role."""
    who = principal(caller_arn) or f"arn:{config.partition}:iam::SITEACCOUNT:role/SITEROLE"
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"AWS": who},
        "Action": "sts:AssumeRole",
    }
    if config.external_id:
        statement["Condition"] = {"StringEquals": {"sts:ExternalId": config.external_id}}
    return {"Version": "2012-10-17", "Statement": [statement]}


def caller_policy(config: BucketConfig) -> dict[str, Any]:
    """What the site's own identity needs in order to assume the role."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": config.aws_role_arn}
        ],
    }


def lifecycle_rules(config: BucketConfig) -> dict[str, Any]:
    """Lifecycle rules that remove test objects which nobody removed.

    Two rules, as ExpiredObjectDeleteMarker may not share one with Days.
    """
    where = {"Prefix": _below(config, RUNS_PATH)}
    return {
        "Rules": [
            {
                "ID": "speedtest-runs",
                "Status": "Enabled",
                "Filter": where,
                "Expiration": {"Days": 1},
                "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
            },
            {
                "ID": "speedtest-markers",
                "Status": "Enabled",
                "Filter": where,
                "Expiration": {"ExpiredObjectDeleteMarker": True},
            },
        ]
    }
