"""The emulator as a process: permissions, restarts, and nothing left behind by a crash."""

import contextlib
import io
import json
import os
import signal
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import httpx
import psutil
import pytest
from botocore.exceptions import ClientError

from local_stack.deploy import DeployError, deploy_infra
from local_stack.emulator import (
    ACCOUNT,
    EmulatorProcess,
    emulator_service,
    endpoint,
    root_session,
    worker_credentials,
)
from local_stack.settings import free_ports

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

NOWHERE = "http://127.0.0.1:9"
STACK = "faces-emulator-test"
IMAGE = {"WorkerImageId": "ami-00000000"}


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[EmulatorProcess]:
    """An emulator of the test's own, that it may kill."""
    (port,) = free_ports(1)
    service = emulator_service(port, NOWHERE, tmp_path / "state", tmp_path / "log")
    assert isinstance(service, EmulatorProcess)
    service.start()
    yield service
    service.stop()


def url(emulator: EmulatorProcess) -> str:
    return endpoint(int(emulator.env["GATEWAY_PORT"]))


def kill(emulator: EmulatorProcess) -> int:
    """End the emulator as a crash does; return its process group."""
    assert emulator.pid is not None
    os.kill(emulator.pid, signal.SIGKILL)
    wait_until(lambda: not emulator.alive())
    return emulator.pid


def members(group: int) -> list[psutil.Process]:
    """Return the processes of a group that still run."""
    found = []
    for process in psutil.process_iter(["status", "cmdline"]):
        with contextlib.suppress(ProcessLookupError):
            group_of = os.getpgid(process.pid)
            if group_of == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def wait_until(reached: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"not reached within {seconds} s"
        time.sleep(0.05)


SLEEPER = """
import os, pathlib, time
def run(*_):
    pathlib.Path(os.environ["STARTED"]).touch()
    time.sleep(600)
"""


def start_sleeping_function(emulator: EmulatorProcess, started: Path) -> None:
    """Call a Lambda that never ends by itself; return once it sleeps."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("sleeper.py", SLEEPER)
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}}
    document = {"Version": "2012-10-17", "Statement": [{**trust, "Action": "sts:AssumeRole"}]}
    roles = root_session().client("iam", endpoint_url=url(emulator))
    roles.create_role(RoleName="sleeper", AssumeRolePolicyDocument=json.dumps(document))
    functions = root_session().client("lambda", endpoint_url=url(emulator))
    functions.create_function(
        FunctionName="sleeper",
        Runtime="python3.11",
        Role=f"arn:aws:iam::{ACCOUNT}:role/sleeper",
        Handler="sleeper.run",
        Code={"ZipFile": code.getvalue()},
        Timeout=600,
        Environment={"Variables": {"STARTED": str(started)}},
    )
    functions.invoke(FunctionName="sleeper", InvocationType="Event")
    wait_until(started.exists)


@pytest.mark.parametrize("end", [kill, lambda each: each.stop() or each.pid], ids=["kill", "stop"])
def test_a_busy_lambda_ends_with_the_emulator(
    emulator: EmulatorProcess, tmp_path: Path, end: Callable[[EmulatorProcess], int]
) -> None:
    start_sleeping_function(emulator, tmp_path / "started")
    assert emulator.pid is not None
    group = emulator.pid
    assert any("sleeper" in " ".join(each.info["cmdline"]) for each in members(group))
    assert end(emulator) == group
    wait_until(lambda: not members(group))


def test_after_a_kill_objects_are_there_and_the_stack_is_made_anew(
    emulator: EmulatorProcess,
) -> None:
    outputs = deploy_infra(endpoint_url=url(emulator), stack=STACK, parameters=IMAGE)
    objects = root_session().client("s3", endpoint_url=url(emulator))
    bucket = outputs["InBucketName"]
    objects.put_object(
        Bucket=bucket,
        Key="uploads/a photo",
        Body=b"photo",
        Metadata={"kind": "identify"},
        ContentType="image/png",
    )
    kill(emulator)
    emulator.start()
    assert objects.list_buckets()["Buckets"] == []
    deploy_infra(endpoint_url=url(emulator), stack=STACK, parameters=IMAGE)
    found = objects.get_object(Bucket=bucket, Key="uploads/a photo")
    assert found["Body"].read() == b"photo"
    assert found["Metadata"] == {"kind": "identify"}
    assert found["ContentType"] == "image/png"
    queues = root_session().client("sqs", endpoint_url=url(emulator))
    arrived = queues.receive_message(QueueUrl=outputs["UploadsQueueUrl"]).get("Messages", [])
    # Only S3's own test message; a photo of before is not announced again by itself.
    assert [each["Body"] for each in arrived if "Records" in each["Body"]] == []


def test_scratch_files_of_the_run_before_are_gone(emulator: EmulatorProcess) -> None:
    left = Path(emulator.env["TMPDIR"]) / "left"
    left.write_text("x")
    kill(emulator)
    emulator.start()
    assert not left.exists()


def test_nobody_gets_in_without_credentials(emulator: EmulatorProcess) -> None:
    deploy_infra(endpoint_url=url(emulator), stack=STACK, parameters=IMAGE)
    bucket = f"{url(emulator)}/{STACK}-in-bucket"
    assert httpx.get(bucket).status_code == 403
    assert httpx.put(f"{bucket}/uploads/x", content=b"x").status_code == 403
    stranger = boto3.client(
        "sqs",
        endpoint_url=url(emulator),
        region_name="us-east-1",
        aws_access_key_id="AKIASTRANGER",
        aws_secret_access_key="guessed",
    )
    with pytest.raises(ClientError):
        stranger.list_queues()


def test_a_worker_may_do_its_work_and_nothing_else(emulator: EmulatorProcess) -> None:
    outputs = deploy_infra(endpoint_url=url(emulator), stack=STACK, parameters=IMAGE)
    given = worker_credentials(url(emulator), STACK)
    worker = boto3.session.Session(
        given["AWS_ACCESS_KEY_ID"],
        given["AWS_SECRET_ACCESS_KEY"],
        given["AWS_SESSION_TOKEN"],
        given["AWS_REGION"],
    )
    objects = worker.client("s3", endpoint_url=url(emulator))
    queues = worker.client("sqs", endpoint_url=url(emulator))
    requests, responses = outputs["ReqQueueUrl"], outputs["RespQueueUrl"]
    photos, results = outputs["InBucketName"], outputs["OutBucketName"]
    root_session().client("s3", endpoint_url=url(emulator)).put_object(
        Bucket=photos, Key="uploads/1", Body=b"photo"
    )

    assert objects.get_object(Bucket=photos, Key="uploads/1")["Body"].read() == b"photo"
    objects.put_object(Bucket=results, Key="results/1.json", Body=b"{}", IfNoneMatch="*")
    objects.put_object(Bucket=results, Key="attempts/1/m-2", Body=b"")
    objects.delete_object(Bucket=results, Key="attempts/1/m-2")
    queues.receive_message(QueueUrl=requests, WaitTimeSeconds=0)
    queues.send_message(QueueUrl=responses, MessageBody="{}")
    batch: list[SendMessageBatchRequestEntryTypeDef] = [{"Id": "1", "MessageBody": "{}"}]
    # There is no permission for batches: that for the single call holds for them.
    assert "Successful" in queues.send_message_batch(QueueUrl=responses, Entries=batch)
    with pytest.raises(ClientError, match="404"):
        objects.head_object(Bucket=photos, Key="uploads/missing")

    refused: list[Callable[[], object]] = [
        lambda: objects.put_object(Bucket=photos, Key="uploads/2", Body=b""),
        lambda: objects.delete_object(Bucket=photos, Key="uploads/1"),
        lambda: objects.put_object(Bucket=results, Key="dead-letters/1.json", Body=b""),
        lambda: objects.delete_object(Bucket=results, Key="results/1.json"),
        lambda: queues.send_message(QueueUrl=requests, MessageBody="{}"),
        lambda: queues.send_message_batch(QueueUrl=requests, Entries=batch),
        lambda: queues.receive_message(QueueUrl=responses),
        lambda: worker.client("iam", endpoint_url=url(emulator)).list_roles(),
    ]
    for forbidden in refused:
        with pytest.raises(ClientError, match="AccessDenied"):
            forbidden()


def test_only_the_in_bucket_may_tell_of_uploads(emulator: EmulatorProcess) -> None:
    outputs = deploy_infra(endpoint_url=url(emulator), stack=STACK, parameters=IMAGE)
    objects = root_session().client("s3", endpoint_url=url(emulator))
    queues = root_session().client("sqs", endpoint_url=url(emulator))
    attributes = queues.get_queue_attributes(
        QueueUrl=outputs["UploadsQueueUrl"], AttributeNames=["QueueArn"]
    )["Attributes"]
    objects.create_bucket(Bucket="somebody-elses")
    with pytest.raises(ClientError):
        objects.put_bucket_notification_configuration(
            Bucket="somebody-elses",
            NotificationConfiguration={
                "QueueConfigurations": [
                    {"QueueArn": attributes["QueueArn"], "Events": ["s3:ObjectCreated:*"]}
                ]
            },
        )


def test_a_request_message_holds_1024_bytes_at_most(emulator: EmulatorProcess) -> None:
    outputs = deploy_infra(endpoint_url=url(emulator), stack=STACK, parameters=IMAGE)
    queues = root_session().client("sqs", endpoint_url=url(emulator))
    queues.send_message(QueueUrl=outputs["ReqQueueUrl"], MessageBody="x" * 1024)
    with pytest.raises(ClientError, match="1024"):
        queues.send_message(QueueUrl=outputs["ReqQueueUrl"], MessageBody="x" * 1025)


def test_updating_without_a_change_changes_nothing(emulator: EmulatorProcess) -> None:
    first = deploy_infra(endpoint_url=url(emulator), stack=STACK, parameters=IMAGE)
    assert deploy_infra(endpoint_url=url(emulator), stack=STACK, parameters=IMAGE) == first
    changed = deploy_infra(
        endpoint_url=url(emulator), stack=STACK, parameters={**IMAGE, "WorkerVolumeGiB": "60"}
    )
    assert changed["WorkerTemplateVersion"] == "2"


def test_an_update_keeps_the_parameters_that_it_does_not_name(emulator: EmulatorProcess) -> None:
    deploy_infra(
        endpoint_url=url(emulator), stack=STACK, parameters={**IMAGE, "WorkerVolumeGiB": "60"}
    )
    outputs = deploy_infra(endpoint_url=url(emulator), stack=STACK, parameters={"UploadDays": "9"})
    assert outputs["WorkerTemplateVersion"] == "1"


def test_a_stack_that_cannot_be_made_says_why(emulator: EmulatorProcess) -> None:
    with pytest.raises(DeployError, match="WorkerImageId"):
        deploy_infra(endpoint_url=url(emulator), stack=STACK, parameters={})
