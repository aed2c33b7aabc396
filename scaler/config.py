"""The limits of the decisions from the settings, and settings that change without a deploy.

The overlay is one JSON object in the SSM parameter `/<stack>/scaler`, whose keys are
the variables of `ScalerSettings`. It is validated as a whole together with the
environment: one wrong value, and the settings before it stay in force.
"""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from faces.contracts.names import StackNames
from faces.contracts.scaler_settings import ScalerSettings, listed
from faces.contracts.settings import SettingsError
from scaler.limits import FleetConfig, FlowConfig, Market, Rule, ScaleIn
from scaler.state import TEMPLATE_POOL, Pool

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

# What an overlay may not change: it would be another controller's.
_FIXED = {"FACES_STACK", "AWS_REGION"}


def fleet_config(settings: ScalerSettings) -> FleetConfig:
    """Return the limits that the settings set."""
    types, subnets = listed(settings.instance_types), listed(settings.subnets)
    pools = tuple(Pool(each, subnet) for each in types or ("",) for subnet in subnets or ("",))
    return FleetConfig(
        rule=Rule(settings.rule),
        scale_in=ScaleIn(settings.scale_in),
        min_instances=settings.min_instances,
        max_instances=settings.max_instances,
        messages_per_instance=settings.messages_per_instance,
        launch_batch=settings.launch_batch,
        min_runtime=settings.min_runtime_seconds,
        quiet_time=settings.quiet_seconds,
        scale_in_window=settings.scale_in_window_seconds,
        scale_out_cooldown=settings.scale_out_cooldown_seconds,
        scale_in_cooldown=settings.scale_in_cooldown_seconds,
        latency_target=settings.latency_target_seconds,
        latency_aim=settings.latency_aim,
        initial_boot_seconds=settings.initial_boot_seconds,
        initial_throughput=settings.initial_throughput,
        flow=FlowConfig(
            load_seconds=settings.flow_load_seconds,
            launch_above=settings.flow_launch_above,
            idle_load=settings.flow_idle_load,
            queue_seconds=settings.flow_queue_seconds,
            tail_seconds=settings.flow_tail_seconds,
            surge_seconds=settings.flow_surge_seconds,
            surge_deviations=settings.flow_surge_deviations,
        ),
        spike_floor=settings.spike_floor,
        spike_factor=settings.spike_factor,
        stale_seconds=settings.stale_seconds,
        unseen_seconds=settings.unseen_seconds,
        boot_deadline=settings.boot_deadline_seconds,
        orphan_recheck=settings.orphan_recheck_seconds,
        drain_seconds=settings.drain_seconds,
        keep_seconds=settings.keep_seconds,
        loss_fraction=settings.loss_fraction,
        loss_hold=settings.loss_hold_seconds,
        dead_letter_limit=settings.dead_letter_limit,
        dead_letter_window=settings.dead_letter_window_seconds,
        breaker_failures=settings.breaker_failures,
        breaker_seconds=settings.breaker_seconds,
        breaker_longest=settings.breaker_longest_seconds,
        backoff_seconds=settings.backoff_seconds,
        backoff_longest=settings.backoff_longest_seconds,
        cool_off_seconds=settings.cool_off_seconds,
        budget_hours=settings.budget_hours or None,
        warm_pool=settings.warm_pool,
        refresh=settings.refresh,
        refresh_surge=settings.refresh_surge,
        refresh_min_healthy=settings.refresh_min_healthy,
        pools=pools or (TEMPLATE_POOL,),
        markets=tuple(Market(each) for each in listed(settings.markets)),
        pause_until=settings.pause_until,
        dry_run=settings.dry_run,
    )


def overlay_name(names: StackNames) -> str:
    """Return the name of the SSM parameter that holds the overlay."""
    return f"/{names.stack}/scaler"


class LiveSettings:
    """The settings in force: the environment's, and the overlay's over them.

    Parameters
    ----------
    read : returns the overlay's text, None when there is none; raises OSError when it
        cannot be read.
    """

    def __init__(self, environ: Mapping[str, str], read: Callable[[], str | None]) -> None:
        self._environ = dict(environ)
        self._read = read
        self._text: str | None = None
        self._current = ScalerSettings.load(self._environ)
        self.problem: str | None = None

    @property
    def current(self) -> ScalerSettings:
        """The settings in force."""
        return self._current

    def refresh(self) -> ScalerSettings:
        """Read the overlay; return the settings in force.

        A bad or unreadable overlay changes nothing; `problem` says what is wrong with it.
        """
        try:
            text = self._read()
        except OSError as error:
            self.problem = f"the overlay cannot be read: {error}"
            return self._current
        if text == self._text and self.problem is None:
            return self._current
        try:
            self._current = apply_overlay(self._environ, text)
        except SettingsError as error:
            self.problem = str(error)
        else:
            self._text, self.problem = text, None
        return self._current


def apply_overlay(environ: Mapping[str, str], text: str | None) -> ScalerSettings:
    """Return the settings of an environment with an overlay over it.

    Raises
    ------
    SettingsError
        When the overlay is no JSON object of known variables with good values.
    """
    if not text:
        return ScalerSettings.load(environ)
    try:
        overlay = json.loads(text)
    except ValueError as error:
        raise SettingsError(f"the overlay is no JSON: {error}") from None
    known = {field.alias for field in ScalerSettings.model_fields.values()} - _FIXED
    if not isinstance(overlay, dict):
        raise SettingsError("the overlay is no JSON object")
    unknown = sorted(set(overlay) - known)
    if unknown:
        raise SettingsError(f"the overlay names no settings of the scaler: {', '.join(unknown)}")
    if not all(isinstance(value, str | int | float) for value in overlay.values()):
        raise SettingsError("the overlay's values must be texts, numbers, true or false")
    return ScalerSettings.load({**environ, **{key: str(value) for key, value in overlay.items()}})


def ssm_overlay(ssm: "SSMClient", names: StackNames) -> Callable[[], str | None]:
    """Return what reads the overlay from its SSM parameter."""

    def read() -> str | None:
        try:
            return ssm.get_parameter(Name=overlay_name(names))["Parameter"]["Value"]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "ParameterNotFound":
                return None
            raise OSError(str(error)) from error
        except (BotoCoreError, ResponseParserError, KeyError) as error:  # half an answer, too
            raise OSError(str(error)) from error

    return read
