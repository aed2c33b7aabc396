"""Put jobs back on their way after the emulator lost its queues.

The emulator keeps objects on disk and messages in memory. A photo without a result is a
job whose message is gone; telling intake of the photo once more starts it again. Intake
takes a photo twice without harm, as S3 may also tell of it twice.
"""

import json
from typing import TYPE_CHECKING, Any

from faces.contracts.names import UPLOAD_PREFIX, StackNames, result_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient


def resume_jobs(objects: "S3Client", queues: "SQSClient", names: StackNames) -> int:
    """Send an ObjectCreated event for each photo without a result; return how many."""
    photos = _listed(objects, names.in_bucket)
    answered = _listed(objects, names.out_bucket).keys()
    open_jobs = [
        (key, size)
        for key, size in photos.items()
        if result_key(key.removeprefix(UPLOAD_PREFIX)) not in answered
    ]
    if open_jobs:
        url = queues.get_queue_url(QueueName=names.uploads_queue)["QueueUrl"]
        for key, size in open_jobs:
            queues.send_message(QueueUrl=url, MessageBody=json.dumps(_event(names, key, size)))
    return len(open_jobs)


def _listed(objects: "S3Client", bucket: str) -> dict[str, int]:
    """Return the size of each object in bytes by its key."""
    pages = objects.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])}


def _event(names: StackNames, key: str, size: int) -> dict[str, Any]:
    """Return the notification as S3 sends it ("Event message structure", S3 user guide)."""
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "eventName": "ObjectCreated:Post",
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "bucket": {"name": names.in_bucket, "arn": f"arn:aws:s3:::{names.in_bucket}"},
                    "object": {"key": key, "size": size},
                },
            }
        ]
    }
