"""Python SDK: submit photos, wait for answers, enrol unknown faces, draw the results.

What the clients do is written once, as coroutines (`operations` and the modules below it,
`connection` for tries and waits). `AsyncClient` runs them on asyncio; `Client` runs them on
a runtime that blocks (`runtime`, `blocking`).
"""

from faces.client.aio import AsyncClient
from faces.client.answers import Answer
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
from faces.client.streaming import Pace
from faces.client.sync import Client
from faces.client.webhooks import BadSignature, verify_webhook

__all__ = [
    "Answer",
    "ApiError",
    "AsyncClient",
    "BadSignature",
    "BatchTimeout",
    "Client",
    "ClientError",
    "ConnectionFailed",
    "JobFailed",
    "JobTimeout",
    "Pace",
    "Photo",
    "PhotoNotReadable",
    "PollPolicy",
    "RetryPolicy",
    "UnexpectedAnswer",
    "UploadRefused",
    "verify_webhook",
]
