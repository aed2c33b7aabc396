"""Instances of the EC2 emulator are worker processes."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from faces.contracts.names import StackNames
from local_stack.ec2 import ec2_client, ec2_service
from local_stack.instances import InstanceRunner, Phase
from local_stack.service import ChildProcess
from local_stack.settings import free_ports
from local_stack.stack import WORKER_IMAGE
from tests.chaos.faults import Fault, Plan, Proxy

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

STACK = "faces-runner"
WORKER = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("worker of", os.environ["WORKER_ID"], flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def ec2(tmp_path_factory: pytest.TempPathFactory) -> Iterator["EC2Client"]:
    port = free_ports(1)[0]
    service = ec2_service(port, tmp_path_factory.mktemp("ec2") / "ec2.log")
    service.start()
    yield ec2_client(f"http://127.0.0.1:{port}", "us-east-1")
    service.stop()


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture
def runner(ec2: "EC2Client", logs: Path) -> Iterator[InstanceRunner]:
    made = make_runner(ec2, logs, WORKER)
    made.start()
    yield made
    made.stop()
    assert made.workers() == []
    live = workers_of(ec2, STACK)
    if live:
        ec2.terminate_instances(InstanceIds=list(live))


def make_runner(ec2: "EC2Client", logs: Path, code: str) -> InstanceRunner:
    def worker(instance_id: str) -> ChildProcess:
        return ChildProcess(
            name=instance_id,
            argv=[sys.executable, "-c", code],
            env={**os.environ, "WORKER_ID": instance_id},
            log=logs / f"worker-{instance_id}.log",
        )

    return InstanceRunner(ec2, STACK, worker, boot_seconds=0.2, grace_seconds=1, poll_seconds=0.05)


def launch(ec2: "EC2Client", number: int = 1, stack: str = STACK) -> list[str]:
    tags = StackNames(stack).worker_tags("app-tier-instance-1")
    made = ec2.run_instances(
        ImageId=WORKER_IMAGE,
        MinCount=number,
        MaxCount=number,
        TagSpecifications=[
            {
                "ResourceType": "instance",
                "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            }
        ],
    )
    return [instance["InstanceId"] for instance in made["Instances"]]


def workers_of(ec2: "EC2Client", stack: str) -> dict[str, str]:
    """Return the state of each live instance of `stack`."""
    found = ec2.describe_instances(
        Filters=[
            {"Name": "tag:faces:stack", "Values": [stack]},
            {"Name": "instance-state-name", "Values": ["pending", "running", "stopped"]},
        ]
    )
    return {
        instance["InstanceId"]: instance["State"]["Name"]
        for reservation in found["Reservations"]
        for instance in reservation["Instances"]
    }


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def phases(runner: InstanceRunner) -> dict[str, Phase]:
    return {instance_id: phase for instance_id, phase, _ in runner.workers()}


def pid_of(runner: InstanceRunner, instance_id: str) -> int:
    found = {each: pid for each, _, pid in runner.workers()}[instance_id]
    assert found is not None
    return found


def works(runner: InstanceRunner, logs: Path, instance_id: str) -> bool:
    """Whether the worker runs, and the runner knows it."""
    path = logs / f"worker-{instance_id}.log"
    said = path.read_text() if path.exists() else ""
    return f"worker of {instance_id}" in said and phases(runner)[instance_id] is Phase.RUNNING


def test_each_instance_gets_a_worker_that_knows_its_id(
    ec2: "EC2Client", runner: InstanceRunner, logs: Path
) -> None:
    launched = launch(ec2, 2)
    wait_until(lambda: all(works(runner, logs, each) for each in launched))
    assert phases(runner) == dict.fromkeys(launched, Phase.RUNNING)


def test_instances_of_other_stacks_are_left_alone(
    ec2: "EC2Client", runner: InstanceRunner, logs: Path
) -> None:
    (foreign,) = launch(ec2, stack="faces-other")
    (ours,) = launch(ec2)
    wait_until(lambda: works(runner, logs, ours))
    assert foreign not in phases(runner)


def test_a_terminated_instance_ends_its_worker(
    ec2: "EC2Client", runner: InstanceRunner, logs: Path
) -> None:
    (instance_id,) = launch(ec2)
    wait_until(lambda: works(runner, logs, instance_id))
    pid = pid_of(runner, instance_id)
    ec2.terminate_instances(InstanceIds=[instance_id])
    wait_until(lambda: instance_id not in phases(runner))
    assert not psutil.pid_exists(pid)


def test_an_instance_that_ends_while_it_boots_never_gets_a_worker(
    ec2: "EC2Client", logs: Path
) -> None:
    runner = make_runner(ec2, logs, WORKER)
    (instance_id,) = launch(ec2)
    runner.tick()
    assert phases(runner) == {instance_id: Phase.BOOTING}
    ec2.terminate_instances(InstanceIds=[instance_id])
    runner.tick()
    assert phases(runner) == {}
    assert not logs.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_that_ends_by_itself_ends_its_instance(
    ec2: "EC2Client", runner: InstanceRunner, logs: Path, number: int
) -> None:
    (instance_id,) = launch(ec2)
    wait_until(lambda: works(runner, logs, instance_id))
    os.kill(pid_of(runner, instance_id), number)
    wait_until(lambda: instance_id not in workers_of(ec2, STACK))
    wait_until(lambda: instance_id not in phases(runner))


def test_a_stopped_instance_that_is_started_again_gets_a_new_worker(
    ec2: "EC2Client", runner: InstanceRunner, logs: Path
) -> None:
    (instance_id,) = launch(ec2)
    wait_until(lambda: works(runner, logs, instance_id))
    before = pid_of(runner, instance_id)
    ec2.stop_instances(InstanceIds=[instance_id])
    wait_until(lambda: not psutil.pid_exists(before))
    ec2.start_instances(InstanceIds=[instance_id])
    wait_until(lambda: phases(runner).get(instance_id) is Phase.RUNNING)
    assert pid_of(runner, instance_id) != before
    assert workers_of(ec2, STACK)[instance_id] == "running"


def test_a_worker_that_ignores_the_signal_is_killed(ec2: "EC2Client", logs: Path) -> None:
    deaf = WORKER.replace("lambda *_: sys.exit(0)", "signal.SIG_IGN")
    runner = make_runner(ec2, logs, deaf)
    runner.start()
    try:
        (instance_id,) = launch(ec2)
        wait_until(lambda: works(runner, logs, instance_id))
        ec2.terminate_instances(InstanceIds=[instance_id])
        wait_until(lambda: instance_id not in phases(runner))
    finally:
        runner.stop()


def test_stop_ends_all_workers_but_no_instance(ec2: "EC2Client", logs: Path) -> None:
    runner = make_runner(ec2, logs, WORKER)
    runner.start()
    launched = launch(ec2, 2)
    wait_until(lambda: all(works(runner, logs, each) for each in launched))
    pids = [pid_of(runner, each) for each in launched]
    runner.stop()
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert set(workers_of(ec2, STACK)) >= set(launched)
    ec2.terminate_instances(InstanceIds=launched)


def test_half_answers_of_ec2_end_nothing(ec2: "EC2Client", logs: Path) -> None:
    with Proxy(int(ec2.meta.endpoint_url.rsplit(":", 1)[1])) as proxy:
        runner = make_runner(ec2_client(proxy.url, "us-east-1"), logs, WORKER)
        try:
            (instance_id,) = launch(ec2)

            def tick_and_look() -> bool:
                runner.tick()
                return phases(runner).get(instance_id) is Phase.RUNNING

            wait_until(tick_and_look)
            proxy.plan = Plan((Fault.CUT, Fault.ANSWER_LOST), rate=1.0, seed=1)
            for _ in range(20):
                runner.tick()
            assert phases(runner)[instance_id] is Phase.RUNNING
        finally:
            runner.stop()
    ec2.terminate_instances(InstanceIds=[instance_id])


def test_while_ec2_is_away_workers_go_on(tmp_path: Path, logs: Path) -> None:
    port = free_ports(1)[0]
    service = ec2_service(port, tmp_path / "ec2.log")
    service.start()
    client = ec2_client(f"http://127.0.0.1:{port}", "us-east-1")
    runner = make_runner(client, logs, WORKER)

    def tick_and_look(instance_id: str) -> bool:
        runner.tick()
        return works(runner, logs, instance_id)

    try:
        (instance_id,) = launch(client)
        wait_until(lambda: tick_and_look(instance_id))
        service.stop()
        runner.tick()
        runner.tick()
        assert phases(runner) == {instance_id: Phase.RUNNING}
    finally:
        runner.stop()
        service.stop()
