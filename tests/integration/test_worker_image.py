"""The worker's image, made for real in a Debian system in a folder.

`ami/provision.sh` runs in it, then the image test that the recipe runs, then a worker by its
unit's command line, with the launch template's own user data and the instance role's
credentials, which recognises a photo.
"""

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest

from faces.contracts.jobs import JobKind, JobParams, JobRequest
from faces.contracts.names import StackNames
from gpu_worker.backends.base import ModelUnusableError
from gpu_worker.weights import ensure_weights, weights_path
from local_stack.cloudformation import deploy_infra
from local_stack.emulator import worker_credentials
from tests.fixtures import debian_root as debian
from tests.fixtures.debian_root import DebianRoot, Unit
from tests.fixtures.metadata_service import FakeMetadata
from tests.fixtures.photos import encoded, public_photo
from tests.fixtures.worker_stack import WorkerStack

STACK = "faces-image-test"
INSTANCE, IMAGE = "i-0123456789abcdef0", "ami-0123456789abcdef0"
UNIT = debian.ROOT / "ami" / "elastic-faces-worker.service"
KEEP = debian.ROOT / ".local" / "image-test"

pytestmark = [pytest.mark.weights, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def weights() -> Path:
    try:
        return ensure_weights(weights_path(os.environ))
    except ModelUnusableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def provisioned(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRoot]:
    """A machine's file system after provisioning."""
    if reason := debian.missing():
        pytest.skip(reason)
    started = time.monotonic()
    with debian.debian_root(tmp_path_factory.mktemp("debian"), KEEP) as root:
        made = time.monotonic()
        debian.copy_source(root.folder / "source")
        shutil.copytree(debian.wheels(KEEP / "wheels"), root.folder / "wheels")
        shutil.copy(weights, root.folder / "weights.pt")
        sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
        offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"}
        root.run("/source/ami/provision.sh", "/weights.pt", sha256, "cpu", **offline)
        shutil.rmtree(root.folder / "wheels")
        ended = time.monotonic()
        print(f"system {made - started:.0f} s, provisioning {ended - made:.0f} s")  # noqa: T201
        yield root


def test_the_recipes_own_test_finds_the_image_good(provisioned: DebianRoot) -> None:
    said = provisioned.run("/opt/elastic-faces/test.sh", "cpu").stdout
    assert "the networks answer on cpu" in said
    assert said.endswith("the image is good\n")


def test_other_weights_than_those_named_are_refused(provisioned: DebianRoot) -> None:
    with pytest.raises(AssertionError, match="did NOT match"):
        provisioned.run("/source/ami/provision.sh", "/weights.pt", "0" * 64)


def test_an_image_with_changed_weights_fails_its_test(provisioned: DebianRoot) -> None:
    noted = provisioned.folder / "opt/elastic-faces/weights.sha256"
    before = noted.read_text()
    noted.write_text("0" * 64 + "\n")
    try:
        with pytest.raises(AssertionError, match="not those that were baked in"):
            provisioned.run("/opt/elastic-faces/test.sh", "cpu")
    finally:
        noted.write_text(before)


@pytest.fixture
def machine(
    provisioned: DebianRoot,
    aws_endpoint: str,
    aws_session: boto3.session.Session,
    metadata_service: FakeMetadata,
    database_url: str,
) -> tuple[WorkerStack, list[str]]:
    """A stack, and the command line by which systemd would start the worker of an instance."""
    deploy_infra(
        endpoint_url=aws_endpoint,
        stack=STACK,
        parameters={"WorkerImageId": IMAGE, "DatabaseUrl": database_url},
    )
    names = StackNames(STACK)
    stack = WorkerStack(
        names,
        aws_session.client("s3", endpoint_url=aws_endpoint),
        aws_session.client("sqs", endpoint_url=aws_endpoint),
    )
    for queue in (names.req_queue, names.resp_queue, names.req_dlq):
        stack.urls[queue] = stack.sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    template = aws_session.client("ec2", endpoint_url=aws_endpoint)
    version: Any = template.describe_launch_template_versions(
        LaunchTemplateName=names.launch_template, Versions=["$Latest"]
    )["LaunchTemplateVersions"][0]
    # The one address that cannot be the emulator's.
    script = debian.user_data(version["LaunchTemplateData"]["UserData"]).replace(
        "http://169.254.169.254", metadata_service.url
    )
    boot = provisioned.folder / "user-data"
    boot.write_text(script)
    boot.chmod(0o755)
    provisioned.run("/user-data")
    metadata_service.paths |= as_instance(worker_credentials(aws_endpoint, STACK))
    further = {
        "AWS_ENDPOINT_URL": aws_endpoint,
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata_service.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "WORKER_POLL_SECONDS": "1",
    }
    return stack, Unit(UNIT).argv(provisioned, further)


def as_instance(credentials: dict[str, str]) -> dict[str, str]:
    """Return what instance metadata say on EC2, the role's credentials among it."""
    role = {
        "Code": "Success",
        "Type": "AWS-HMAC",
        "AccessKeyId": credentials["AWS_ACCESS_KEY_ID"],
        "SecretAccessKey": credentials["AWS_SECRET_ACCESS_KEY"],
        "Token": credentials["AWS_SESSION_TOKEN"],
        "Expiration": "2099-01-01T00:00:00Z",
    }
    return {
        "instance-id": INSTANCE,
        "ami-id": IMAGE,
        "tags/instance": "faces:stack\nfaces:role",
        "tags/instance/faces:stack": STACK,
        "iam/security-credentials/": f"{STACK}-worker",
        f"iam/security-credentials/{STACK}-worker": json.dumps(role),
    }


def test_the_provisioned_worker_recognises_a_photo(
    machine: tuple[WorkerStack, list[str]], tmp_path: Path
) -> None:
    stack, command = machine
    photo = public_photo("astronaut")
    enrolment = stack.submit(
        encoded(photo),
        JobRequest(kind=JobKind.ENROLL, params=JobParams(person_name="Eileen Collins")),
    )
    started, started_at = time.monotonic(), time.time()
    log = tmp_path / "log"
    with log.open("wb") as output:
        worker = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for_result(stack, enrolment, worker, log)
        answered = time.monotonic() - started
        identification = stack.submit(
            encoded(np.ascontiguousarray(photo[:, ::-1])), JobRequest(kind=JobKind.IDENTIFY)
        )
        wait_for_result(stack, identification, worker, log)
        worker.terminate()
        assert worker.wait(30) == 0, log.read_text()
    finally:
        worker.kill()
        worker.wait()
    ready = said_ready(log) - started_at
    print(f"after the unit's command: ready {ready:.1f} s, first result {answered:.1f} s")  # noqa: T201
    result = stack.result(identification)
    assert result.faces[0].match is not None
    assert result.faces[0].match.name == "Eileen Collins"
    assert (result.worker_id, result.image) == (INSTANCE, IMAGE)
    assert result.code_version
    # What the build prepared was enough: nothing was fetched or converted at the start.
    said = log.read_text()
    assert "converting" not in said
    assert "downloading" not in said


def said_ready(log: Path) -> float:
    """Return when the worker said that it receives, in seconds since 1970."""
    for line in log.read_text().splitlines():
        if '"worker is ready"' in line:
            return datetime.fromisoformat(json.loads(line)["timestamp"]).timestamp()
    raise AssertionError(log.read_text())


def wait_for_result(
    stack: WorkerStack, job_id: str, worker: "subprocess.Popen[bytes]", log: Path
) -> None:
    deadline = time.monotonic() + 90
    while job_id not in stack.finished():
        assert worker.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
