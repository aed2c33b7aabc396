"""CloudFormation stacks: created, updated, deleted."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import WaiterError

from faces.contracts.names import TAG_STACK, StackNames
from local_stack.build import ROOT
from local_stack.emulator import root_session
from local_stack.service import LocalStackError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_ec2 import EC2Client

TEMPLATE = ROOT / "infra" / "template.yaml"
# A stack in one of these can only be deleted (CloudFormation user guide, "Stack statuses").
_DEAD_END = {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"}


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
    session = session_for(endpoint_url)
    outputs = deploy_template(
        TEMPLATE,
        names.infra_stack,
        endpoint_url=endpoint_url,
        parameters={"StackName": stack, **parameters},
        tags={TAG_STACK: stack},
        say=say,
    )
    if ec2_endpoint_url is not None:
        _copy_launch_template(
            session.client("ec2", endpoint_url=endpoint_url),
            session.client("ec2", endpoint_url=ec2_endpoint_url),
            names.launch_template,
        )
    return outputs


def deploy_template(
    template: Path,
    name: str,
    *,
    endpoint_url: str | None,
    parameters: Mapping[str, str],
    tags: Mapping[str, str],
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, str]:
    """Create or update the stack `name` from a template; return its outputs.

    Parameters
    ----------
    parameters : what an update does not name stays as it was.
    tags : of the stack; CloudFormation puts them on everything in it.

    Raises
    ------
    DeployError
        With the first reasons that CloudFormation gives.
    """
    client = session_for(endpoint_url).client("cloudformation", endpoint_url=endpoint_url)
    body = template.read_text()
    _apply(client, name, body, parameters, tags, endpoint_url is not None, say)
    described = client.describe_stacks(StackName=name)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}


def delete_infra(
    *, endpoint_url: str | None, stack: str, say: Callable[[str], None] = lambda _: None
) -> None:
    """Delete the stack, whose buckets must be empty; harmless when there is none."""
    delete_stack(StackNames(stack).infra_stack, endpoint_url=endpoint_url, say=say)


def delete_stack(
    name: str, *, endpoint_url: str | None, say: Callable[[str], None] = lambda _: None
) -> None:
    """Delete one stack; harmless when there is none.

    Raises
    ------
    DeployError
        With the first reasons that CloudFormation gives.
    """
    client = session_for(endpoint_url).client("cloudformation", endpoint_url=endpoint_url)
    say(f"deleting {name}")
    _delete(client, name, endpoint_url is not None)


def session_for(endpoint_url: str | None) -> boto3.session.Session:
    """Return a session for AWS, or for the emulator when an endpoint is given."""
    return boto3.session.Session() if endpoint_url is None else root_session()


def _apply(
    client: "CloudFormationClient",
    name: str,
    body: str,
    values: Mapping[str, str],
    tags: Mapping[str, str],
    emulated: bool,
    say: Callable[[str], None],
) -> None:
    """Create the stack, or update it when it is there."""
    status = _status(client, name)
    if status in _DEAD_END:
        say(f"deleting {name}, which failed before")
        _delete(client, name, emulated)
        status = None
    request: Any = {
        "StackName": name,
        "TemplateBody": body,
        "Parameters": _parameters(client, name, body, values, status is not None),
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
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
    except WaiterError as error:
        raise DeployError(
            f"CloudFormation failed for {name}: {'; '.join(_reasons(client, name)) or error}"
        ) from error


def _parameters(
    client: "CloudFormationClient", name: str, body: str, values: Mapping[str, str], update: bool
) -> list[dict[str, Any]]:
    """Return the parameters of a request; what an update does not name stays as it was."""
    given: list[dict[str, Any]] = [
        {"ParameterKey": key, "ParameterValue": value} for key, value in values.items()
    ]
    if not update:
        return given
    before = client.describe_stacks(StackName=name)["Stacks"][0].get("Parameters", [])
    wanted = client.get_template_summary(TemplateBody=body)["Parameters"]
    kept = {each["ParameterKey"] for each in before} & {each["ParameterKey"] for each in wanted}
    previous = [
        {"ParameterKey": key, "UsePreviousValue": True} for key in sorted(kept - values.keys())
    ]
    return given + previous


def _delete(client: "CloudFormationClient", name: str, emulated: bool) -> None:
    client.delete_stack(StackName=name)
    try:
        client.get_waiter("stack_delete_complete").wait(
            StackName=name, WaiterConfig=_waiting(emulated)
        )
    except WaiterError as error:
        raise DeployError(
            f"CloudFormation cannot delete {name}: {'; '.join(_reasons(client, name)) or error}"
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
