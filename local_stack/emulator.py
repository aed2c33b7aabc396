"""The AWS emulator as a service of the local stack, and credentials for it.

Everything runs with permissions enforced (`AUTH=true`): anonymous calls are refused,
Lambdas hold what their role allows and nothing else. `ROOT_CREDENTIALS` are known to
everybody and open nothing but an emulator on this computer; deployments use them.
"""

import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import boto3

from faces.contracts.names import StackNames
from local_stack.service import ChildProcess

ROOT = Path(__file__).resolve().parent.parent
REGION = "us-east-1"
ACCOUNT = "000000000000"
ROOT_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
# On AWS a session ends after 12 hours at most and an instance renews its own; the emulator
# grants what is asked, so that a worker may stay as long as the stack does.
_SESSION_SECONDS = 30 * 86_400
# Lambdas inherit the emulator's environment, so it holds nothing that AWS would not give
# them: a PYTHONPATH into the checkout would hide a module missing from the package.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ")


def emulator_environment(
    port: int, ec2_endpoint: str, state_dir: Path, environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return the whole environment of the emulator, and so of every emulated Lambda."""
    return {
        **{name: environ[name] for name in _INHERITED if name in environ},
        **ROOT_CREDENTIALS,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint(port),
        "AWS_ENDPOINT_URL_EC2": ec2_endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_REGION": REGION,
        "AUTH": "true",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "PYTHONUNBUFFERED": "1",
        # Objects survive; queues, functions and everything else begin anew with each start.
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(state_dir / "s3"),
        # Unpacked Lambda packages land here and are removed at the next start.
        "TMPDIR": str(state_dir / "tmp"),
    }


def endpoint(port: int) -> str:
    """Return the emulator's address."""
    return f"http://127.0.0.1:{port}"


class EmulatorProcess(ChildProcess):
    """The emulator's process; each start begins with an empty scratch folder."""

    def start(self) -> None:
        scratch = Path(self.env["TMPDIR"])
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        super().start()


def emulator_service(
    port: int,
    ec2_endpoint: str,
    state_dir: Path,
    log: Path,
    *,
    python: Path = ROOT / ".venv-emulator" / "bin" / "python",
) -> ChildProcess:
    """Return the emulator as a service on 127.0.0.1:`port`.

    Parameters
    ----------
    ec2_endpoint : where Lambdas find EC2 (an emulator of its own).
    state_dir : folder for what the emulator writes.
    log : file for its output and that of the Lambdas.
    python : interpreter of the emulator's own virtual environment.
    """
    return EmulatorProcess(
        name="AWS emulator",
        argv=[
            str(python),
            "-m",
            "local_stack.emulation",
            "--port",
            str(port),
            "--folder",
            str(state_dir),
        ],
        env=emulator_environment(port, ec2_endpoint, state_dir),
        cwd=ROOT,
        log=log,
        ready=lambda: _answers(f"{endpoint(port)}/_ministack/ready"),
    )


def root_session(region: str = REGION) -> boto3.session.Session:
    """Return a session with the emulator's root credentials, whatever the environment says."""
    return boto3.session.Session(
        aws_access_key_id=ROOT_CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=ROOT_CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name=region,
    )


def worker_credentials(endpoint_url: str, stack: str) -> dict[str, str]:
    """Return AWS_* variables that give a process the permissions of a worker instance.

    On EC2 the instance profile does this.
    """
    sts = root_session().client("sts", endpoint_url=endpoint_url)
    session = sts.assume_role(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{StackNames(stack).launch_template}",
        RoleSessionName="local-worker",
        DurationSeconds=_SESSION_SECONDS,
    )["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
        "AWS_SESSION_TOKEN": session["SessionToken"],
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint_url,
    }


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - always http to 127.0.0.1
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
