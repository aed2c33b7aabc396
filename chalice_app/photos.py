"""Photos go with the faces that were made of them."""

from collections.abc import Sequence
from typing import Protocol

from chalice_app.aws import Objects
from chalice_app.observability import logger
from faces.contracts.errors import TransientError
from faces.contracts.names import StackNames, upload_key


class Requests(Protocol):
    """Remembers which photos are to be deleted (`faces.gallery.directory.Directory`)."""

    def photos_deleted(self, jobs: Sequence[str]) -> None: ...


def delete_photos(
    jobs: Sequence[str], *, objects: Objects, names: StackNames, requests: Requests
) -> None:
    """Delete the photos of jobs now; where S3 or database are away the sweep does it later."""
    try:
        objects.delete_many(names.in_bucket, [upload_key(job_id) for job_id in jobs])
        requests.photos_deleted(jobs)
    except TransientError:
        logger.warning("photos are left to the sweep", photos=len(jobs))
