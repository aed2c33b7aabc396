"""Deploy to the emulator or to AWS: the CloudFormation stack, then the app with Chalice.

Both take `endpoint_url=None` for AWS, with the credentials that boto3 finds; with an
endpoint they use the emulator's root credentials, whatever the environment holds.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from faces.contracts.names import StackNames
from local_stack.build import ROOT, Network, Place, Project
from local_stack.emulator import ROOT_CREDENTIALS, root_session
from local_stack.resume import resume_jobs
from local_stack.service import LocalStackError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_ec2 import EC2Client

TEMPLATE = ROOT / "infra" / "template.yaml"
_API = "rest_api"
_API_HANDLER = "api_handler"
# A stack in one of these can only be deleted (CloudFormation user guide, "Stack statuses").
_DEAD_END = {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"}
# Lambda refuses functions that set these ("Reserved environment variables").
_RESERVED = {"AWS_REGION", "AWS_DEFAULT_REGION", *ROOT_CREDENTIALS, "AWS_SESSION_TOKEN"}


class DeployError(LocalStackError):
    """A deployment failed; the message holds the reason."""


def deploy_infra(
    *,
    endpoint_url: str | None,
    stack: str,
    parameters: Mapping[str, str],
    ec2_endpoint_url: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, str]:
    """Create or update the stack of `infra/template.yaml`; return its outputs.

    Parameters
    ----------
    parameters : of the template, beside `StackName`.
    ec2_endpoint_url : an EC2 emulator apart from the other services; the launch template
        that CloudFormation made is copied there (docs/decisions/0002).

    Raises
    ------
    DeployError
        With the first reasons that CloudFormation gives.
    """
    names = StackNames(stack)
    session = _session(endpoint_url)
    client = session.client("cloudformation", endpoint_url=endpoint_url)
    values = {"StackName": stack, **parameters}
    _apply(client, names.infra_stack, values, endpoint_url is not None, say)
    described = client.describe_stacks(StackName=names.infra_stack)["Stacks"][0]
    outputs = {
        output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])
    }
    if ec2_endpoint_url is not None:
        _copy_launch_template(
            session.client("ec2", endpoint_url=endpoint_url),
            session.client("ec2", endpoint_url=ec2_endpoint_url),
            names.launch_template,
        )
    return outputs


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
) -> str:
    """Run `chalice deploy` for the repository; return the API's base URL.

    Parameters
    ----------
    stage : stage of `.chalice/config.json`: `local` or `prod`.
    state_dir : `<state_dir>/build` keeps the project folder, the package and Chalice's
        memory of what is deployed.
    environment : variables of every Lambda.
    source : the repository to deploy.

    Raises
    ------
    DeployError
        With Chalice's last words.
    """
    project = Project(state_dir / "build", source)
    session = _session(endpoint_url)
    place = _place(session, endpoint_url, stack, stage)
    functions = {name: value for name, value in environment.items() if name not in _RESERVED}
    project.make(place, {**functions, "FACES_STACK": stack}, network)
    anew = not _still_there(session, endpoint_url, project, stage)
    if anew:
        project.forget(stage)
    _chalice(project, endpoint_url, place, functions, ["deploy", "--stage", stage], say)
    if anew and endpoint_url is not None:
        queues = session.client("sqs", endpoint_url=endpoint_url)
        objects = session.client("s3", endpoint_url=endpoint_url)
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
    """Delete the app and the stack, photos and results included; harmless when repeated."""
    project = Project(state_dir / "build")
    session = _session(endpoint_url)
    place = _place(session, endpoint_url, stack, stage)
    if project.deployed(stage) and _still_there(session, endpoint_url, project, stage):
        _chalice(project, endpoint_url, place, {}, ["delete", "--stage", stage], say)
    project.forget(stage)
    names = StackNames(stack)
    storage = session.resource("s3", endpoint_url=endpoint_url)
    for bucket in (names.in_bucket, names.out_bucket):
        try:
            storage.Bucket(bucket).objects.all().delete()
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchBucket":
                raise
    client = session.client("cloudformation", endpoint_url=endpoint_url)
    say(f"deleting {names.infra_stack}")
    client.delete_stack(StackName=names.infra_stack)
    client.get_waiter("stack_delete_complete").wait(
        StackName=names.infra_stack, WaiterConfig=_waiting(endpoint_url is not None)
    )


def _session(endpoint_url: str | None) -> boto3.session.Session:
    return boto3.session.Session() if endpoint_url is None else root_session()


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


def _apply(
    client: "CloudFormationClient",
    name: str,
    values: Mapping[str, str],
    emulated: bool,
    say: Callable[[str], None],
) -> None:
    """Create the stack, or update it when it is there."""
    status = _status(client, name)
    if status in _DEAD_END:
        say(f"deleting {name}, which failed before")
        client.delete_stack(StackName=name)
        client.get_waiter("stack_delete_complete").wait(
            StackName=name, WaiterConfig=_waiting(emulated)
        )
        status = None
    request: Any = {
        "StackName": name,
        "TemplateBody": TEMPLATE.read_text(),
        "Parameters": [
            {"ParameterKey": key, "ParameterValue": value} for key, value in values.items()
        ],
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
    }
    say(f"{'creating' if status is None else 'updating'} {name}")
    try:
        if status is None:
            client.create_stack(**request)
        else:
            client.update_stack(**request)
    except client.exceptions.ClientError as error:
        if "No updates are to be performed" in str(error):
            return
        raise DeployError(f"CloudFormation refused {name}: {error}") from error
    waiter: Any = client.get_waiter(
        "stack_create_complete" if status is None else "stack_update_complete"
    )
    try:
        waiter.wait(StackName=name, WaiterConfig=_waiting(emulated))
    except Exception as error:
        raise DeployError(
            f"CloudFormation failed for {name}: {'; '.join(_reasons(client, name)) or error}"
        ) from error


def _waiting(emulated: bool) -> Any:
    return {"Delay": 1, "MaxAttempts": 60} if emulated else {"Delay": 10, "MaxAttempts": 360}


def _status(client: "CloudFormationClient", name: str) -> str | None:
    """Return the stack's status, or None when there is none."""
    try:
        return client.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
    except client.exceptions.ClientError as error:
        if "does not exist" in str(error):
            return None
        raise


def _reasons(client: "CloudFormationClient", name: str) -> list[str]:
    events = client.describe_stack_events(StackName=name)["StackEvents"]
    failed = [event for event in events if event.get("ResourceStatus", "").endswith("_FAILED")]
    return [
        f"{event.get('LogicalResourceId')}: {event.get('ResourceStatusReason', 'no reason given')}"
        for event in reversed(failed)
    ][:3]


def _copy_launch_template(source: "EC2Client", target: "EC2Client", name: str) -> None:
    """Give `target` the latest version of a launch template, as its default version."""
    version = source.describe_launch_template_versions(
        LaunchTemplateName=name, Versions=["$Latest"]
    )["LaunchTemplateVersions"][0]
    request = target.meta.service_model.shape_for("RequestLaunchTemplateData")
    data: Any = _as_requested(request, version["LaunchTemplateData"])
    known = target.describe_launch_templates(
        Filters=[{"Name": "launch-template-name", "Values": [name]}]
    )["LaunchTemplates"]
    if not known:
        target.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
        return
    made = target.create_launch_template_version(LaunchTemplateName=name, LaunchTemplateData=data)
    number = str(made["LaunchTemplateVersion"]["VersionNumber"])
    target.modify_launch_template(LaunchTemplateName=name, DefaultVersion=number)


def _as_requested(shape: Any, value: Any) -> Any:
    """Return `value` without what an answer holds beyond the request `shape` (`State`)."""
    if shape.type_name == "structure":
        return {
            name: _as_requested(shape.members[name], inner)
            for name, inner in value.items()
            if name in shape.members
        }
    if shape.type_name == "list":
        return [_as_requested(shape.member, inner) for inner in value]
    return value


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
