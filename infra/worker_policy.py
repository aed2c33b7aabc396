"""The worker's policy as a file: `python -m infra.worker_policy` writes it.

CloudFormation takes the policy from `infra/template.yaml`, where it names resources of the same
stack. Whoever reviews permissions finds the worker's here in the form of the Lambdas'
(`.chalice/policy-*.json`), with the names that it comes to; a test compares the two.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from cfnlint.decode import cfn_yaml

from infra.parts import CORE

TARGET = Path(__file__).resolve().parent / "policies" / "worker.json"
_PLACE = "${REGION}:${ACCOUNT}"
_NAMES = {
    "AWS::Partition": "${PARTITION}",
    "AWS::Region": "${REGION}",
    "AWS::AccountId": "${ACCOUNT}",
    "StackName": "${STACK}",
    "DatabaseResourceId": "${DATABASE}",
}
_ARNS = {
    "AWS::S3::Bucket": "arn:${PARTITION}:s3:::{name}",
    "AWS::SQS::Queue": f"arn:${{PARTITION}}:sqs:{_PLACE}:{{name}}",
    "AWS::Logs::LogGroup": f"arn:${{PARTITION}}:logs:{_PLACE}:log-group:{{name}}:*",
}
_NAMED_BY = {
    "AWS::S3::Bucket": "BucketName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::Logs::LogGroup": "LogGroupName",
}
_REFERENCE = re.compile(r"\$\{([A-Za-z:.]+)\}")


def policy() -> dict[str, Any]:
    """Return the worker's policy, with database and cache, in the form of `.chalice/`."""
    resources = cfn_yaml.load(str(CORE.template))["Resources"]
    (inline,) = resources["WorkerRole"]["Properties"]["Policies"]
    document: dict[str, Any] = _filled(inline["PolicyDocument"], resources)
    return document


def _filled(value: Any, resources: dict[str, Any]) -> Any:
    """Return `value` with names in place of CloudFormation's functions."""
    if isinstance(value, list):
        return [_filled(each, resources) for each in value]
    if not isinstance(value, dict):
        return value
    match list(value.items()):
        case [("Fn::Sub", str(text))]:
            return _REFERENCE.sub(lambda found: _named(found[1], resources), text)
        case [("Fn::GetAtt", [str(resource), "Arn"])]:
            return _named(f"{resource}.Arn", resources)
        case [("Ref", str(name))]:
            return _named(name, resources)
        case [("Fn::If", [_, then, _])]:
            return _filled(then, resources)
    return {str(key): _filled(each, resources) for key, each in value.items()}


def _named(reference: str, resources: dict[str, Any]) -> str:
    if reference in _NAMES:
        return _NAMES[reference]
    resource = resources[reference.removesuffix(".Arn")]
    kind = resource["Type"]
    name = _filled(resource["Properties"][_NAMED_BY[kind]], resources)
    return _ARNS[kind].replace("{name}", name)


def render() -> str:
    """Return the file's text."""
    return json.dumps(policy(), indent=2) + "\n"


if __name__ == "__main__":
    TARGET.write_text(render())
    sys.stdout.write(f"wrote {TARGET.name}\n")
