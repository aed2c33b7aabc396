"""Photos come in while EC2 fails at what it is asked and no instance boots."""

import sys
import time

import pytest

from faces.client import Client, Photo
from faces.contracts.jobs import ContentType
from local_stack.ec2 import ec2_client
from local_stack.emulator import emulator_service
from local_stack.instances import LIVE_STATES
from local_stack.service import ChildProcess
from local_stack.settings import LocalSettings
from tests.chaos.faults import HTTP_FAULTS, Plan, Proxy
from tests.chaos.photos import photo
from tests.e2e.stack_books import answered, long_form, settled
from tests.e2e.waiting import eventually
from tests.fixtures.metadata_service import FakeMetadata
from tests.load.stack import CheapStack, settings

MOST = 3
PHOTOS = 40
SCALED = {
    "SCALER_MIN_INSTANCES": "0",
    "SCALER_MAX_INSTANCES": f"{MOST}",
    "SCALER_READY_TAG": "true",
    "SCALER_BOOT_DEADLINE_SECONDS": "15",
    "SCALER_BREAKER_SECONDS": "10",
    "SCALER_BREAKER_LONGEST_SECONDS": "20",
}

pytestmark = [long_form, pytest.mark.timeout(900)]


class FrailStack(CheapStack):
    """Lambdas reach EC2 through a proxy; workers say by a tag that they are ready."""

    def __init__(self, chosen: LocalSettings, ec2: Proxy) -> None:
        super().__init__(chosen)
        self.boots = False
        self.hung: set[str] = set()
        ports = chosen.emulator_port, ec2.url
        self._aws = (
            emulator_service(*ports, chosen.state_dir, self._log("emulator")),
            self._aws[1],
        )

    def _worker(self, instance_id: str) -> ChildProcess:
        worker = super()._worker(instance_id)
        if not self.boots:
            self.hung.add(instance_id)
            worker.argv = [sys.executable, "-c", "import time; time.sleep(86_400)"]
        return worker

    def states(self) -> dict[str, str]:
        """Return the state of each instance that there ever was, as EC2 itself knows it."""
        client = ec2_client(self.settings.ec2_endpoint_url, self.settings.region)
        return {
            instance["InstanceId"]: instance["State"]["Name"]
            for reservation in client.describe_instances()["Reservations"]
            for instance in reservation["Instances"]
        }


def test_photos_outlast_an_ec2_that_fails_and_instances_that_never_boot(
    tmp_path_factory: pytest.TempPathFactory, metadata_service: FakeMetadata
) -> None:
    chosen = settings(
        tmp_path_factory.mktemp("fleet"),
        FACES_STACK="faces-chaos-fleet",
        WORKER_METADATA_URL=metadata_service.url,
        **SCALED,
    )
    with Proxy(chosen.ec2_port) as ec2, FrailStack(chosen, ec2) as stack:
        ec2.plan = plan = Plan(HTTP_FAULTS, rate=0.3, seed=1)
        began = time.monotonic()
        with Client(stack.url, stack.api_key) as client:
            jobs = [
                client.send(Photo(photo(number), ContentType.PNG, f"{number}.png")).job_id
                for number in range(PHOTOS)
            ]
            most = 0

            def given_up() -> bool:
                nonlocal most
                states = stack.states()
                most = max(most, sum(state in LIVE_STATES for state in states.values()))
                return len([each for each in stack.hung if states[each] == "terminated"]) > MOST

            eventually(given_up, "instances that never boot are given up, more come", 300)
            stack.boots = True
            booted = time.monotonic()
            answered(client, jobs)
            recovered = time.monotonic() - booted
            name = "EC2 failing, and instances that never boot"
            settled(stack, name, jobs, None, began, recovered)
        assert 0 < most <= MOST
        assert sum(plan.met.values()) >= 5
