"""Reading uploaded photos from the in-bucket."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import ClientError

from faces.contracts.errors import ErrorCode, PhotoError
from gpu_worker.aws import aws_call, error_code, require_whole

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_GONE = "The photo is no longer stored; send it again."


@dataclass(frozen=True)
class Upload:
    """An uploaded object; all but its first byte is read when `read` is called.

    Attributes
    ----------
    metadata : the request, see `JobRequest.from_metadata`.
    read : returns the bytes; raises PhotoError `upload_too_large` before it reads more
        than the limit, and TransientError when the connection breaks.
    """

    metadata: dict[str, str]
    read: Callable[[], bytes]


class UploadStore(Protocol):
    """Where uploads are."""

    def open(self, key: str) -> Upload:
        """Open an upload; PhotoError `upload_rejected` when it is no longer there."""


class S3Uploads:
    """Uploads in an S3 bucket.

    Parameters
    ----------
    max_bytes : larger objects are refused, whatever the message said of their size.
    """

    def __init__(self, s3: "S3Client", bucket: str, max_bytes: int) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._max_bytes = max_bytes

    def open(self, key: str) -> Upload:
        """Open an upload.

        Raises
        ------
        PhotoError
            `upload_rejected` when it is not there.
        TransientError
            When S3 does not answer.
        """
        with aws_call("reading the upload"):
            try:
                answer = self._s3.get_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if error_code(error) in {"NoSuchKey", "404"}:
                    raise PhotoError(ErrorCode.UPLOAD_REJECTED, _GONE) from None
                raise
        require_whole(answer)
        body, size = answer["Body"], answer["ContentLength"]
        with aws_call("reading the upload"):
            first = body.read(1)  # once it is here, the metadata before it is whole

        def read() -> bytes:
            with body:
                if size > self._max_bytes:
                    raise PhotoError(ErrorCode.UPLOAD_TOO_LARGE)
                with aws_call("reading the upload"):
                    return first + body.read()

        return Upload(metadata=dict(answer["Metadata"]), read=read)
