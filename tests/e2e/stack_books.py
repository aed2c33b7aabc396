"""The books of what a whole local stack was sent while its parts died."""

import contextlib
import os
import time
from collections import Counter
from typing import Any, Literal

import boto3
import pytest

from faces.client import Client
from faces.client.errors import JobTimeout
from faces.contracts.names import DEAD_LETTER_PREFIX, RESULT_PREFIX, result_key
from faces.contracts.results import JobResult
from local_stack.stack import LocalStack
from tests.chaos.accounting import SUCCEEDED, Ledger, account, end_of
from tests.chaos.play import Outcome
from tests.chaos.rows import keep
from tests.e2e.waiting import eventually

# Minutes on a busy machine, whose emulated Lambdas start slowly after they were killed.
long_form = pytest.mark.skipif(
    "FACES_TEST_CHAOS" not in os.environ, reason="a part of `make chaos` (FACES_TEST_CHAOS)"
)
# Longer than anything hides a message that a dead part held.
SECONDS = 400


def aws(stack: LocalStack, service: Literal["s3", "sqs", "lambda", "logs"]) -> Any:
    environment = stack.client_environment()
    return boto3.client(
        service,
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )


def keys(stack: LocalStack, bucket: str, prefix: str) -> set[str]:
    s3 = aws(stack, "s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {item["Key"] for page in pages for item in page.get("Contents", [])}


def answered(client: Client, jobs: list[str]) -> None:
    """Wait until jobs have ended, however; the books say of each."""
    with contextlib.suppress(JobTimeout):
        for job in jobs:
            client.wait(job, timeout=SECONDS)


def settled(
    stack: LocalStack,
    name: str,
    jobs: list[str],
    told: dict[str, Counter[str]] | None,
    began: float,
    recovered: float,
) -> None:
    """Close the books of some jobs, keep their line for the table of `make chaos`, and judge."""
    names = stack.settings.names

    def ours(prefix: str) -> list[str]:
        found = keys(stack, names.out_bucket, prefix)
        return [job for job in jobs if f"{prefix}{job}.json" in found]

    with contextlib.suppress(AssertionError):
        eventually(lambda: not left(stack), "the queues are empty", 120)
    ledger = Ledger(
        uploads=dict.fromkeys(jobs, SUCCEEDED),
        results={job: end(stack, job) for job in ours(RESULT_PREFIX)},
        told=told,
        dead_letters=set(ours(DEAD_LETTER_PREFIX)),
        left=left(stack),
    )
    outcome = Outcome(name, account(ledger), time.monotonic() - began, recovered, ())
    keep(outcome)
    assert outcome.account.problems == ()
    assert outcome.account.survived == len(jobs)


def end(stack: LocalStack, job: str) -> str:
    found = aws(stack, "s3").get_object(Bucket=stack.settings.names.out_bucket, Key=result_key(job))
    return end_of(JobResult.model_validate_json(found["Body"].read()))


def left(stack: LocalStack) -> dict[str, int]:
    """Return the messages that remain, those in hand included."""
    sqs, names = aws(stack, "sqs"), stack.settings.names
    counts = {}
    for queue in (names.uploads_queue, names.req_queue, names.resp_queue):
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        wanted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=wanted)["Attributes"]
        counts[queue] = sum(int(found[each]) for each in wanted)
    return {queue: count for queue, count in counts.items() if count}
