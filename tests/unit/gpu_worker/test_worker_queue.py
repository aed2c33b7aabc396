"""What the worker makes of SQS's answers."""

import boto3
import pytest
from botocore.stub import Stubber
from mypy_boto3_sqs import SQSClient

from faces.contracts.errors import TransientError
from gpu_worker.queue import Received, SqsQueue

URL = "https://sqs.eu-central-1.amazonaws.com/1/req"


@pytest.fixture
def sqs() -> SQSClient:
    return boto3.client(
        "sqs",
        region_name="eu-central-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )


def messages(count: int) -> list[Received]:
    return [Received(f"m{number}", f"r{number}", "", 1) for number in range(count)]


def test_an_extension_that_sqs_failed_on_is_no_lost_message(sqs: SQSClient) -> None:
    held = messages(3)
    failed = [
        {"Id": "0", "SenderFault": True, "Code": "ReceiptHandleIsInvalid"},
        {"Id": "2", "SenderFault": False, "Code": "InternalError"},
    ]
    with Stubber(sqs) as stub:
        answer = {"Successful": [{"Id": "1"}], "Failed": failed}
        stub.add_response("change_message_visibility_batch", answer)
        assert SqsQueue(sqs, URL, 60).extend(held) == [held[0]]


def test_many_are_handed_back_ten_at_a_time(sqs: SQSClient) -> None:
    """A worker on a GPU holds hundreds, and has seconds left."""
    with Stubber(sqs) as stub:
        for first, last in ((0, 10), (10, 20), (20, 25)):
            entries = [
                {"Id": str(n - first), "ReceiptHandle": f"r{n}", "VisibilityTimeout": 0}
                for n in range(first, last)
            ]
            stub.add_response(
                "change_message_visibility_batch",
                {"Successful": [], "Failed": []},
                {"QueueUrl": URL, "Entries": entries},
            )
        SqsQueue(sqs, URL, 60).release(messages(25), 0)
        stub.assert_no_pending_responses()


def test_those_after_a_call_that_failed_are_handed_back_all_the_same(sqs: SQSClient) -> None:
    with Stubber(sqs) as stub:
        stub.add_client_error("change_message_visibility_batch", "ServiceUnavailable")
        stub.add_response("change_message_visibility_batch", {"Successful": [], "Failed": []})
        with pytest.raises(TransientError):
            SqsQueue(sqs, URL, 60).release(messages(12), 0)
        stub.assert_no_pending_responses()
