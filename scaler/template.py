"""What a new worker would be launched from, so that older ones are known as such."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from faces.contracts.names import StackNames
from scaler.errors import CALL_ERRORS
from scaler.log import logger

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

# EC2 sets it on what is launched from a template (EC2 user guide, "Launch templates").
TAG_VERSION = "aws:ec2launchtemplate:version"


@dataclass(frozen=True, slots=True)
class Template:
    """The latest version of a stack's launch template.

    Attributes
    ----------
    image : id of its image; empty where EC2 does not tell.
    created_at : Unix seconds; infinite where EC2 does not tell.
    """

    version: int
    image: str
    created_at: float = math.inf

    def outdates(self, raw: Any, tags: Mapping[str, str]) -> bool:
        """Whether an instance, as DescribeInstances gives it, is of an earlier version.

        A reading may be behind what was launched just now, so a later version is none.
        Without the version's tag the image counts, of what was launched before this
        version was there: a newer one would be replaced by the same again, for ever.
        """
        version = tags.get(TAG_VERSION, "")
        if version.isdecimal():
            return int(version) < self.version
        image = raw.get("ImageId", "")
        other = bool(self.image and image and image != self.image)
        return other and raw["LaunchTime"].timestamp() < self.created_at


def read_template(ec2: "EC2Client", names: StackNames) -> Template | None:
    """Return the latest version of the launch template, None when it cannot be read."""
    try:
        (latest,) = ec2.describe_launch_template_versions(
            LaunchTemplateName=names.launch_template, Versions=["$Latest"], ResolveAlias=True
        )["LaunchTemplateVersions"]
        image = latest["LaunchTemplateData"].get("ImageId", "")
        created = latest.get("CreateTime")
        return Template(
            latest["VersionNumber"],
            # An alias that was not resolved is no id.
            image if image.startswith("ami-") else "",
            math.inf if created is None else created.timestamp(),
        )
    except (*CALL_ERRORS, KeyError, ValueError):
        logger.warning("the launch template cannot be read", exc_info=True)
        return None


@dataclass
class TemplateWatch:
    """Reads the template once a minute at most; what was never read outdates nobody.

    Versions only grow, so what was read last holds while it cannot be read again.
    """

    ec2: "EC2Client"
    names: StackNames
    clock: Callable[[], float]
    period: float = 60.0
    _asked_at: float = 0.0
    _latest: Template | None = None

    def read(self) -> Template | None:
        """Return the latest version as far as it is known."""
        now = self.clock()
        if now - self._asked_at >= self.period:
            self._asked_at = now
            self._latest = read_template(self.ec2, self.names) or self._latest
        return self._latest
