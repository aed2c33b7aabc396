"""The operator's hand: change settings while the scaler runs, pause it, hold an instance.

    python -m scaler.control show
    python -m scaler.control set SCALER_MAX_INSTANCES=30 SCALER_RULE=latency
    python -m scaler.control unset SCALER_RULE
    python -m scaler.control pause --minutes 30
    python -m scaler.control resume
    python -m scaler.control close-breaker
    python -m scaler.control hold i-0123 --minutes 60

Settings go to the SSM parameter that `scaler.config` reads; a value that the scaler would
refuse is refused here. Every pause and hold expires.
"""

import argparse
import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from faces.contracts.names import TAG_HOLD, TAG_KEEP, StackNames
from faces.contracts.settings import SettingsError, StackSettings
from scaler.config import apply_overlay, overlay_name, ssm_overlay
from scaler.state import Breaker
from scaler.store import STATE_KEY, LeaseHeldError, StateStore

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_ssm import SSMClient

# Somebody else's invocation holds the lease for most of each minute.
_LEASE_TRIES = 90
# A pause or a hold that nobody remembers ends by itself.
_MOST_MINUTES = 7 * 24 * 60


class Control:
    """What an operator can do to one stack's scaler.

    Parameters
    ----------
    clock, sleep : seconds.
    """

    def __init__(
        self,
        names: StackNames,
        ssm: "SSMClient",
        s3: "S3Client",
        ec2: "EC2Client",
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._names = names
        self._ssm = ssm
        self._s3 = s3
        self._ec2 = ec2
        self._clock = clock
        self._sleep = sleep

    def overlay(self) -> dict[str, Any]:
        """Return the settings that are set over the environment's.

        Raises
        ------
        SettingsError
            When what is stored is no JSON object; the scaler goes on without it.
        """
        text = ssm_overlay(self._ssm, self._names)()
        try:
            return dict(json.loads(text)) if text else {}
        except (ValueError, TypeError):
            name = overlay_name(self._names)
            raise SettingsError(
                f"{name} is no JSON object: see it with `aws ssm get-parameter --name {name}`,"
                f" clear it with `aws ssm delete-parameter --name {name}`"
            ) from None

    def change(self, more: Mapping[str, str], less: Sequence[str] = ()) -> dict[str, Any]:
        """Set and unset settings; return the overlay.

        Raises
        ------
        SettingsError
            When the scaler would refuse it; nothing is changed then.
        """
        overlay = {key: value for key, value in self.overlay().items() if key not in less}
        overlay.update(more)
        text = json.dumps(overlay, sort_keys=True)
        apply_overlay({"FACES_STACK": self._names.stack}, text)
        self._ssm.put_parameter(
            Name=overlay_name(self._names), Value=text, Type="String", Overwrite=True
        )
        return overlay

    def pause(self, seconds: float) -> float:
        """Leave the fleet as it is for a while; return until when (Unix seconds)."""
        until = round(self._clock() + seconds)
        self.change({"SCALER_PAUSE_UNTIL": str(until)})
        return until

    def resume(self) -> None:
        """End a pause."""
        self.change({}, ["SCALER_PAUSE_UNTIL"])

    def hold(self, instance_ids: Sequence[str], seconds: float) -> None:
        """Keep these instances for a while: not ended, nor by their own worker when idle."""
        until = f"{self._clock() + seconds:.0f}"
        self._ec2.create_tags(
            Resources=list(instance_ids),
            Tags=[{"Key": TAG_HOLD, "Value": until}, {"Key": TAG_KEEP, "Value": until}],
        )

    def close_breaker(self) -> None:
        """Let launches through at once, without waiting for the breaker's own probe.

        Raises
        ------
        LeaseHeldError
            When no moment was found between two invocations of the scaler.
        """
        store = StateStore(self._s3, self._names.out_bucket, f"operator-{uuid.uuid4().hex}")
        for tries_left in reversed(range(_LEASE_TRIES)):
            try:
                state = store.open(self._clock())
                break
            except LeaseHeldError:
                if not tries_left:
                    raise
                self._sleep(1)
        closed = replace(state, breaker=Breaker(), backoff=0.0, backoff_until=0.0, cool_offs={})
        store.close(closed, self._clock())

    def state(self) -> dict[str, Any]:
        """Return the stored state and lease, empty when there is none."""
        try:
            found = self._s3.get_object(Bucket=self._names.out_bucket, Key=STATE_KEY)
        except self._s3.exceptions.NoSuchKey:
            return {}
        return dict(json.loads(found["Body"].read()))


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(prog="python -m scaler.control", description=__doc__)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    verbs = made.add_subparsers(dest="verb", required=True)
    verbs.add_parser("show", help="the overlay and the stored state, as JSON")
    verbs.add_parser("set").add_argument("settings", nargs="+", metavar="VARIABLE=VALUE")
    verbs.add_parser("unset").add_argument("settings", nargs="+", metavar="VARIABLE")
    verbs.add_parser("pause").add_argument("--minutes", type=_minutes, required=True)
    verbs.add_parser("resume")
    verbs.add_parser("close-breaker")
    hold = verbs.add_parser("hold")
    hold.add_argument("instances", nargs="+")
    hold.add_argument("--minutes", type=_minutes, default=60.0, help="default: 60")
    return made


def _minutes(text: str) -> float:
    minutes = float(text)
    if not 0 < minutes <= _MOST_MINUTES:
        raise argparse.ArgumentTypeError("must be above 0, and a week (10080) at most")
    return minutes


def run(control: Control, arguments: argparse.Namespace) -> dict[str, Any]:
    """Do what is asked; return what there is to tell."""
    match arguments.verb:
        case "set":
            pairs = [each.partition("=") for each in arguments.settings]
            return {"overlay": control.change({key: value for key, _, value in pairs})}
        case "unset":
            return {"overlay": control.change({}, arguments.settings)}
        case "pause":
            return {"paused_until": control.pause(arguments.minutes * 60)}
        case "resume":
            control.resume()
        case "close-breaker":
            control.close_breaker()
        case "hold":
            control.hold(arguments.instances, arguments.minutes * 60)
    return {"overlay": control.overlay(), **control.state()}


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the command; return its exit code."""
    arguments = parser().parse_args(argv)
    try:
        settings = StackSettings.load(environ)
        region = settings.region
        control = Control(
            settings.names,
            boto3.client("ssm", region_name=region),
            boto3.client("s3", region_name=region),
            boto3.client("ec2", region_name=region),
        )
        told = run(control, arguments)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except (LeaseHeldError, OSError, BotoCoreError, ClientError) as error:
        sys.stderr.write(f"{error}\n")
        return 3
    sys.stdout.write(json.dumps(told, indent=2, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
