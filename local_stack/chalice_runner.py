"""Run the `chalice` command line on a project folder made by `local_stack/build.py`.

    python -P local_stack/chalice_runner.py deploy --stage local

Two things are added to the stock command. What the Lambda runtime brings itself (boto3
and botocore: half the package) stays out, and the rest is kept in the folder FACES_SHELF,
so that a change of code needs no pip. With FACES_EMULATED=1 nothing waits for AWS.
"""

import hashlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import botocore.waiter
import chalice.awsclient
import chalice.cli
from chalice.deploy.packager import DependencyBuilder

# aws-xray-sdk asks for botocore, but a boto3 of the runtime needs the botocore it came with.
IN_RUNTIME = ("boto3", "botocore", "s3transfer")
_PAUSE = 0.05
_SHELF_SECONDS = 7 * 86_400


class KeepingBuilder:
    """Builds site-packages once for each set of requirements.

    Parameters
    ----------
    build : Chalice's own way: (ABI, requirements file, target folder).
    shelf : folder that keeps what was built.
    """

    def __init__(self, build: Any, shelf: Path) -> None:
        self._build = build
        self._shelf = shelf

    def build_site_packages(self, abi: str, requirements: str, target: str) -> None:
        """Fill `target` with the packages that `requirements` names."""
        kept = self._shelf / self._key(abi, Path(requirements))
        if kept.is_dir():
            kept.touch()
            shutil.copytree(kept, target, dirs_exist_ok=True)
            return
        self._build(abi, requirements, target)
        leave_out_runtime(Path(target))
        self._shelf.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=self._shelf))
        shutil.copytree(target, unfinished, dirs_exist_ok=True)
        try:
            unfinished.rename(kept)
        except OSError:  # another deployment was faster
            shutil.rmtree(unfinished)
        self._forget_unused()

    def _forget_unused(self) -> None:
        for entry in self._shelf.iterdir():
            if time.time() - entry.stat().st_mtime > _SHELF_SECONDS:
                shutil.rmtree(entry)

    def _key(self, abi: str, requirements: Path) -> str:
        digest = hashlib.sha256(abi.encode())
        digest.update(requirements.read_bytes())
        constraints = os.environ.get("PIP_CONSTRAINT")
        if constraints:
            digest.update(Path(constraints).read_bytes())
        return digest.hexdigest()


def leave_out_runtime(site_packages: Path) -> None:
    """Remove what every Python runtime of Lambda holds."""
    for name in IN_RUNTIME:
        shutil.rmtree(site_packages / name, ignore_errors=True)
        for information in site_packages.glob(f"{name}-*.dist-info"):
            shutil.rmtree(information)


def keep_packages(shelf: Path) -> None:
    """Have Chalice's packager use a `KeepingBuilder`."""
    builder: Any = DependencyBuilder
    original = builder.build_site_packages

    def build(self: Any, abi: str, requirements: str, target: str) -> None:
        keeping = KeepingBuilder(lambda *arguments: original(self, *arguments), shelf)
        keeping.build_site_packages(abi, requirements, target)

    builder.build_site_packages = build


def hurry() -> None:
    """Shorten the sleeps of botocore's waiters and of Chalice's client.

    A real role or function takes seconds to become usable; an emulated one does not.
    """
    sleep = time.sleep

    class _Time:
        @staticmethod
        def sleep(_seconds: float) -> None:
            sleep(_PAUSE)

    waiters: Any = botocore.waiter
    waiters.time = _Time
    # The delay is a default argument, bound when the class was made.
    client: Any = chalice.awsclient.TypedAWSClient
    retries = client._call_client_method_with_retries
    retries.__defaults__ = tuple(
        _PAUSE if default == client.DELAY_TIME else default for default in retries.__defaults__
    )


if __name__ == "__main__":
    keep_packages(Path(os.environ["FACES_SHELF"]))
    if os.environ.get("FACES_EMULATED") == "1":
        hurry()
    sys.exit(chalice.cli.main())
