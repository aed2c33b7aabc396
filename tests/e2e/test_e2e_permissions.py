"""Roles may do what is done, and nothing else.

The whole local stack runs with permissions enforced, workers as processes with the instance
role's credentials; the emulator writes down each permission at its first use. After
everything that the service can do was done once, what was never used must be among those
below, each of which says who uses it where the emulator cannot see it.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from faces.client import Client, JobFailed
from faces.contracts.collections import Retention
from faces.contracts.ids import new_job_id
from faces.contracts.jobs import JobKind, JobMessage, JobParams, JobRequest
from faces.contracts.names import attempt_key, result_key, upload_key
from local_stack.demo import photos
from local_stack.emulation.permissions import FILE_NAME
from local_stack.emulator import root_session
from local_stack.stack import LocalStack
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.weights

LAMBDA_LOGS = {"logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"}
# By the Lambda service, which reads a function's queue for it (Lambda developer guide,
# "Using Lambda with Amazon SQS"); the emulator's does so without asking. The function itself
# deletes messages, and needs the queue's address for that, when only a part of a batch fails
# (tests/unit/chalice_app/test_front_batch.py).
LAMBDA_POLLER = {
    "sqs:ReceiveMessage",
    "sqs:GetQueueAttributes",
    "sqs:DeleteMessage",
    "TakeMessages: sqs:GetQueueUrl",
}
# S3 asks for it only when the object is missing: without it the answer is 403 instead of 404.
# The emulator answers 404 in any case.
MISSING_OBJECTS = {"TellMissingFromForbidden: s3:ListBucket"}
# EC2 has an emulator of its own, which asks for no permissions. A launch needs more than the
# one call that the scaler makes ("CreateFleet", EC2 API reference, "Required permissions").
EC2 = {
    "ec2:DescribeInstances",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:CreateFleet",
    "ec2:RunInstances",
    "ec2:CreateTags",
    "ec2:DeleteTags",
    "ec2:StartInstances",
    "ec2:StopInstances",
    "ec2:TerminateInstances",
    "iam:PassRole",
    "iam:CreateServiceLinkedRole",
}
ELSEWHERE: dict[str, set[str]] = {
    "api_handler": LAMBDA_LOGS | {"ec2:DescribeInstances"} | MISSING_OBJECTS,
    "intake": LAMBDA_LOGS | LAMBDA_POLLER | MISSING_OBJECTS,
    "notify": LAMBDA_LOGS | LAMBDA_POLLER,
    # The address of the dead-letter queue, after the last of the tries of many hours.
    "webhook": LAMBDA_LOGS | LAMBDA_POLLER | {"SendAgainOrGiveUp: sqs:GetQueueUrl"},
    "dead_requests": LAMBDA_LOGS | LAMBDA_POLLER | MISSING_OBJECTS,
    "dead_uploads": LAMBDA_LOGS | LAMBDA_POLLER | MISSING_OBJECTS,
    # CloudWatch is asked once a minute, and only while photos wait.
    "scale": LAMBDA_LOGS | EC2 | MISSING_OBJECTS | {"cloudwatch:GetMetricData"},
    "sweep": LAMBDA_LOGS,
    "migrate": LAMBDA_LOGS,
    # The CloudWatch agent's, Session Manager's, and what only an instance of EC2 does.
    "worker": MISSING_OBJECTS
    | {
        # Photos that take long, and messages that are delivered again
        # (tests/integration/test_worker_aws.py, test_worker_process.py).
        "sqs:ChangeMessageVisibility",
        "WriteResults: s3:GetObject",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "logs:DescribeLogStreams",
        "cloudwatch:PutMetricData",
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
        "ssm:UpdateInstanceInformation",
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
        "ec2:CreateTags",
    },
}


def client_of(stack: LocalStack, service: Any) -> Any:
    return root_session().client(service, endpoint_url=stack.settings.endpoint_url)


def granted(stack: LocalStack) -> Iterator[tuple[str, str, str]]:
    """Yield role, statement and action of every policy that is deployed."""
    roles, name = client_of(stack, "iam"), stack.settings.stack
    for role in roles.list_roles()["Roles"]:
        full = role["RoleName"]
        short = full.removeprefix(f"{name}-local-").removeprefix(f"{name}-")
        for policy in roles.list_role_policies(RoleName=full)["PolicyNames"]:
            found = roles.get_role_policy(RoleName=full, PolicyName=policy)["PolicyDocument"]
            for statement in found["Statement"]:
                actions = statement["Action"]
                for action in actions if isinstance(actions, list) else [actions]:
                    yield short, statement["Sid"], action


def used(stack: LocalStack) -> set[tuple[str, str, str]]:
    name = stack.settings.stack
    lines = (stack.settings.state_dir / FILE_NAME).read_text().splitlines()
    found = set()
    for line in map(json.loads, lines):
        role = line["principal"].split("/")[1] if "/" in line["principal"] else ""
        short = role.removeprefix(f"{name}-local-").removeprefix(f"{name}-")
        found.add((short, line["statement"], line["action"]))
    return found


def do_everything(stack: LocalStack, client: Client) -> None:
    """Do once whatever the service can do."""
    place = "permissions"
    (face,) = client.identify(photos.astronaut(), collection=place, timeout=90).faces
    assert face.req_id is not None
    client.enroll_req_id(face.req_id, "Eileen Collins", collection=place)
    again = client.send(photos.astronaut_mirrored(), collection=place)
    client.wait(again.job_id)
    # The same again is answered by intake.
    client.identify(photos.astronaut_mirrored(), collection=place)
    client.run(photos.coffee(), JobKind.DETECT, place, JobParams())
    client.delete_job(again.job_id)
    client.manage.operations(minutes=60)
    client.manage.recent_jobs()
    with pytest.raises(JobFailed):
        client.identify(b"\xff\xd8 no photo", collection=place)
    with httpx.Client(base_url=stack.url, headers={"X-Api-Key": stack.api_key}, timeout=60) as api:
        batch = api.post("/v1/batches", json={"kind": "detect", "photos": [{}]}).json()
        api.get(f"/v1/batches/{batch['batch_id']}").raise_for_status()
        called = api.post(
            "/v1/jobs", json={"kind": "detect", "callback_url": "http://127.0.0.1:9/nobody"}
        ).json()
        form = called["upload"]
        httpx.post(
            form["url"], data=form["fields"], files={"file": photos.coffee()}
        ).raise_for_status()
        # Given up, since its photo is gone, then put back by an operator.
        queues = client_of(stack, "sqs")
        names = stack.settings.names
        left = api.post("/v1/jobs", json={"kind": "detect"}).json()["job_id"]
        attempt = attempt_key(left, "m-2")
        client_of(stack, "s3").put_object(Bucket=names.out_bucket, Key=attempt)
        body = JobMessage(job_id=left, key=upload_key(left), size=1).model_dump_json()
        url = queues.get_queue_url(QueueName=names.req_dlq)["QueueUrl"]
        queues.send_message(QueueUrl=url, MessageBody=body)
        lost = api.post("/v1/jobs", json={"kind": "detect"}).json()["job_id"]
        url = queues.get_queue_url(QueueName=names.uploads_dlq)["QueueUrl"]
        queues.send_message(QueueUrl=url, MessageBody=notification(names.in_bucket, lost))
        for given_up in (left, lost):
            eventually(lambda: failed(api, given_up), "it is given up", 60)  # noqa: B023
        # By who gave it up, before the operator's redrive does it.
        eventually(lambda: forgotten(stack, attempt), "its attempts are forgotten", 60)
        client_of(stack, "s3").put_object(
            Bucket=names.in_bucket,
            Key=upload_key(left),
            Body=photos.coffee(),
            Metadata=JobRequest(kind=JobKind.DETECT).to_metadata(),
        )
        api.post(f"/v1/dead-letters/{left}/redrive").raise_for_status()
    leave_old_things(stack)
    functions = client_of(stack, "lambda")
    for name in ("sweep", "migrate"):
        answer = functions.invoke(FunctionName=f"{stack.settings.stack}-local-{name}")
        assert "FunctionError" not in answer, answer["Payload"].read()


def forgotten(stack: LocalStack, key: str) -> bool:
    found = client_of(stack, "s3").list_objects_v2(
        Bucket=stack.settings.names.out_bucket, Prefix=key
    )
    return "Contents" not in found


def failed(api: httpx.Client, job_id: str) -> bool:
    return bool(api.get(f"/v1/jobs/{job_id}").json()["state"] == "failed")


def notification(bucket: str, job_id: str) -> str:
    """Return S3's message about an upload."""
    told = {"bucket": {"name": bucket}, "object": {"key": upload_key(job_id), "size": 1}}
    return json.dumps({"Records": [{"eventName": "ObjectCreated:Post", "s3": told}]})


def leave_old_things(stack: LocalStack) -> None:
    """Leave a photo and a result whose time is over since a second, which no sweep has seen."""
    objects, names, kept = client_of(stack, "s3"), stack.settings.names, Retention()
    for seconds, bucket, key in (
        (kept.photos_seconds, names.in_bucket, upload_key),
        (kept.results_seconds, names.out_bucket, result_key),
    ):
        made = datetime.now(UTC) - timedelta(seconds=seconds + 1)
        old = new_job_id(b"any", "default", made)
        objects.put_object(Bucket=bucket, Key=key(old), Body=b"{}")


def test_no_role_may_do_what_nobody_does(stack: LocalStack, client: Client) -> None:
    do_everything(stack, client)

    def unused() -> dict[str, set[str]]:
        done = used(stack)
        found: dict[str, set[str]] = {}
        for role, statement, action in granted(stack):
            here = f"{statement}: {action}"
            if (role, statement, action) in done or {action, here} & ELSEWHERE.get(role, set()):
                continue
            found.setdefault(role, set()).add(here)
        return found

    # Callbacks and dead letters come a little later.
    eventually(lambda: not unused() or None, f"all permissions are used, but {unused()}", 30)


def test_what_is_said_to_be_used_elsewhere_is_granted(stack: LocalStack) -> None:
    """Else a permission that is taken back would stay in the list for ever."""
    given: dict[str, set[str]] = {}
    for role, statement, action in granted(stack):
        given.setdefault(role, set()).update({action, f"{statement}: {action}"})
    assert given.keys() == ELSEWHERE.keys()
    for role, actions in ELSEWHERE.items():
        assert actions <= given[role], role
