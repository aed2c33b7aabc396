"""Deploy to the emulator or to AWS: the CloudFormation stack, then the app with Chalice.

Both take `endpoint_url=None` for AWS, with the credentials that boto3 finds; with an
endpoint they use the emulator's root credentials, whatever the environment holds.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from faces.contracts.names import TAG_STACK, StackNames
from local_stack.access import Network
from local_stack.build import ROOT, Place, Project
from local_stack.cloudformation import DeployError, delete_infra, deploy_infra, session_for
from local_stack.emulator import ROOT_CREDENTIALS
from local_stack.resume import resume_jobs

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_s3 import S3Client

__all__ = ["DeployError", "deploy_app", "deploy_infra", "destroy"]

_API = "rest_api"
_API_HANDLER = "api_handler"
_NOT_YET_ENDED = ["pending", "running", "stopping", "stopped"]
# Lambda refuses functions that set these ("Reserved environment variables").
_RESERVED = {"AWS_REGION", "AWS_DEFAULT_REGION", *ROOT_CREDENTIALS, "AWS_SESSION_TOKEN"}


def deploy_app(
    *,
    endpoint_url: str | None,
    stack: str,
    stage: str,
    state_dir: Path,
    environment: Mapping[str, str],
    say: Callable[[str], None] = lambda _: None,
    network: Network | None = None,
    source: Path = ROOT,
    files: Mapping[str, bytes] = MappingProxyType({}),
) -> str:
    """Run `chalice deploy` for the repository; return the API's base URL.

    Parameters
    ----------
    stage : stage of `.chalice/config.json`: `local` or `prod`.
    state_dir : `<state_dir>/build` keeps the project folder and the package. Chalice's
        memory of what is deployed is kept in the out-bucket too, so that another computer
        can deploy the next time.
    environment : variables of every Lambda.
    source : the repository to deploy.
    files : by name, what else the package holds at its top.

    Raises
    ------
    DeployError
        With Chalice's last words.
    """
    project = Project(state_dir / "build", source)
    session = session_for(endpoint_url)
    place = _place(session, endpoint_url, stack, stage)
    functions = {name: value for name, value in environment.items() if name not in _RESERVED}
    project.make(place, {**functions, "FACES_STACK": stack}, network)
    for name, content in files.items():
        (project.folder / "vendor" / name).write_bytes(content)
    objects = session.client("s3", endpoint_url=endpoint_url)
    recall(objects, project, place)
    anew = not _still_there(session, endpoint_url, project, stage)
    if anew:
        project.forget(stage)
    _chalice(project, endpoint_url, place, functions, ["deploy", "--stage", stage], say)
    record(objects, project, place)
    if anew and endpoint_url is not None:
        queues = session.client("sqs", endpoint_url=endpoint_url)
        resumed = resume_jobs(objects, queues, place.names)
        say(f"{resumed} unanswered jobs put back on the queue")
    return _api_url(project, endpoint_url, stage)


def destroy(
    *,
    endpoint_url: str | None,
    stack: str,
    stage: str,
    state_dir: Path,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Delete the app, the workers and the stack, photos and results included.

    Harmless when repeated.
    """
    project = Project(state_dir / "build")
    session = session_for(endpoint_url)
    place = _place(session, endpoint_url, stack, stage)
    project.make(place, {})
    recall(session.client("s3", endpoint_url=endpoint_url), project, place)
    if project.deployed(stage) and _still_there(session, endpoint_url, project, stage):
        _chalice(project, endpoint_url, place, {}, ["delete", "--stage", stage], say)
    project.forget(stage)
    _end_workers(session.client("ec2", endpoint_url=endpoint_url), stack, say)
    names = StackNames(stack)
    storage = session.resource("s3", endpoint_url=endpoint_url)
    for bucket in (names.in_bucket, names.out_bucket):
        try:
            storage.Bucket(bucket).objects.all().delete()
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchBucket":
                raise
    delete_infra(endpoint_url=endpoint_url, stack=stack, say=say)


def _end_workers(ec2: "EC2Client", stack: str, say: Callable[[str], None]) -> None:
    """Terminate the stack's instances: whoever launched them is gone, and they cost money and
    hold on to the network."""
    filters: Any = [
        {"Name": f"tag:{TAG_STACK}", "Values": [stack]},
        {"Name": "instance-state-name", "Values": _NOT_YET_ENDED},
    ]
    ids = [
        instance["InstanceId"]
        for page in ec2.get_paginator("describe_instances").paginate(Filters=filters)
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
    ]
    if ids:
        say(f"ending {len(ids)} workers")
        ec2.terminate_instances(InstanceIds=ids)
        ec2.get_waiter("instance_terminated").wait(InstanceIds=ids)


def deployed_resources(stage: str, state_dir: Path) -> list[dict[str, Any]]:
    """Return what Chalice made, as it remembers it."""
    return list(Project(state_dir / "build").deployed(stage).values())


def recall(objects: "S3Client", project: Project, place: Place) -> None:
    """Fetch Chalice's memory of the stack from its out-bucket, where there is one."""
    try:
        found = objects.get_object(Bucket=place.names.out_bucket, Key=_memory_key(place))
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NoSuchKey", "NoSuchBucket"):
            raise
        return
    project.remember(place.stage, found["Body"].read())


def record(objects: "S3Client", project: Project, place: Place) -> None:
    """Store Chalice's memory of the stack in its out-bucket."""
    memory = project.memory(place.stage)
    if memory is not None:
        objects.put_object(Bucket=place.names.out_bucket, Key=_memory_key(place), Body=memory)


def _memory_key(place: Place) -> str:
    return f"deployments/{place.stage}.json"


def _place(
    session: boto3.session.Session, endpoint_url: str | None, stack: str, stage: str
) -> Place:
    if session.region_name is None:
        raise DeployError("No AWS region is set; set AWS_DEFAULT_REGION.")
    caller = session.client("sts", endpoint_url=endpoint_url).get_caller_identity()
    return Place(
        stack=stack,
        stage=stage,
        region=session.region_name,
        account=caller["Account"],
        partition=caller["Arn"].split(":")[1],
    )


def _still_there(
    session: boto3.session.Session, endpoint_url: str | None, project: Project, stage: str
) -> bool:
    """Whether what Chalice remembers exists; an emulator that was restarted has forgotten it."""
    deployed = project.deployed(stage)
    if not {_API, _API_HANDLER} <= deployed.keys():
        return False
    gateway = session.client("apigateway", endpoint_url=endpoint_url)
    functions = session.client("lambda", endpoint_url=endpoint_url)
    try:
        gateway.get_rest_api(restApiId=deployed[_API]["rest_api_id"])
        functions.get_function_configuration(FunctionName=deployed[_API_HANDLER]["lambda_arn"])
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        return False
    return True


def _chalice(
    project: Project,
    endpoint_url: str | None,
    place: Place,
    functions: Mapping[str, str],
    arguments: list[str],
    say: Callable[[str], None],
) -> None:
    """Run Chalice in the project's folder, passing on each line that it prints."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name != "PYTHONPATH" and not (endpoint_url and name.startswith("AWS_"))
    }
    emulated = {
        **ROOT_CREDENTIALS,
        "AWS_ENDPOINT_URL": endpoint_url or "",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "FACES_EMULATED": "1",
    }
    environment = {
        **inherited,
        # app.py is imported here too, where Lambda's environment does not exist.
        **functions,
        **(emulated if endpoint_url else {}),
        "AWS_DEFAULT_REGION": place.region,
        "FACES_STACK": place.stack,
        "PIP_CONSTRAINT": str(ROOT / "requirements" / "constraints.txt"),
        # Shared by all state folders: tests and demos start with fresh ones.
        "FACES_SHELF": str(ROOT / ".local" / "site-packages"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    runner = ROOT / "local_stack" / "chalice_runner.py"
    said: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-P", str(runner), *arguments],
        cwd=project.folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line.rstrip())
            say(line.rstrip())
    if process.returncode != 0:
        words = "\n".join(said[-20:])
        raise DeployError(f"chalice {' '.join(arguments)} failed:\n{words}")


def _api_url(project: Project, endpoint_url: str | None, stage: str) -> str:
    api = project.deployed(stage)[_API]
    if endpoint_url is None:
        return str(api["rest_api_url"]).rstrip("/")
    gateway_stage = str(api["rest_api_url"]).rstrip("/").rsplit("/", 1)[-1]
    return f"{endpoint_url}/_aws/execute-api/{api['rest_api_id']}/{gateway_stage}"
