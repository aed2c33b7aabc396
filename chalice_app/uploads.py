"""Upload forms: presigned POSTs that let in one photo, as announced, and nothing else."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from faces.contracts.errors import InvalidInput
from faces.contracts.jobs import JobRequest, UploadForm
from faces.contracts.names import upload_key
from faces.contracts.settings import ApiSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

META = "x-amz-meta-"
# "The user-defined metadata is limited to 2 KB in size" (S3 user guide, "Object metadata").
METADATA_MAX_BYTES = 2048


def upload_form(
    s3: "S3Client", settings: ApiSettings, job_id: str, request: JobRequest, now: datetime
) -> UploadForm:
    """Return the form by which the photo of a job is sent straight to S3.

    The signed policy fixes the key, the content type, the size (1 to
    `max_upload_bytes`) and each metadata field with its value; S3 refuses a form with a
    field that the policy does not name ("POST policy", S3 API reference).

    Raises
    ------
    InvalidInput
        When the request does not fit into an object's metadata.
    """
    metadata = {META + name: value for name, value in request.to_metadata().items()}
    if not fits(request):
        raise InvalidInput(
            "file_name",
            f"The request takes more than the {METADATA_MAX_BYTES} bytes that are allowed as "
            "object metadata; choose a shorter file name.",
        )
    fields = {"Content-Type": request.content_type.value, **metadata}
    signed = s3.generate_presigned_post(
        Bucket=settings.names.in_bucket,
        Key=upload_key(job_id),
        Fields=dict(fields),
        Conditions=[
            *({name: value} for name, value in fields.items()),
            ["content-length-range", 1, settings.max_upload_bytes],
        ],
        ExpiresIn=settings.upload_seconds,
    )
    return UploadForm(
        url=signed["url"],
        fields=signed["fields"],
        max_bytes=settings.max_upload_bytes,
        expires_at=now + timedelta(seconds=settings.upload_seconds),
    )


def fits(request: JobRequest) -> bool:
    """Return whether a request can ride on an object as its metadata."""
    size = sum(len(META + name) + len(value) for name, value in request.to_metadata().items())
    return size <= METADATA_MAX_BYTES
