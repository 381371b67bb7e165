"""shotmedia.s3.errors: which exception a failure becomes."""

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)
from botocore.exceptions import SSLError as BotoSSLError

from shotmedia.s3 import errors


def client_error(code: str, status: int, operation: str = "GetObject") -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": "words"},
            "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "REQ1"},
        },
        operation,
    )


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("NoSuchKey", 404, errors.ObjectMissing),
        ("404", 404, errors.ObjectMissing),
        ("NoSuchVersion", 404, errors.ObjectMissing),
        ("NoSuchUpload", 404, errors.UploadMissing),
        ("NoSuchBucket", 404, errors.BucketMissing),
        ("AccessDenied", 403, errors.AccessDenied),
        ("403", 403, errors.AccessDenied),
        ("SignatureDoesNotMatch", 403, errors.AccessDenied),
        ("SlowDown", 503, errors.Unreachable),
        ("InternalError", 500, errors.Unreachable),
        ("RequestTimeout", 400, errors.Unreachable),
    ],
)
def test_known_codes(code: str, status: int, expected: type[errors.S3Error]) -> None:
    with pytest.raises(errors.S3Error) as caught, errors.translated("Reading"):
        raise client_error(code, status)
    error = caught.value
    assert type(error) is expected
    assert (error.code, error.status, error.message) == (code, status, "words")
    assert (error.request_id, error.operation) == ("REQ1", "Reading")
    assert str(error) == f"words (Reading {code})"
    assert isinstance(error.__cause__, ClientError)


def test_head_bucket_404_is_a_missing_bucket() -> None:
    with pytest.raises(errors.BucketMissing), errors.translated("HeadBucket"):
        raise client_error("404", 404, "HeadBucket")


def test_403_is_never_missing() -> None:
    assert not issubclass(errors.AccessDenied, errors.ObjectMissing)


@pytest.mark.parametrize(
    "error",
    [
        client_error("InvalidPart", 400),
        client_error("PermanentRedirect", 301),
        ParamValidationError(report="x"),
        KeyError("x"),
    ],
)
def test_everything_else_propagates(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, errors.translated("Reading"):
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="https://x"),
        ConnectTimeoutError(endpoint_url="https://x"),
        ReadTimeoutError(endpoint_url="https://x"),
        BotoSSLError(endpoint_url="https://x", error="bad"),
    ],
)
def test_no_answer_is_unreachable(error: Exception) -> None:
    with pytest.raises(errors.Unreachable) as caught, errors.translated("Reading"):
        raise error
    assert caught.value.status == 0
    assert caught.value.code == type(error).__name__


def test_no_credentials() -> None:
    with pytest.raises(errors.CredentialsUnavailable), errors.translated("Reading"):
        raise NoCredentialsError


def test_words_for_people_name_no_arns() -> None:
    said = (
        "User: arn:aws:sts::111122223333:assumed-role/media/site-a is not authorized to perform: "
        's3:PutObject on resource: "arn:aws-cn:s3:::bucket/key" because no policy allows it'
    )
    assert errors.without_arns(said) == (
        "User: […] is not authorized to perform: "
        's3:PutObject on resource: "[…]" because no policy allows it'
    )
