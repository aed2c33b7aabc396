"""The template makes exactly what the contracts name, and leaves nothing open."""

import functools
from typing import Any

import pytest
from cfnlint.decode import cfn_yaml

from faces.contracts.names import REQ_MESSAGE_MAX_BYTES, TAG_ROLE, TAG_STACK, StackNames
from local_stack.cloudformation import TEMPLATE

NAMES = StackNames("faces-x")
QUEUES = (
    "uploads_queue",
    "uploads_dlq",
    "req_queue",
    "req_dlq",
    "resp_queue",
    "resp_dlq",
    "webhooks_queue",
    "webhooks_dlq",
)


@functools.cache
def resources() -> dict[str, Any]:
    found: dict[str, Any] = cfn_yaml.load(str(TEMPLATE))["Resources"]
    return found


def of_type(kind: str) -> dict[str, Any]:
    return {
        logical: each["Properties"] for logical, each in resources().items() if each["Type"] == kind
    }


def filled(value: Any) -> str:
    text: str = value["Fn::Sub"]
    return text.replace("${StackName}", NAMES.stack)


def test_queues_are_those_of_the_contracts() -> None:
    made = {filled(each["QueueName"]) for each in of_type("AWS::SQS::Queue").values()}
    assert made == {getattr(NAMES, name) for name in QUEUES}


def test_buckets_are_those_of_the_contracts_and_closed() -> None:
    buckets = of_type("AWS::S3::Bucket")
    assert {filled(each["BucketName"]) for each in buckets.values()} == {
        NAMES.in_bucket,
        NAMES.out_bucket,
    }
    for each in buckets.values():
        assert set(each["PublicAccessBlockConfiguration"].values()) == {True}
        assert each["BucketEncryption"]
        assert each["LifecycleConfiguration"]


def test_requests_hold_references_only() -> None:
    assert of_type("AWS::SQS::Queue")["ReqQueue"]["MaximumMessageSize"] == REQ_MESSAGE_MAX_BYTES


@pytest.mark.parametrize("kind", ["AWS::SQS::QueuePolicy", "AWS::S3::BucketPolicy"])
def test_every_queue_and_bucket_refuses_unencrypted_calls(kind: str) -> None:
    key = "Queues" if "Queue" in kind else "Bucket"
    covered = set()
    for policy in of_type(kind).values():
        denials = [
            each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Deny"
        ]
        assert [each["Condition"] for each in denials] == [{"Bool": {"aws:SecureTransport": False}}]
        named = policy[key] if isinstance(policy[key], list) else [policy[key]]
        covered |= {each["Ref"] for each in named}
    wanted = "AWS::SQS::Queue" if key == "Queues" else "AWS::S3::Bucket"
    assert covered == set(of_type(wanted))


def test_a_dead_letter_outlives_the_queue_that_it_came_from() -> None:
    queues = of_type("AWS::SQS::Queue")
    for each in queues.values():
        if "RedrivePolicy" in each:
            target = queues[each["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]]
            assert target["MessageRetentionPeriod"] > each["MessageRetentionPeriod"]
    assert queues["ReqQueue"]["RedrivePolicy"]["maxReceiveCount"] == 3


def test_photos_outlive_the_jobs_that_wait_for_them() -> None:
    days = cfn_yaml.load(str(TEMPLATE))["Parameters"]["UploadDays"]["MinValue"]
    queue = of_type("AWS::SQS::Queue")["ReqQueue"]
    assert days * 86_400 > queue["MessageRetentionPeriod"]


def test_workers_are_tagged_and_ask_for_metadata_by_session_only() -> None:
    (template,) = of_type("AWS::EC2::LaunchTemplate").values()
    assert filled(template["LaunchTemplateName"]) == NAMES.launch_template
    data = template["LaunchTemplateData"]
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    tagged = {each["ResourceType"]: each["Tags"] for each in data["TagSpecifications"]}
    assert {tag["Key"] for tag in tagged["instance"]} == {TAG_STACK, TAG_ROLE}


def test_the_worker_may_do_nothing_to_everything_but_publish_its_metrics() -> None:
    (role,) = of_type("AWS::IAM::Role").values()
    for statement in role["Policies"][0]["PolicyDocument"]["Statement"]:
        actions = statement["Action"]
        for action in actions if isinstance(actions, list) else [actions]:
            assert "*" not in action
        if statement["Resource"] == "*":
            assert statement["Sid"] == "PublishMetrics"
            assert statement["Condition"]
