"""The repository itself, deployed by `chalice deploy` to the emulator, then used."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import boto3
import httpx
import pytest
import skimage.data
from botocore.exceptions import ClientError
from PIL import Image

from chalice_app.rounds import ENOUGH_ATTEMPTS
from faces.contracts.errors import ErrorCode
from faces.contracts.jobs import JobMessage, JobState
from faces.contracts.names import StackNames, attempt_key, dead_letter_key, upload_key
from local_stack.deploy import deploy_app, deploy_infra, destroy
from local_stack.ec2 import ec2_service
from local_stack.emulator import ACCOUNT, emulator_service, endpoint, root_session
from local_stack.service import ChildProcess
from local_stack.settings import free_ports

T = TypeVar("T")
pytestmark = pytest.mark.timeout(600)
NAMES = StackNames("faces-deploy-test")
KEY = "a key for tests"
IMAGE = "ami-03cf127a"  # one that moto knows
ENVIRONMENT = {
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none",
    "FACES_API_KEY_SHA256": hashlib.sha256(KEY.encode()).hexdigest(),
    "FACES_ID_SECRET": "thirty-two characters and some more",
    "FACES_MAX_UPLOAD_BYTES": "300000",
    "SCALER_MIN_INSTANCES": "0",
    "AWS_REGION": "us-east-1",
}


@dataclass
class Deployment:
    """A deployed stack and what a client needs to use it."""

    emulator: ChildProcess
    endpoint_url: str
    ec2_endpoint_url: str
    state_dir: Path
    api: str = ""

    def deploy(self) -> None:
        deploy_infra(
            endpoint_url=self.endpoint_url,
            ec2_endpoint_url=self.ec2_endpoint_url,
            stack=NAMES.stack,
            parameters={"WorkerImageId": IMAGE},
        )
        self.deploy_app()

    def deploy_app(self) -> None:
        self.api = deploy_app(
            endpoint_url=self.endpoint_url,
            stack=NAMES.stack,
            stage="local",
            state_dir=self.state_dir,
            environment=ENVIRONMENT,
        )

    def client(self, service: Any, session: boto3.session.Session | None = None) -> Any:
        return (session or root_session()).client(service, endpoint_url=self.endpoint_url)

    def call(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return httpx.request(
            method, self.api + path, json=body, headers={"X-Api-Key": KEY}, timeout=30
        )

    def open_job(self, **fields: Any) -> Any:
        answer = self.call("POST", "/v1/jobs", fields)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def view(self, job_id: str) -> Any:
        answer = self.call("GET", f"/v1/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def waiting(self, queue: str) -> int:
        queues = self.client("sqs")
        url = queues.get_queue_url(QueueName=queue)["QueueUrl"]
        counts = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return int(counts["ApproximateNumberOfMessages"])

    def take_requests(self) -> list[JobMessage]:
        """Take every message off the req-queue."""
        queues = self.client("sqs")
        url = queues.get_queue_url(QueueName=NAMES.req_queue)["QueueUrl"]
        taken = []
        while messages := queues.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0
        ).get("Messages"):
            for message in messages:
                taken.append(JobMessage.model_validate_json(message["Body"]))
                queues.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return taken


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("deploy")
    port, ec2_port = free_ports(2)
    ec2 = ec2_service(ec2_port, folder / "ec2.log")
    ec2_url = endpoint(ec2_port)
    emulator = emulator_service(port, ec2_url, folder, folder / "emulator.log")
    try:
        ec2.start()
        emulator.start()
        made = Deployment(emulator, endpoint(port), ec2_url, folder)
        made.deploy()
        yield made
    finally:
        emulator.stop()
        ec2.stop()


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("photo") / "astronaut.jpg"
    pixels = skimage.data.astronaut()  # type: ignore[no-untyped-call]
    Image.fromarray(pixels).save(path, quality=90)
    return path.read_bytes()


def upload(form: Any, content: bytes, **changed: str | None) -> httpx.Response:
    """Post a photo as the form says, but for the changed fields; None leaves one out."""
    fields = {**form["fields"], **changed}
    return httpx.post(
        form["url"],
        data={name: value for name, value in fields.items() if value is not None},
        files={"file": ("photo.jpg", content, "image/jpeg")},
        timeout=30,
    )


def eventually(look: Callable[[], T], reached: Callable[[T], bool], seconds: float = 30) -> T:
    deadline = time.monotonic() + seconds
    while not reached(seen := look()):
        assert time.monotonic() < deadline, f"still {seen} after {seconds} s"
        time.sleep(0.1)
    return seen


def ended(view: Any) -> bool:
    return JobState(view["state"]).final


def test_the_api_answers(deployment: Deployment) -> None:
    answer = httpx.get(deployment.api + "/health", timeout=30)
    assert (answer.status_code, answer.json()["stack"]) == (200, NAMES.stack)


def test_a_photo_travels_from_the_form_to_the_queue_of_the_workers(
    deployment: Deployment, photo: bytes
) -> None:
    job = deployment.open_job(kind="identify", file_name="Ægir & Söhne.jpg")
    assert deployment.view(job["job_id"])["state"] == "awaiting_upload"
    sent = upload(job["upload"], photo)
    assert sent.is_success, sent.text
    (message,) = eventually(deployment.take_requests, bool)
    assert message.job_id == job["job_id"]
    assert (message.key, message.size) == (upload_key(job["job_id"]), len(photo))
    assert deployment.view(job["job_id"])["state"] == "queued"
    stored = deployment.client("s3").head_object(Bucket=NAMES.in_bucket, Key=message.key)
    assert stored["Metadata"]["kind"] == "identify"


def test_a_form_lets_in_only_what_it_was_made_for(deployment: Deployment, photo: bytes) -> None:
    job = deployment.open_job(kind="identify")
    form = job["upload"]
    attempts = {
        "Content-Type": upload(form, photo, **{"Content-Type": "text/html"}),
        "x-amz-meta-kind": upload(form, photo, **{"x-amz-meta-kind": "enroll"}),
        "x-amz-meta-tenant": upload(form, photo, **{"x-amz-meta-tenant": None}),
        "$key": upload(form, photo, key="uploads/another"),
        "x-amz-meta-more": upload(form, photo, **{"x-amz-meta-more": "1"}),
    }
    for field, answer in attempts.items():
        assert answer.status_code == 403, field
        assert "Invalid according to Policy" in answer.text
        assert field in answer.text
    too_large = upload(form, b"\xff\xd8" + bytes(300_000))
    assert too_large.status_code == 400
    assert "EntityTooLarge" in too_large.text
    forged = upload(form, photo, **{"x-amz-signature": "0" * 64})
    assert forged.status_code == 403
    assert deployment.view(job["job_id"])["state"] == "awaiting_upload"


def test_a_file_that_is_no_photo_is_answered_by_intake(deployment: Deployment) -> None:
    job = deployment.open_job(kind="identify")
    assert upload(job["upload"], b"a poem, not a photo").is_success
    view = eventually(lambda: deployment.view(job["job_id"]), ended)
    assert (view["state"], view["error"]["code"]) == ("failed", "not_an_image")
    # notify has taken the announcement.
    eventually(lambda: deployment.waiting(NAMES.resp_queue), lambda count: count == 0)
    assert deployment.take_requests() == []


def test_a_job_that_no_worker_finished_is_answered_and_its_message_kept(
    deployment: Deployment, photo: bytes
) -> None:
    job = deployment.open_job(kind="identify")
    assert upload(job["upload"], photo).is_success
    (message,) = eventually(deployment.take_requests, bool)
    queues = deployment.client("sqs")
    url = queues.get_queue_url(QueueName=NAMES.req_dlq)["QueueUrl"]
    queues.send_message(QueueUrl=url, MessageBody=message.model_dump_json())
    # Workers never began it, so it is put back.
    (message,) = eventually(deployment.take_requests, bool)
    assert (message.job_id, message.rounds) == (job["job_id"], 1)
    for number in range(ENOUGH_ATTEMPTS):
        deployment.client("s3").put_object(
            Bucket=NAMES.out_bucket, Key=attempt_key(job["job_id"], str(number))
        )
    queues.send_message(QueueUrl=url, MessageBody=message.model_dump_json())
    view = eventually(lambda: deployment.view(job["job_id"]), ended)
    assert view["error"]["code"] == ErrorCode.WORKER_GAVE_UP
    kept = deployment.client("s3").get_object(
        Bucket=NAMES.out_bucket, Key=dead_letter_key(job["job_id"])
    )
    assert json.loads(json.loads(kept["Body"].read())["body"])["job_id"] == job["job_id"]


def test_objects_are_encrypted_where_they_lie(deployment: Deployment) -> None:
    for bucket in (NAMES.in_bucket, NAMES.out_bucket):
        found = deployment.client("s3").get_bucket_encryption(Bucket=bucket)
        (rule,) = found["ServerSideEncryptionConfiguration"]["Rules"]
        assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_a_browser_may_send_photos_from_another_origin(deployment: Deployment) -> None:
    answer = httpx.options(
        f"{deployment.endpoint_url}/{NAMES.in_bucket}",
        headers={"Origin": "https://example.org", "Access-Control-Request-Method": "POST"},
        timeout=60,
    )
    assert answer.headers["access-control-allow-origin"] == "*"


def test_instances_come_from_the_launch_template_of_the_stack(deployment: Deployment) -> None:
    ec2 = root_session().client("ec2", endpoint_url=deployment.ec2_endpoint_url)
    specification = {"LaunchTemplateName": NAMES.launch_template, "Version": "$Default"}
    launched = ec2.create_fleet(
        Type="instant",
        LaunchTemplateConfigs=[{"LaunchTemplateSpecification": specification}],  # type: ignore[typeddict-item]
        TargetCapacitySpecification={
            "TotalTargetCapacity": 1,
            "DefaultTargetCapacityType": "on-demand",
        },
    )["Instances"]
    ids = [id_ for each in launched for id_ in each["InstanceIds"]]
    described = ec2.describe_instances(InstanceIds=ids)["Reservations"][0]["Instances"][0]
    assert (described["InstanceType"], described["ImageId"]) == ("g4dn.xlarge", IMAGE)
    ec2.terminate_instances(InstanceIds=ids)


# What each role may do of: read a photo, write a result, send a request, read the backlog.
MAY = {
    "api_handler": {"read photo", "write result", "read backlog", "send request"},
    "intake": {"read photo", "write result", "send request"},
    "notify": set[str](),
    "webhook": set[str](),
    "dead_requests": {"read photo", "write result", "send request"},
    "dead_uploads": {"read photo", "write result"},
    "scale": {"read backlog"},
    "sweep": {"read photo", "write result"},
    "migrate": set[str](),
}


@pytest.mark.parametrize("function", MAY)
def test_a_function_may_do_what_it_needs_and_no_more(deployment: Deployment, function: str) -> None:
    deployment.client("s3").put_object(Bucket=NAMES.in_bucket, Key="other/x", Body=b"")
    role = f"arn:aws:iam::{ACCOUNT}:role/{NAMES.stack}-local-{function}"
    given = deployment.client("sts").assume_role(RoleArn=role, RoleSessionName="test")
    keys = given["Credentials"]
    session = boto3.session.Session(
        keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], "us-east-1"
    )
    objects, queues = deployment.client("s3", session), deployment.client("sqs", session)
    url = deployment.client("sqs").get_queue_url(QueueName=NAMES.req_queue)["QueueUrl"]
    attempts: dict[str, Callable[[], object]] = {
        "read photo": lambda: objects.get_object(Bucket=NAMES.in_bucket, Key="uploads/none"),
        "read elsewhere": lambda: objects.get_object(Bucket=NAMES.in_bucket, Key="other/x"),
        "write result": lambda: objects.put_object(
            Bucket=NAMES.out_bucket, Key=f"results/role-{function}", Body=b"{}"
        ),
        "send request": lambda: queues.send_message(QueueUrl=url, MessageBody="{}"),
        "read backlog": lambda: queues.get_queue_attributes(
            QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]
        ),
        "take request": lambda: queues.receive_message(QueueUrl=url),
    }
    allowed = set()
    for name, attempt in attempts.items():
        try:
            attempt()
        except ClientError as error:
            if error.response["Error"]["Code"] == "AccessDenied":
                continue
        allowed.add(name)
    if "send request" in allowed:
        queues = deployment.client("sqs")
        queues.purge_queue(QueueUrl=url)
    assert allowed == MAY[function]


def test_deploying_again_from_another_computer_keeps_the_address(
    deployment: Deployment, tmp_path: Path
) -> None:
    before = deployment.api
    replace(deployment, state_dir=tmp_path).deploy()
    assert httpx.get(before + "/health", timeout=30).status_code == 200
    names = {
        each["FunctionName"] for each in deployment.client("lambda").list_functions()["Functions"]
    }
    assert len(names) == len(MAY)
    assert len(deployment.client("apigateway").get_rest_apis()["items"]) == 1


def test_after_a_crash_of_the_emulator_open_jobs_go_on(
    deployment: Deployment, photo: bytes
) -> None:
    open_one = deployment.open_job(kind="identify")
    assert upload(open_one["upload"], photo).is_success
    answered = deployment.open_job(kind="identify")
    assert upload(answered["upload"], b"no photo").is_success
    eventually(lambda: deployment.view(answered["job_id"]), ended)
    eventually(deployment.take_requests, bool)

    assert deployment.emulator.pid is not None
    deployment.emulator.stop_signal = 9
    deployment.emulator.stop()
    deployment.emulator.start()
    deployment.deploy()

    again: list[str] = []

    def taken() -> list[str]:
        again.extend(message.job_id for message in deployment.take_requests())
        return again

    # Other tests left open jobs too, which come in any order.
    eventually(taken, lambda jobs: open_one["job_id"] in jobs)
    assert answered["job_id"] not in again
    assert deployment.view(answered["job_id"])["state"] == "failed"


def test_destroy_leaves_nothing(deployment: Deployment) -> None:
    for _ in range(2):  # the second finds nothing to do
        destroy(
            endpoint_url=deployment.endpoint_url,
            stack=NAMES.stack,
            stage="local",
            state_dir=deployment.state_dir,
        )
    assert deployment.client("lambda").list_functions()["Functions"] == []
    assert deployment.client("apigateway").get_rest_apis()["items"] == []
    assert deployment.client("s3").list_buckets()["Buckets"] == []
    assert deployment.client("sqs").list_queues().get("QueueUrls", []) == []
    assert deployment.client("iam").list_roles()["Roles"] == []
