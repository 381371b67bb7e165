"""S3's error codes as the few exceptions that the site tells apart."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from botocore import exceptions as botocore_errors


class S3Error(Exception):
    """S3 or STS refused or failed.

    code        S3's error code, or the HTTP status as text where S3 sends no body (HEAD)
    status      HTTP status, 0 when there was no answer
    message     a sentence for a person
    request_id  what AWS support asks for, "" when there was no answer
    operation   the call that failed, e.g. "HeadObject"
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        status: int = 0,
        request_id: str = "",
        operation: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.request_id = request_id
        self.operation = operation

    def __str__(self) -> str:
        about = " ".join(part for part in (self.operation, self.code) if part)
        return f"{self.message} ({about})" if about else self.message


class ObjectMissing(S3Error):
    """There is no such object: 404 on a key."""


class UploadMissing(S3Error):
    """There is no such multipart upload: it was completed, aborted or cleaned up."""


class BucketMissing(S3Error):
    """There is no such bucket."""


class AccessDenied(S3Error):
    """403: the site may not do or see this. Never a proof that the object is missing."""


class Unreachable(S3Error):
    """No usable answer: time-out, refused connection, 5xx or throttling."""


class CredentialsUnavailable(S3Error):
    """No credentials to sign with: none found, the role was refused, or they have expired."""


_CODES: dict[str, type[S3Error]] = {
    "NoSuchKey": ObjectMissing,
    "NoSuchVersion": ObjectMissing,
    "404": ObjectMissing,
    "NotFound": ObjectMissing,
    "NoSuchUpload": UploadMissing,
    "NoSuchBucket": BucketMissing,
    "SlowDown": Unreachable,
    "RequestTimeout": Unreachable,
    "Throttling": Unreachable,
    "ThrottlingException": Unreachable,
    "RequestLimitExceeded": Unreachable,
    "429": Unreachable,
}

_NO_ANSWER = (
    botocore_errors.ConnectionError,
    botocore_errors.HTTPClientError,
)
_NO_CREDENTIALS = (
    botocore_errors.NoCredentialsError,
    botocore_errors.PartialCredentialsError,
    botocore_errors.CredentialRetrievalError,
    botocore_errors.MetadataRetrievalError,
    botocore_errors.ProfileNotFound,
    botocore_errors.TokenRetrievalError,
    botocore_errors.UnauthorizedSSOTokenError,
)


_ARN = re.compile(r"""arn:[^\s"'“”]*[\w*/]""")


def without_arns(text: str) -> str:
    """AWS's words without the ARNs in them, for people who are not to know accounts and roles."""
    return _ARN.sub("[…]", text)


def error_class(code: str, status: int) -> type[S3Error] | None:
    """The exception for an S3 error code and HTTP status, None when the table knows neither."""
    if status >= 500:
        return Unreachable
    known = _CODES.get(code)
    if known is not None:
        return known
    return AccessDenied if status == 403 else None


@contextmanager
def translated(operation: str) -> Iterator[None]:
    """Turn botocore's exceptions into ours where the table knows them; the rest propagates.

    operation: the name that the error shall carry, e.g. "CompleteMultipartUpload".
    """
    try:
        yield
    except botocore_errors.ClientError as error:
        ours = from_client_error(error, operation)
        if ours is None:
            raise
        raise ours from error
    except _NO_CREDENTIALS as error:
        raise CredentialsUnavailable(
            f"No AWS credentials could be read: {error}",
            code=type(error).__name__,
            operation=operation,
        ) from error
    except _NO_ANSWER as error:
        raise Unreachable(
            f"S3 gave no answer: {error}", code=type(error).__name__, operation=operation
        ) from error


def from_client_error(error: botocore_errors.ClientError, operation: str) -> S3Error | None:
    """Our exception for a botocore ClientError, None when the table does not know it."""
    details = error.response.get("Error", {})
    metadata = error.response.get("ResponseMetadata", {})
    code = str(details.get("Code", ""))
    status = int(metadata.get("HTTPStatusCode", 0))
    ours = error_class(code, status)
    if ours is ObjectMissing and error.operation_name == "HeadBucket":
        ours = BucketMissing
    if ours is None:
        return None
    return ours(
        str(details.get("Message") or code or f"HTTP status {status}"),
        code=code,
        status=status,
        request_id=str(metadata.get("RequestId", "")),
        operation=operation,
    )
