"""Turns the instances of the EC2 emulator into worker processes, and back.

`plan` decides from what EC2 says and what runs here; `InstanceRunner` does it.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from faces.contracts.names import (
    ROLE_WORKER,
    TAG_DRAIN,
    TAG_DRAINED,
    TAG_KEEP,
    TAG_ROLE,
    TAG_STACK,
)

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import TagTypeDef

log = logging.getLogger(__name__)

# The last of an answer that ends in the middle, as when the emulator is killed.
_EC2_ERRORS = (ClientError, BotoCoreError, ResponseParserError)
LIVE_STATES = frozenset({"pending", "running"})


class Phase(StrEnum):
    """Where a worker of this machine stands."""

    BOOTING = "booting"
    RUNNING = "running"
    STOPPING = "stopping"
    DRAINING = "draining"
    DRAINED = "drained"
    ENDED = "ended"


@dataclass(frozen=True)
class Worker:
    """What is known here of one instance's worker.

    Attributes
    ----------
    since : when it entered the phase, in monotonic seconds.
    failed : its process did not end in order; such an instance is never kept.
    """

    phase: Phase
    since: float
    failed: bool = False


@dataclass(frozen=True)
class Marks:
    """What the tags of an instance say; an expired mark is none.

    Attributes
    ----------
    drain : the scaler claims it: its worker is to finish and to confirm.
    keep : the scaler wants it though it is idle.
    drained : its worker's confirmation.
    """

    drain: bool = False
    keep: bool = False
    drained: bool = False


UNMARKED = Marks()


class Do(StrEnum):
    """What can be done for an instance."""

    BOOT = "boot"
    START = "start"
    ASK_TO_STOP = "ask to stop"
    DRAIN = "drain"
    CONFIRM_DRAIN = "confirm drain"
    KILL = "kill"
    TERMINATE_INSTANCE = "terminate instance"
    FORGET = "forget"


@dataclass(frozen=True)
class Action:
    """One thing to do."""

    do: Do
    instance_id: str


def plan(
    observed: Mapping[str, str] | None,
    workers: Mapping[str, Worker],
    now: float,
    *,
    boot_seconds: float,
    grace_seconds: float,
    marks: Mapping[str, Marks] = MappingProxyType({}),
) -> list[Action]:
    """Decide what to do.

    Parameters
    ----------
    observed : the state of each instance by its id; None when EC2 did not answer, which
        starts, stops and terminates nothing.
    workers : what is known here, by instance id; the process of one that is
        `ENDED` or `DRAINED` is gone.
    now : monotonic seconds.
    boot_seconds : from the first sight of an instance to the start of its worker.
    grace_seconds : from the stop signal to the kill.
    marks : of the instances that bear any.
    """
    actions = []
    for instance_id, state in (observed or {}).items():
        if instance_id not in workers and state in LIVE_STATES:
            actions.append(Action(Do.BOOT, instance_id))
    for instance_id, worker in workers.items():
        waited = now - worker.since
        if worker.phase is Phase.STOPPING:
            if waited >= grace_seconds:
                actions.append(Action(Do.KILL, instance_id))
            continue
        if observed is None:
            continue
        state = observed.get(instance_id, "terminated")
        live = state in LIVE_STATES
        marked = marks.get(instance_id, UNMARKED)
        do: Do | None = None
        match worker.phase:
            case Phase.BOOTING if not live:
                do = Do.FORGET
            case Phase.BOOTING if state == "running" and waited >= boot_seconds:
                do = Do.START
            case Phase.RUNNING | Phase.DRAINING if not live:
                do = Do.ASK_TO_STOP
            case Phase.RUNNING if marked.drain:
                do = Do.DRAIN
            case Phase.DRAINED if not live or not (marked.drain or marked.drained):
                do = Do.FORGET  # and begin anew where the scaler took the claim back
            case Phase.DRAINED if not marked.drained:
                do = Do.CONFIRM_DRAIN
            case Phase.ENDED if live and marked.keep and not worker.failed:
                do = Do.FORGET
            case Phase.ENDED:
                do = Do.TERMINATE_INSTANCE if live else Do.FORGET
        if do is not None:
            actions.append(Action(do, instance_id))
    return actions


def read_marks(tags: Mapping[str, str]) -> Marks:
    """Return what the tags of an instance say now."""
    now = time.time()

    def valid(name: str) -> bool:
        try:
            return float(tags.get(name, "0")) > now
        except ValueError:
            return False

    return Marks(drain=valid(TAG_DRAIN), keep=valid(TAG_KEEP), drained=TAG_DRAINED in tags)


class WorkerProcess(Protocol):
    """What the runner needs of a process (`local_stack.service.ChildProcess`)."""

    @property
    def pid(self) -> int | None: ...
    @property
    def returncode(self) -> int | None: ...
    def start(self) -> None: ...
    def ask_to_stop(self) -> None: ...
    def kill(self) -> None: ...


class InstanceRunner:
    """Runs one worker process for each live worker instance of a stack.

    Parameters
    ----------
    ec2 : a client of the EC2 emulator.
    stack : whose instances.
    make_process : makes (does not start) the worker process of an instance.
    """

    def __init__(
        self,
        ec2: "EC2Client",
        stack: str,
        make_process: Callable[[str], WorkerProcess],
        *,
        boot_seconds: float,
        grace_seconds: float = 20,
        poll_seconds: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ec2 = ec2
        self._stack = stack
        self._make_process = make_process
        self._boot_seconds = boot_seconds
        self._grace_seconds = grace_seconds
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._workers: dict[str, Worker] = {}
        self._processes: dict[str, WorkerProcess] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._ec2_answers = True

    def start(self) -> None:
        """Start to follow the instances, in a thread."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="instances", daemon=True)
        self._thread.start()

    def stop(self, *, at_once: bool = False) -> None:
        """Stop to follow the instances; ask all workers to end, then kill what is left.

        Parameters
        ----------
        at_once : kill all, since nothing is there that they could finish their work with.
        """
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        for process in self._processes.values():
            process.ask_to_stop()
        deadline = self._clock() + (0 if at_once else self._grace_seconds)
        while self._clock() < deadline and any(
            process.returncode is None for process in self._processes.values()
        ):
            time.sleep(0.02)
        for process in self._processes.values():
            process.kill()
        self._processes.clear()
        self._workers.clear()

    def workers(self) -> list[tuple[str, Phase, int | None]]:
        """Return instance id, phase and pid of each worker."""
        processes = dict(self._processes)
        pids = {each: process.pid for each, process in processes.items()}
        return [(each, w.phase, pids.get(each)) for each, w in sorted(self._workers.copy().items())]

    def _run(self) -> None:
        while not self._stopping.wait(self._poll_seconds):
            self.tick()

    def tick(self) -> None:
        """Look once and act."""
        now = self._clock()
        self._notice_ends(now)
        observed = self._observe()
        actions = plan(
            None if observed is None else {each: state for each, (state, _) in observed.items()},
            self._workers,
            now,
            boot_seconds=self._boot_seconds,
            grace_seconds=self._grace_seconds,
            marks={each: marks for each, (_, marks) in (observed or {}).items()},
        )
        for action in actions:
            if self._stopping.is_set():
                return
            try:
                self._carry_out(action, now)
            except (*_EC2_ERRORS, OSError) as error:
                log.warning("instance %s: %s failed: %s", action.instance_id, action.do, error)

    def _notice_ends(self, now: float) -> None:
        for instance_id, process in list(self._processes.items()):
            code = process.returncode
            if code is None:
                continue
            log.info("instance %s: worker ended (exit code %s)", instance_id, code)
            process.kill()  # and what it may have started
            del self._processes[instance_id]
            phase = self._workers[instance_id].phase
            if phase is Phase.DRAINING:
                self._workers[instance_id] = Worker(Phase.DRAINED, now)
            elif phase is Phase.STOPPING:
                # A stopped instance may have been started again meanwhile: begin anew.
                del self._workers[instance_id]
            else:
                self._workers[instance_id] = Worker(Phase.ENDED, now, failed=code != 0)

    def _observe(self) -> dict[str, tuple[str, Marks]] | None:
        pages = self._ec2.get_paginator("describe_instances").paginate(
            Filters=[
                {"Name": f"tag:{TAG_STACK}", "Values": [self._stack]},
                {"Name": f"tag:{TAG_ROLE}", "Values": [ROLE_WORKER]},
            ]
        )
        try:
            found = {
                instance["InstanceId"]: (
                    str(instance["State"]["Name"]),
                    read_marks({tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}),
                )
                for page in pages
                for reservation in page["Reservations"]
                for instance in reservation["Instances"]
            }
        except _EC2_ERRORS as error:
            if self._ec2_answers:
                log.warning("EC2 does not answer: %s", error)
            self._ec2_answers = False
            return None
        self._ec2_answers = True
        return found

    def _carry_out(self, action: Action, now: float) -> None:
        instance_id = action.instance_id
        if action.do is not Do.TERMINATE_INSTANCE:
            log.info("instance %s: %s", instance_id, action.do)
        match action.do:
            case Do.BOOT:
                self._workers[instance_id] = Worker(Phase.BOOTING, now)
            case Do.START:
                process = self._make_process(instance_id)
                process.start()
                self._processes[instance_id] = process
                self._workers[instance_id] = Worker(Phase.RUNNING, now)
            case Do.ASK_TO_STOP:
                self._processes[instance_id].ask_to_stop()
                self._workers[instance_id] = Worker(Phase.STOPPING, now)
            case Do.DRAIN:
                self._processes[instance_id].ask_to_stop()
                self._workers[instance_id] = Worker(Phase.DRAINING, now)
            case Do.CONFIRM_DRAIN:
                confirmed: TagTypeDef = {"Key": TAG_DRAINED, "Value": f"{time.time():.0f}"}
                self._ec2.create_tags(Resources=[instance_id], Tags=[confirmed])
            case Do.KILL:
                self._processes[instance_id].kill()
            case Do.TERMINATE_INSTANCE:
                self._ec2.terminate_instances(InstanceIds=[instance_id])
                log.info("instance %s: terminated, its worker ended", instance_id)
            case Do.FORGET:
                del self._workers[instance_id]
