"""The CloudFormation stacks of one deployment, in the order in which they are made.

Each has a template of its own, so that a change of a dashboard cannot roll a database back.
What one gives out under a name, a later one takes as the parameter of that name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cfnlint.decode import cfn_yaml

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Part:
    """One stack, `<stack>-<name>`.

    Attributes
    ----------
    file : its template, beside this module.
    """

    name: str
    file: str

    @property
    def template(self) -> Path:
        return HERE / self.file

    def stack_name(self, stack: str) -> str:
        return f"{stack}-{self.name}"

    def parameter_names(self) -> frozenset[str]:
        """Return which parameters the template takes."""
        return frozenset(cfn_yaml.load(str(self.template)).get("Parameters", {}))

    def parameters(
        self, stack: str, given: Mapping[str, str], outputs: Mapping[str, str]
    ) -> dict[str, str]:
        """Return the parameters of the stack.

        Parameters
        ----------
        given : by whoever deploys; comes before `outputs`.
        outputs : of the parts before.
        """
        known = self.parameter_names()
        found = {**outputs, **given, "StackName": stack}
        return {name: found[name] for name in sorted(known & found.keys())}


NETWORK = Part("network", "network.yaml")
DATA = Part("data", "data.yaml")
# What the local stack deploys, too.
CORE = Part("infra", "template.yaml")
WATCH = Part("watch", "watch.json")
IMAGE = Part("image", "image.yaml")

PARTS = (NETWORK, DATA, CORE, WATCH)


def unknown_parameters(given: Mapping[str, str], parts: tuple[Part, ...] = PARTS) -> list[str]:
    """Return the names that no template takes."""
    known = frozenset[str]().union(*(part.parameter_names() for part in parts))
    return sorted(given.keys() - known)
