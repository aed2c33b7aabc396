"""The folder that Chalice deploys from, made anew from the repository for each deployment.

Chalice packs `app.py`, what requirements.txt names and every file under `vendor/`. The
repository's `vendor/` links to packages that also hold caches and parts that no Lambda
needs, and its `.chalice/` names no stack; the copy made here has neither fault, and keeps
Chalice's memory of what is deployed out of the checkout.
"""

import copy
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from faces.contracts.names import TAG_STACK, StackNames
from local_stack.access import IN_NETWORK, Network, statements

ROOT = Path(__file__).resolve().parent.parent
# Paths below vendor/ that no Lambda imports.
_LEFT_OUT = {Path("faces/client"), Path("scaler/simulate.py"), Path("scaler/simulator")}
_PLACEHOLDER = re.compile(r"\$\{(STACK|STAGE|REGION|ACCOUNT|PARTITION)\}")
# A package of dependencies weighs 10 MB; the one before stays for going back.
_KEPT_PACKAGES = 2
LIKE_PROD = "prod"


@dataclass(frozen=True)
class Place:
    """Where a deployment goes: what the placeholders of `.chalice/` stand for."""

    stack: str
    stage: str
    region: str
    account: str
    partition: str = "aws"

    @property
    def names(self) -> StackNames:
        return StackNames(self.stack)

    def fill(self, text: str) -> str:
        """Return `text` with `${STACK}` and the like filled in."""
        return _PLACEHOLDER.sub(lambda found: str(getattr(self, found[1].lower())), text)


class Project:
    """A Chalice project folder.

    Parameters
    ----------
    folder : where it lies.
    source : the repository it is made from.
    """

    def __init__(self, folder: Path, source: Path = ROOT) -> None:
        self.folder = folder
        self._source = source

    def make(
        self, place: Place, environment: Mapping[str, str], network: Network | None = None
    ) -> None:
        """Write everything but what Chalice itself keeps there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("app.py", "requirements.txt"):
            shutil.copyfile(self._source / name, self.folder / name)
        vendor = self.folder / "vendor"
        shutil.rmtree(vendor, ignore_errors=True)
        for package in sorted((self._source / "vendor").iterdir()):
            _copy_code(package.resolve(), vendor / package.name, Path(package.name))
        self._write_settings(place, environment, network)
        self._forget_old_packages()

    def deployed(self, stage: str) -> dict[str, dict[str, Any]]:
        """Return what Chalice remembers to have deployed, by resource name."""
        try:
            state = json.loads(self._memory_file(stage).read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return {resource["name"]: resource for resource in state["resources"]}

    def memory(self, stage: str) -> bytes | None:
        """Return the same as Chalice wrote it, or None when it deployed nothing."""
        path = self._memory_file(stage)
        return path.read_bytes() if path.exists() else None

    def remember(self, stage: str, memory: bytes) -> None:
        """Take over what another deployment remembered."""
        path = self._memory_file(stage)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(memory)

    def forget(self, stage: str) -> None:
        """Forget what is deployed, so that the next deployment makes everything anew."""
        self._memory_file(stage).unlink(missing_ok=True)

    def _memory_file(self, stage: str) -> Path:
        return self.folder / ".chalice" / "deployed" / f"{stage}.json"

    def _write_settings(
        self, place: Place, environment: Mapping[str, str], network: Network | None
    ) -> None:
        target = self.folder / ".chalice"
        target.mkdir(exist_ok=True)
        config = json.loads(place.fill((self._source / ".chalice" / "config.json").read_text()))
        # A stage without settings of its own is like `prod`.
        stages = config["stages"]
        stage = stages.setdefault(place.stage, copy.deepcopy(stages.get(LIKE_PROD)))
        functions = {
            each["iam_policy_file"]: name for name, each in stage["lambda_functions"].items()
        }
        for path in sorted((self._source / ".chalice").glob("policy-*.json")):
            policy = json.loads(place.fill(path.read_text()))
            if network is not None:
                function = functions.get(path.name, "")
                policy["Statement"] += statements(function, network, asdict(place))
            (target / path.name).write_text(json.dumps(policy, indent=2))
        # Decorators read the stack's name at import, where per-function variables are missing.
        stage["environment_variables"] = {**config["environment_variables"], **environment}
        stage["tags"] = {TAG_STACK: place.stack}
        if network is not None:
            stage["xray"] = True
            for name in IN_NETWORK & stage["lambda_functions"].keys():
                settings = stage["lambda_functions"][name]
                settings["subnet_ids"] = list(network.subnet_ids)
                settings["security_group_ids"] = list(network.security_group_ids)
        path = target / "config.json"
        path.touch(mode=0o600)  # the environment holds secrets
        path.write_text(json.dumps(config, indent=2))

    def _forget_old_packages(self) -> None:
        packages = (self.folder / ".chalice" / "deployments").glob("*.zip")
        newest_first = sorted(packages, key=lambda path: path.stat().st_mtime, reverse=True)
        for old in newest_first[_KEPT_PACKAGES:]:
            old.unlink()


def _copy_code(source: Path, target: Path, name: Path) -> None:
    """Copy a package without caches and without what no Lambda imports."""

    def left_out(folder: str, entries: list[str]) -> set[str]:
        here = name / Path(folder).relative_to(source)
        return {
            entry
            for entry in entries
            if entry == "__pycache__" or entry.endswith(".pyc") or here / entry in _LEFT_OUT
        }

    shutil.copytree(source, target, ignore=left_out)
