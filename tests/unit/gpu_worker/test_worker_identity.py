"""A worker on an instance knows itself, and takes settings from its tags."""

from gpu_worker.identity import environment
from gpu_worker.imds import InstanceMetadata
from tests.fixtures.metadata_service import FakeMetadata

USER_DATA = {"FACES_STACK": "faces-x", "WORKER_IDLE_SECONDS": "300", "WORKER_ID": "local"}


def test_an_instance_knows_itself_and_its_tags(metadata_service: FakeMetadata) -> None:
    metadata_service.paths |= {
        "instance-id": "i-123",
        "ami-id": "ami-456",
        "tags/instance": "Name\nfaces:stack\nfaces:WORKER_IDLE_SECONDS\nfaces:WORKER_ID\nHOME",
        "tags/instance/Name": "app-tier-instance-1",
        "tags/instance/faces:stack": "faces-x",
        "tags/instance/faces:WORKER_IDLE_SECONDS": "60",
        "tags/instance/faces:WORKER_ID": "i-somebody-else",
        "tags/instance/HOME": "/nowhere",
    }
    found = environment(USER_DATA, InstanceMetadata(metadata_service.url))
    assert found == {
        "FACES_STACK": "faces-x",
        "WORKER_ID": "i-123",
        "WORKER_IMAGE": "ami-456",
        "WORKER_IDLE_SECONDS": "60",
    }


def test_what_the_metadata_do_not_say_stays(metadata_service: FakeMetadata) -> None:
    assert environment(USER_DATA, InstanceMetadata(metadata_service.url)) == USER_DATA
