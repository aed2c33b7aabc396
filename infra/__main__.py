"""Deploy a stack to AWS, or delete it.

    FACES_STACK=faces python -m infra deploy --stage prod --parameter WorkerImageId=ami-…
    FACES_STACK=faces python -m infra destroy --stage prod

Credentials and region are those that boto3 finds. The Lambdas get every setting of
`docs/settings.md` that they read and that is set in the environment.
"""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from faces.contracts.scaler_settings import ScalerSettings
from faces.contracts.settings import ApiSettings, SettingsError, StackSettings
from local_stack.build import ROOT
from local_stack.deploy import deploy_app, deploy_infra, destroy
from local_stack.service import LocalStackError

# There a worker sets the tag; an instance counts as ready, and its boot as over, by it.
_ON_EC2 = {"SCALER_READY_TAG": "true"}


def lambda_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of the Lambdas that are set in `environ`.

    Raises
    ------
    SettingsError
        Naming every variable that is missing or wrong.
    """
    names = set()
    for settings in (ApiSettings, ScalerSettings):
        settings.load(environ)
        names |= {field.alias for field in settings.model_fields.values() if field.alias}
    for needed in ("FACES_API_KEY_SHA256", "FACES_ID_SECRET"):
        if not environ.get(needed):
            raise SettingsError(f"wrong settings: {needed}: is needed to deploy")
    found = {name: environ[name] for name in sorted(names) if environ.get(name)}
    return {**_ON_EC2, **found}


def parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError("must be NAME=VALUE")
    return name, value


def main(arguments: list[str], environ: Mapping[str, str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m infra", description="Deploy to AWS")
    parser.add_argument("command", choices=["deploy", "destroy"])
    parser.add_argument("--stage", choices=["local", "prod"], default="prod")
    parser.add_argument(
        "--parameter",
        type=parameter,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of infra/template.yaml; may be repeated",
    )
    parser.add_argument("--endpoint-url", help="an emulator instead of AWS")
    parser.add_argument("--state-dir", type=Path, default=ROOT / ".local" / "deployments")
    chosen = parser.parse_args(arguments)
    try:
        stack = StackSettings.load(environ).stack
        where = {
            "endpoint_url": chosen.endpoint_url,
            "stack": stack,
            "stage": chosen.stage,
            "state_dir": chosen.state_dir / stack,
            "say": say,
        }
        if chosen.command == "destroy":
            destroy(**where)
            return
        environment = lambda_environment(environ)
        deploy_infra(
            endpoint_url=chosen.endpoint_url,
            stack=stack,
            parameters=dict(chosen.parameter),
            say=say,
        )
        say(f"The API answers at {deploy_app(environment=environment, **where)}")
    except (SettingsError, LocalStackError) as error:
        sys.exit(str(error))


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - what a command line is for


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
