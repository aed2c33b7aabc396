"""Carries a decision out at EC2, and says what came of it; decides nothing."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from faces.contracts.names import (
    TAG_DRAIN,
    TAG_DRAINED,
    TAG_KEEP,
    TAG_LAUNCH,
    TAG_ORPHAN,
    TAG_READY,
    StackNames,
)
from scaler.errors import CALL_ERRORS, Meaning, code, meaning, meaning_of
from scaler.log import logger
from scaler.model import Decision, Fleet, FleetConfig, Market, Pool
from scaler.naming import free_names, nameless
from scaler.outcome import Outcome
from scaler.state import TEMPLATE_POOL, LaunchIntent

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

_MARKS = (TAG_DRAIN, TAG_DRAINED, TAG_ORPHAN, TAG_KEEP, TAG_READY)
# Names are given by a call each; the rest is named in the next tick.
_NAMES_A_TICK = 25


@dataclass
class _Tally:
    """What came of the calls so far."""

    launched: tuple[str, ...] = ()
    started: tuple[str, ...] = ()
    launch_unknown: bool = False
    capacity_errors: list[tuple[str, Pool]] = field(default_factory=list)
    retryable: int = 0
    permanent: int = 0
    failures: list[str] = field(default_factory=list)

    def note(self, what: Meaning, name: str) -> None:
        """Count the failure of a launch or a start."""
        self.failures.append(name)
        self.retryable += what in (Meaning.RETRYABLE, Meaning.UNKNOWN)
        self.permanent += what is Meaning.PERMANENT


class Executor:
    """Launches, marks and ends the workers of one stack.

    Parameters
    ----------
    in_time : whether there is time for another call; the function must end in time.
    """

    def __init__(
        self, ec2: "EC2Client", names: StackNames, in_time: Callable[[], bool] = lambda: True
    ) -> None:
        self._ec2 = ec2
        self._names = names
        self._in_time = in_time

    def carry_out(
        self, decision: Decision, fleet: Fleet, config: FleetConfig, now: float
    ) -> Outcome:
        """Do what is decided; an error of EC2 is part of the outcome, never raised.

        Rescues come first, as they are the fastest capacity; ends come last.
        """
        tally = _Tally()
        self._unmark(decision.rescue, (TAG_DRAIN, TAG_DRAINED, TAG_ORPHAN), tally)
        self._unmark(decision.cleared, (TAG_ORPHAN,), tally)
        self._start(decision.start, fleet, tally)
        if decision.launch is not None:
            self._launch(decision.launch, tally, repeated=decision.launch.at < now)
        until = f"{now + config.drain_seconds:.0f}"
        claimed = self._mark(decision.drain, {TAG_DRAIN: until}, tally)
        self._suspect(decision.suspect, fleet, config, now, tally)
        keep = {TAG_KEEP: f"{now + config.keep_seconds:.0f}"}
        self._mark(decision.keep, keep, tally)
        terminated = self._end("terminate_instances", decision.terminate, tally)
        stopped = self._end("stop_instances", decision.stop, tally)
        self._name(decision, fleet, tally)
        return Outcome(
            launched=tally.launched,
            started=tally.started,
            launch_unknown=tally.launch_unknown,
            capacity_errors=tuple(tally.capacity_errors),
            retryable=tally.retryable,
            permanent=tally.permanent,
            claimed=claimed,
            terminated=terminated,
            stopped=stopped,
            failures=tuple(tally.failures),
        )

    def _launch(self, intent: LaunchIntent, tally: _Tally, *, repeated: bool) -> None:
        if not self._in_time():
            tally.launch_unknown = True
            return
        try:
            # The token alone suffices at AWS; a look costs little and also covers an EC2
            # that does not know tokens of fleets.
            found = self._launched_with(intent.token) if repeated else ()
            if found:
                tally.launched = found
                return
            if not self._in_time():
                tally.launch_unknown = True
                return
            answer = self._ec2.create_fleet(**fleet_request(intent, self._names))
        except CALL_ERRORS as error:
            what = meaning(error)
            logger.exception("launch failed", meaning=what)
            if what is Meaning.CAPACITY:
                tally.capacity_errors += [(intent.market, pool) for pool in intent.pools]
                tally.failures.append(code(error))
                return
            tally.launch_unknown = what is Meaning.UNKNOWN
            tally.note(what, code(error))
            return
        tally.launched = tuple(
            instance_id
            for group in answer.get("Instances", ())
            for instance_id in group["InstanceIds"]
        )
        for problem in answer.get("Errors", ()):
            self._note_pool(problem, intent, tally)

    def _note_pool(self, problem: Any, intent: LaunchIntent, tally: _Tally) -> None:
        """Learn from one pool's error in an answer that may also hold instances."""
        name = str(problem.get("ErrorCode", "Unknown"))
        logger.warning("a pool refused", error=name, says=problem.get("ErrorMessage"))
        if meaning_of(name) is Meaning.CAPACITY:
            override = problem.get("LaunchTemplateAndOverrides", {}).get("Overrides", {})
            pool = Pool(override.get("InstanceType", ""), override.get("SubnetId", ""))
            known = [each for each in intent.pools if _covers(each, pool)]
            tally.capacity_errors += [(intent.market, each) for each in known]
            tally.failures.append(name)
        elif tally.launched:
            tally.failures.append(name)  # others could, so it is this pool's own trouble
        else:
            tally.note(meaning_of(name), name)

    def _launched_with(self, token: str) -> tuple[str, ...]:
        pages = self._ec2.get_paginator("describe_instances").paginate(
            Filters=[{"Name": f"tag:{TAG_LAUNCH}", "Values": [token]}]
        )
        return tuple(
            instance["InstanceId"]
            for page in pages
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
        )

    def _start(self, ids: Sequence[str], fleet: Fleet, tally: _Tally) -> None:
        """Start stopped instances, one by one: one without capacity stops no other."""
        started = []
        stopped = {each.instance_id: each for each in fleet.stopped}
        if ids:
            self._unmark(ids, _MARKS, tally)
        for instance_id in ids:
            if not self._in_time():
                break
            try:
                self._ec2.start_instances(InstanceIds=[instance_id])
                started.append(instance_id)
            except CALL_ERRORS as error:
                what = meaning(error)
                logger.exception("start failed", instance=instance_id)
                if what is Meaning.CAPACITY:
                    tally.failures.append(code(error))
                    if (known := stopped.get(instance_id)) is not None:
                        tally.capacity_errors.append((known.market.value, known.pool))
                elif what is not Meaning.GONE:
                    tally.note(what, code(error))
        tally.started = tuple(started)

    def _suspect(
        self,
        ids: Collection[str],
        fleet: Fleet,
        config: FleetConfig,
        now: float,
        tally: _Tally,
    ) -> None:
        """Mark suspects; a claim they are under goes on until they are looked at again."""
        draining = {each.instance_id for each in fleet.draining}
        orphan = {TAG_ORPHAN: f"{now:.0f}"}
        claim = {TAG_DRAIN: f"{now + config.drain_seconds:.0f}"}
        self._mark([each for each in ids if each in draining], {**orphan, **claim}, tally)
        self._mark([each for each in ids if each not in draining], orphan, tally)

    def _mark(self, ids: Sequence[str], tags: Mapping[str, str], tally: _Tally) -> tuple[str, ...]:
        if not ids or not self._in_time():
            return ()
        try:
            self._ec2.create_tags(
                Resources=list(ids),
                Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
            )
        except CALL_ERRORS as error:
            logger.exception("tagging failed", marks=list(tags))
            tally.failures.append(code(error))
            return ()
        return tuple(ids)

    def _unmark(self, ids: Sequence[str], names: Sequence[str], tally: _Tally) -> None:
        if not ids or not self._in_time():
            return
        try:
            self._ec2.delete_tags(Resources=list(ids), Tags=[{"Key": name} for name in names])
        except CALL_ERRORS as error:
            logger.exception("removing marks failed", marks=list(names))
            tally.failures.append(code(error))

    def _end(self, operation: str, ids: Sequence[str], tally: _Tally) -> tuple[str, ...]:
        if not ids or not self._in_time():
            return ()
        try:
            getattr(self._ec2, operation)(InstanceIds=list(ids))
        except CALL_ERRORS as error:
            if meaning(error) is not Meaning.GONE:
                logger.exception("ending failed", operation=operation)
                tally.failures.append(code(error))
            return ()
        return tuple(ids)

    def _name(self, decision: Decision, fleet: Fleet, tally: _Tally) -> None:
        """Name new instances: the tags of one launch are the same for all it launched.

        While EC2 does not show all of an earlier launch, what names are borne is not
        known: what was launched now is then named in a later tick, as what a crash left
        without a name.
        """
        without, taken = nameless(fleet)
        groups = (fleet.ready, fleet.booting, fleet.draining, fleet.suspect, fleet.stopped)
        known = {each.instance_id for group in groups for each in group}
        if known.issuperset(decision.state.launched):
            without += [each for each in tally.launched if each not in known]
        some = without[:_NAMES_A_TICK]
        for instance_id, name in zip(some, free_names(taken, len(some)), strict=True):
            self._mark([instance_id], {"Name": name}, tally)


def fleet_request(intent: LaunchIntent, names: StackNames) -> dict[str, Any]:
    """Return the arguments of CreateFleet: the same for the same intent, always."""
    tags = {**names.worker_tags(""), TAG_LAUNCH: intent.token}
    del tags["Name"]
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    template: dict[str, Any] = {
        "LaunchTemplateSpecification": {
            "LaunchTemplateName": names.launch_template,
            "Version": "$Latest",
        }
    }
    overrides = [
        _override(pool, priority)
        for priority, pool in enumerate(intent.pools)
        if pool != TEMPLATE_POOL
    ]
    if overrides:
        template["Overrides"] = overrides
    request: dict[str, Any] = {
        "Type": "instant",
        "ClientToken": intent.token,
        "LaunchTemplateConfigs": [template],
        "TargetCapacitySpecification": {
            "TotalTargetCapacity": intent.count,
            "DefaultTargetCapacityType": intent.market,
        },
        "TagSpecifications": [
            {"ResourceType": "fleet", "Tags": listed},
            {"ResourceType": "instance", "Tags": listed},
        ],
    }
    if intent.market == Market.SPOT.value:
        # Interrupted least, and of these the preferred (EC2 user guide, "Allocation
        # strategies for EC2 Fleet").
        request["SpotOptions"] = {"AllocationStrategy": "capacity-optimized-prioritized"}
    else:
        request["OnDemandOptions"] = {"AllocationStrategy": "prioritized"}
    return request


def _override(pool: Pool, priority: int) -> dict[str, Any]:
    override: dict[str, Any] = {"Priority": float(priority)}
    if pool.instance_type:
        override["InstanceType"] = pool.instance_type
    if pool.subnet:
        override["SubnetId"] = pool.subnet
    return override


def _covers(asked: Pool, refused: Pool) -> bool:
    """Whether a refusal of one pool is one of what was asked for; empty stands for any."""
    return (not asked.instance_type or asked.instance_type == refused.instance_type) and (
        not asked.subnet or asked.subnet == refused.subnet
    )
