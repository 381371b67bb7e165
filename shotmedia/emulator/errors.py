"""Answers that refuse a request, in S3's and STS's own codes and XML."""

from xml.sax.saxutils import escape

REASONS = {
    100: "Continue",
    200: "OK",
    204: "No Content",
    206: "Partial Content",
    301: "Moved Permanently",
    304: "Not Modified",
    307: "Temporary Redirect",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    411: "Length Required",
    412: "Precondition Failed",
    413: "Content Too Large",
    416: "Requested Range Not Satisfiable",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Slow Down",
}

NO_SUCH_KEY = "The specified key does not exist."
NO_SUCH_BUCKET = "The specified bucket does not exist"
ACCESS_DENIED = "Access Denied"


class Refusal(Exception):
    """The request is answered with an error.

    Arguments: `code` and `status` as AWS gives them, `message` for people, `elements` for the
    extra XML elements of that error (name to text), `headers` for extra answer headers.
    """

    def __init__(
        self,
        code: str,
        status: int,
        message: str,
        elements: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.status = status
        self.message = message
        self.elements = elements or {}
        self.headers = headers or {}


def access_denied(message: str = ACCESS_DENIED, **elements: str) -> Refusal:
    """The 403 that S3 gives when a policy, an expiry or a missing signature is the reason."""
    return Refusal("AccessDenied", 403, message, elements)


def no_such_key(key: str) -> Refusal:
    """404 of an object that is not there."""
    return Refusal("NoSuchKey", 404, NO_SUCH_KEY, {"Key": key})


def no_such_bucket(bucket: str) -> Refusal:
    """404 of a bucket that is not there."""
    return Refusal("NoSuchBucket", 404, NO_SUCH_BUCKET, {"BucketName": bucket})


def no_such_upload(upload_id: str) -> Refusal:
    """404 of a multipart upload that is unknown, completed long ago or aborted."""
    return Refusal(
        "NoSuchUpload",
        404,
        "The specified upload does not exist. The upload ID may be invalid, "
        "or the upload may have been aborted or completed.",
        {"UploadId": upload_id},
    )


def invalid_argument(message: str, name: str = "", value: str = "") -> Refusal:
    """400 InvalidArgument, naming the argument when `name` is given."""
    elements = {"ArgumentName": name, "ArgumentValue": value} if name else {}
    return Refusal("InvalidArgument", 400, message, elements)


def malformed_xml() -> Refusal:
    """400 of a document that does not parse or lacks what the operation needs."""
    return Refusal(
        "MalformedXML",
        400,
        "The XML you provided was not well-formed or did not validate against our published schema",
    )


def clean(text: str) -> str:
    """`text` with everything that XML 1.0 can't hold replaced, then escaped."""
    return escape("".join(c if c in "\t\n\r" or c >= " " else "�" for c in text))


def s3_error_body(refusal: Refusal, resource: str, request_id: str, host_id: str) -> bytes:
    """S3's error document (Amazon S3 API Reference, "REST Error Responses")."""
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>\n<Error>',
        f"<Code>{clean(refusal.code)}</Code><Message>{clean(refusal.message)}</Message>",
        *(f"<{name}>{clean(text)}</{name}>" for name, text in refusal.elements.items()),
        f"<Resource>{clean(resource)}</Resource>" if not refusal.elements else "",
        f"<RequestId>{request_id}</RequestId><HostId>{host_id}</HostId></Error>",
    ]
    return "".join(parts).encode()


def sts_error_body(refusal: Refusal, request_id: str) -> bytes:
    """STS's error document (query protocol)."""
    return (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">\n  <Error>\n'
        f"    <Type>{'Sender' if refusal.status < 500 else 'Receiver'}</Type>\n"
        f"    <Code>{clean(refusal.code)}</Code>\n    <Message>{clean(refusal.message)}</Message>\n"
        f"  </Error>\n  <RequestId>{request_id}</RequestId>\n</ErrorResponse>\n"
    ).encode()
