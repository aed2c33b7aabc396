"""What the worker makes of SQS's answers."""

import boto3
from botocore.stub import Stubber

from gpu_worker.queue import Received, SqsQueue

URL = "https://sqs.eu-central-1.amazonaws.com/1/req"


def test_an_extension_that_sqs_failed_on_is_no_lost_message() -> None:
    sqs = boto3.client(
        "sqs",
        region_name="eu-central-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    held = [Received(f"m{number}", f"r{number}", "", 1) for number in range(3)]
    failed = [
        {"Id": "0", "SenderFault": True, "Code": "ReceiptHandleIsInvalid"},
        {"Id": "2", "SenderFault": False, "Code": "InternalError"},
    ]
    with Stubber(sqs) as stub:
        answer = {"Successful": [{"Id": "1"}], "Failed": failed}
        stub.add_response("change_message_visibility_batch", answer)
        assert SqsQueue(sqs, URL, 60).extend(held) == [held[0]]
