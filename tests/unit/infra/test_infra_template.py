"""The template makes exactly what the contracts name, and leaves nothing open."""

import functools
import re
from typing import Any

import pytest
from cfnlint.decode import cfn_yaml

from faces.contracts.names import REQ_MESSAGE_MAX_BYTES, TAG_ROLE, TAG_STACK, StackNames
from faces.contracts.worker_settings import WorkerSettings
from infra import worker_policy
from infra.parts import DATA, IMAGE, NETWORK, PARTS, Part
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
    assert queues["ReqQueue"]["RedrivePolicy"]["maxReceiveCount"] == 5


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


# Actions that know no resources (Service Authorization Reference): metrics are bound to a
# namespace, the rest concerns the instance itself.
UNNAMEABLE = {
    "cloudwatch:PutMetricData",
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
}


def worker_statements() -> list[dict[str, Any]]:
    (role,) = of_type("AWS::IAM::Role").values()
    statements = role["Policies"][0]["PolicyDocument"]["Statement"]
    return [each["Fn::If"][1] if "Fn::If" in each else each for each in statements]


def test_the_worker_names_what_it_may_do_wherever_a_name_can_stand() -> None:
    for statement in worker_statements():
        named = statement["Action"]
        actions = set(named if isinstance(named, list) else [named])
        assert not any("*" in action for action in actions)
        if statement["Resource"] == "*":
            assert actions <= UNNAMEABLE, statement["Sid"]


def test_the_workers_policy_file_is_what_the_template_says() -> None:
    assert worker_policy.TARGET.read_text() == worker_policy.render(), (
        "python -m infra.worker_policy writes it anew"
    )
    actions = {(each["Sid"], str(each["Action"])) for each in worker_policy.policy()["Statement"]}
    assert actions == {(each["Sid"], str(each["Action"])) for each in worker_statements()}
    assert "Fn::" not in worker_policy.render()


def test_user_data_holds_every_setting_that_an_instance_cannot_find_out_and_no_secret() -> None:
    (template,) = of_type("AWS::EC2::LaunchTemplate").values()
    script = template["LaunchTemplateData"]["UserData"]["Fn::Base64"]["Fn::Sub"]
    lines = dict(line.split("=", 1) for line in script.splitlines() if re.match(r"[A-Z_]+=", line))
    assert set(lines) == {
        "FACES_STACK",
        "AWS_REGION",
        "WORKER_METADATA_URL",
        "DATABASE_URL",
        "CACHE_URL",
    }
    settings = WorkerSettings.load({**lines, "FACES_STACK": "faces-x", "CACHE_URL": ""})
    assert settings.metadata_url == "http://169.254.169.254"


@pytest.mark.parametrize("part", [*PARTS, IMAGE], ids=lambda part: part.name)
def test_a_template_fits_into_one_call(part: Part) -> None:
    """CloudFormation takes 51,200 bytes in a call (quotas, its user guide)."""
    assert len(part.template.read_bytes()) <= 51_200


def test_nothing_in_the_network_is_open_to_the_internet() -> None:
    resources = cfn_yaml.load(str(NETWORK.template))["Resources"]
    kinds = {each["Type"] for each in resources.values()}
    assert not kinds & {"AWS::EC2::InternetGateway", "AWS::EC2::NatGateway", "AWS::EC2::Route"}
    groups = [e["Properties"] for e in resources.values() if e["Type"].endswith("SecurityGroup")]
    for group in groups:
        for rule in group.get("SecurityGroupIngress", []):
            assert rule["SourceSecurityGroupId"] == {"Ref": "ClientsGroup"}
    services = {
        each["Properties"]["ServiceName"]["Fn::Sub"].rsplit(".", 1)[1]: each["Properties"]
        for each in resources.values()
        if each["Type"] == "AWS::EC2::VPCEndpoint"
    }
    assert services.pop("s3")["VpcEndpointType"] == "Gateway"
    assert {"sqs", "ec2", "logs", "ssm", "ssmmessages"} <= services.keys()
    assert {each["VpcEndpointType"] for each in services.values()} == {"Interface"}


def test_the_database_is_closed_encrypted_and_without_a_password() -> None:
    database = cfn_yaml.load(str(DATA.template))["Resources"]["Database"]
    assert database["DeletionPolicy"] == "Snapshot"
    given = database["Properties"]
    assert given["PubliclyAccessible"] is False
    for name in (
        "StorageEncrypted",
        "EnableIAMDatabaseAuthentication",
        "ManageMasterUserPassword",
        "CopyTagsToSnapshot",
    ):
        assert given[name] is True
    assert not {"MasterUserPassword"} & given.keys()


def test_what_the_database_logs_is_deleted_in_the_end() -> None:
    made = cfn_yaml.load(str(DATA.template))["Resources"]
    database = made["Database"]
    exported = database["Properties"]["EnableCloudwatchLogsExports"]
    groups = {
        each["Properties"]["LogGroupName"]["Fn::Sub"]: each["Properties"]["RetentionInDays"]
        for name, each in made.items()
        if each["Type"] == "AWS::Logs::LogGroup" and name in database["DependsOn"]
    }
    place = "/aws/rds/instance/${StackName}-database/"
    assert groups == {f"{place}{name}": 30 for name in exported}


def test_images_of_both_kinds_can_be_made_for_one_stage() -> None:
    for logical, each in cfn_yaml.load(str(IMAGE.template))["Resources"].items():
        for key, name in each["Properties"].items():
            if key.endswith("Name"):
                assert "${Kind}" in name.get("Fn::Sub", "${Kind}"), f"{logical}.{key}"


def test_every_size_of_the_database_that_the_guide_names_can_grow() -> None:
    """RDS wants the limit to be a tenth above the size at least."""
    limit = cfn_yaml.load(str(DATA.template))["Parameters"]["DatabaseMaxGiB"]["Default"]
    guide = (TEMPLATE.parent.parent / "docs" / "sizing.md").read_text()
    sizes = [int(size) for size in re.findall(r"\| db\.[^|]+\| (\d+) \|", guide)]
    assert len(sizes) == 4
    assert all(limit >= 1.1 * size for size in sizes)
