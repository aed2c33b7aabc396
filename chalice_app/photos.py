"""Photos go with the faces that were made of them."""

from collections.abc import Sequence

from chalice_app.dependencies import Context
from chalice_app.observability import logger
from faces.contracts.errors import TransientError
from faces.contracts.names import upload_key


def delete_photos(context: Context, jobs: Sequence[str]) -> None:
    """Delete the photos of jobs now; where S3 or database are away the sweep does it later."""
    try:
        bucket = context.settings.names.in_bucket
        context.objects.delete_many(bucket, [upload_key(job_id) for job_id in jobs])
        context.gallery.photos_deleted(jobs)
    except TransientError:
        logger.warning("photos are left to the sweep", photos=len(jobs))
