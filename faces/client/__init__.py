"""Python SDK: submit photos, wait for answers, enrol unknown faces, draw the results."""

from faces.client.errors import (
    ApiError,
    BatchTimeout,
    ClientError,
    ConnectionFailed,
    JobFailed,
    JobTimeout,
    PhotoNotReadable,
    UnexpectedAnswer,
    UploadRefused,
)
from faces.client.photos import Photo
from faces.client.polling import PollPolicy
from faces.client.retry import RetryPolicy
from faces.client.sync import Client

__all__ = [
    "ApiError",
    "BatchTimeout",
    "Client",
    "ClientError",
    "ConnectionFailed",
    "JobFailed",
    "JobTimeout",
    "Photo",
    "PhotoNotReadable",
    "PollPolicy",
    "RetryPolicy",
    "UnexpectedAnswer",
    "UploadRefused",
]
