"""`.chalice/`: every Lambda has a policy of its own, a time limit that fits, a bound."""

import json
import re
from typing import Any

import pytest
from cfnlint.decode import cfn_yaml

from local_stack.build import ROOT
from local_stack.cloudformation import TEMPLATE

SETTINGS = ROOT / ".chalice"
CONFIG = json.loads((SETTINGS / "config.json").read_text())
EVENT_FUNCTIONS = {
    "intake": "UploadsQueue",
    "notify": "RespQueue",
    "webhook": "WebhooksQueue",
    "dead_requests": "ReqDlq",
    "dead_uploads": "UploadsDlq",
    "scale": None,
    "sweep": None,
    "migrate": None,
}
STAGES = ["local", "prod"]
# Where no resource can be named: EC2's Describe calls and CloudWatch's data
# (Service Authorization Reference).
UNNAMEABLE = re.compile(r"^(ec2:Describe\w+|cloudwatch:(GetMetricData|PutMetricData))$")


def policies() -> list[Any]:
    return [
        pytest.param(json.loads(path.read_text()), id=path.stem)
        for path in sorted(SETTINGS.glob("policy-*.json"))
    ]


def listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("stage", STAGES)
def test_every_function_has_its_own_policy_file(stage: str) -> None:
    assert CONFIG["autogen_policy"] is False
    functions = CONFIG["stages"][stage]["lambda_functions"]
    assert set(functions) == {"api_handler", *EVENT_FUNCTIONS}
    files = [each["iam_policy_file"] for each in functions.values()]
    assert len(set(files)) == len(files)
    assert {path.name for path in SETTINGS.glob("policy-*.json")} == set(files)


@pytest.mark.parametrize("stage", STAGES)
def test_every_event_function_is_bounded_and_the_scaler_runs_once(stage: str) -> None:
    functions = CONFIG["stages"][stage]["lambda_functions"]
    for name in EVENT_FUNCTIONS:
        assert functions[name]["reserved_concurrency"] >= 1
    assert functions["scale"]["reserved_concurrency"] == 1


@pytest.mark.parametrize("stage", STAGES)
def test_a_message_stays_hidden_for_six_times_its_functions_time_limit(stage: str) -> None:
    resources = cfn_yaml.load(str(TEMPLATE))["Resources"]
    functions = CONFIG["stages"][stage]["lambda_functions"]
    for name, queue in EVENT_FUNCTIONS.items():
        if queue is not None:
            hidden = resources[queue]["Properties"]["VisibilityTimeout"]
            assert hidden >= 6 * functions[name]["lambda_timeout"]


@pytest.mark.parametrize("stage", STAGES)
def test_the_api_gives_up_before_the_gateway_does(stage: str) -> None:
    assert CONFIG["stages"][stage]["lambda_functions"]["api_handler"]["lambda_timeout"] <= 29


@pytest.mark.parametrize("policy", policies())
def test_a_policy_names_what_it_allows(policy: dict[str, Any]) -> None:
    for statement in policy["Statement"]:
        actions, resources = listed(statement["Action"]), listed(statement["Resource"])
        assert not any("*" in action for action in actions)
        if "*" in resources:
            assert all(UNNAMEABLE.match(action) for action in actions), statement["Sid"]
        elif actions == ["iam:CreateServiceLinkedRole"]:
            assert all("/aws-service-role/" in resource for resource in resources)
        elif not any(action.startswith("ec2:") for action in actions):
            assert all("${STACK}" in resource for resource in resources), statement["Sid"]


def test_the_api_may_ask_what_operators_look_at() -> None:
    allowed: dict[str, list[str]] = {}
    for statement in json.loads((SETTINGS / "policy-api.json").read_text())["Statement"]:
        for action in listed(statement["Action"]):
            allowed.setdefault(action, []).extend(listed(statement["Resource"]))
    assert allowed["ec2:DescribeInstances"] == allowed["cloudwatch:GetMetricData"] == ["*"]
    queues = {arn.rsplit(":", 1)[1] for arn in allowed["sqs:GetQueueAttributes"]}
    assert queues >= {
        f"${{STACK}}-{name}" for name in ("uploads-queue", "uploads-dlq", "req-queue", "req-dlq")
    }


def test_the_scaler_launches_and_ends_only_what_its_stack_owns() -> None:
    policy = json.loads((SETTINGS / "policy-scale.json").read_text())
    for statement in policy["Statement"]:
        actions = set(listed(statement["Action"]))
        if actions & {"ec2:TerminateInstances", "ec2:StartInstances"}:
            owned = {"StringEquals": {"aws:ResourceTag/faces:stack": "${STACK}"}}
            assert statement["Condition"] == owned
        if "iam:PassRole" in actions:
            assert statement["Resource"].endswith("role/${STACK}-worker")
