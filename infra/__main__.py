"""Deploy a stage to AWS, or delete it: `make deploy STAGE=prod`, `make destroy STAGE=prod`.

    python -m infra deploy --stage prod --parameter DatabaseClass=db.t4g.small
    python -m infra image --stage prod --kind gpu
    python -m infra destroy --stage prod

Credentials and region are those that boto3 finds. The stack is called `faces-<stage>` unless
FACES_STACK says otherwise. The Lambdas get every setting of `docs/settings.md` that they
read and that is set in the environment.
"""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from faces.contracts.scaler_settings import ScalerSettings
from faces.contracts.settings import ApiSettings, SettingsError, StackSettings
from infra.deployment import Deployment
from infra.image import build_image
from local_stack.build import ROOT
from local_stack.service import LocalStackError


def lambda_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of the Lambdas that are set in `environ`.

    Raises
    ------
    SettingsError
        Naming every variable that is wrong.
    """
    # The stacks say where the database is, unless it is another one.
    checked = {"DATABASE_URL": "postgresql://", **{k: v for k, v in environ.items() if v}}
    names = set()
    for settings in (ApiSettings, ScalerSettings):
        settings.load(checked)
        names |= {field.alias for field in settings.model_fields.values() if field.alias}
    return {name: environ[name] for name in sorted(names) if environ.get(name)}


def parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError("must be NAME=VALUE")
    return name, value


def main(arguments: list[str], environ: Mapping[str, str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m infra", description="Deploy to AWS")
    parser.add_argument("command", choices=["deploy", "destroy", "image"])
    parser.add_argument("--stage", default="prod", help="any name; several live side by side")
    parser.add_argument(
        "--parameter",
        type=parameter,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the templates in infra/; may be repeated",
    )
    parser.add_argument("--kind", choices=["gpu", "cpu"], default="gpu", help="of the image")
    parser.add_argument("--weights", type=Path, help="the FaceNet weights' file, for the image")
    parser.add_argument("--endpoint-url", help="an emulator instead of AWS")
    parser.add_argument("--state-dir", type=Path, default=ROOT / ".local" / "deployments")
    chosen = parser.parse_args(arguments)
    named = environ if environ.get("FACES_STACK") else {**environ, "FACES_STACK": _stack(chosen)}
    try:
        stack = StackSettings.load(named).stack
        deployment = Deployment(
            stack=stack,
            stage=chosen.stage,
            state_dir=chosen.state_dir / stack,
            endpoint_url=chosen.endpoint_url,
            say=say,
        )
        match chosen.command:
            case "destroy":
                deployment.destroy()
            case "image":
                build_image(deployment, chosen.kind, chosen.weights, dict(chosen.parameter))
            case _:
                environment = lambda_environment(named)
                api = deployment.deploy(dict(chosen.parameter), environment)
                say(f"The API answers at {api}")
    except (SettingsError, LocalStackError) as error:
        sys.exit(str(error))


def _stack(chosen: argparse.Namespace) -> str:
    return f"faces-{chosen.stage}"


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - what a command line is for


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
