"""What /api/preferences/ takes and answers: the types that its document is made from."""

from typing import Any

from ninja import Field, Schema
from pydantic import AwareDatetime, ConfigDict


class Values(Schema):
    """All preferences, by name. S3 Configuration is the JSON text that the page shows."""

    s3_configuration: str
    s3_bucket_for_replication: str
    s3_replication_delay: int = Field(description="seconds")
    s3_replication_ip_addresses: str = Field(description="one address or range per line")
    storage_location: str
    verify_replica_copies: bool


class SomeValues(Schema):
    """The preferences that were asked for, by name."""

    s3_configuration: str = Field(default_factory=str)
    s3_bucket_for_replication: str = Field(default_factory=str)
    s3_replication_delay: int = Field(default_factory=int)
    s3_replication_ip_addresses: str = Field(default_factory=str)
    storage_location: str = Field(default_factory=str)
    verify_replica_copies: bool = Field(default_factory=bool)


class NewValues(Values):
    """All preferences. S3 Configuration may be JSON text or the object itself."""

    model_config = ConfigDict(extra="forbid", strict=True)
    s3_configuration: str | dict[str, Any]


class SomeNewValues(SomeValues):
    """The preferences to be changed; the others stay."""

    model_config = ConfigDict(extra="forbid", strict=True)
    s3_configuration: str | dict[str, Any] = Field(default_factory=str)


class Remark(Schema):
    """One error, warning or notice, with its place in the field's text (0: no such place)."""

    field: str
    line: int
    column: int
    code: str
    message: str


class Skipped(Schema):
    """A preference that was not changed, since the environment sets it."""

    field: str
    message: str


class Done(Schema):
    """What a save did. Nothing changed: no changes, and the revision is the one before."""

    revision: int
    changes: list[str]
    values: Values
    warnings: list[Remark]
    notices: list[Remark]
    skipped: list[Skipped]


class Problem(Schema):
    """Why a request failed: a code for scripts, a sentence for people, and each error."""

    error: str
    message: str
    errors: list[Remark] = Field(default_factory=list)


class Revision(Schema):
    """A revision of Site Preferences."""

    number: int
    created: AwareDatetime
    username: str
    source: str
    address: str
    comment: str
    restored_from: int | None


class FullRevision(Revision):
    """A revision with its values."""

    values: Values
