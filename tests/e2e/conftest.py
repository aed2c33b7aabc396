"""One local stack for the whole session: real Lambdas, instances, worker and database."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from faces.client import Client
from gpu_worker.backends.base import ModelUnusableError
from gpu_worker.weights import ensure_weights, weights_path
from local_stack.settings import LocalSettings
from local_stack.stack import LocalStack

# The tests' stack is one of its own, whatever the shell has sourced.
_FOREIGN = ("AWS_", "FACES_", "SCALER_", "WORKER_", "LOCAL_", "DATABASE_URL", "CACHE_URL")


@pytest.fixture(scope="session")
def weights() -> Path:
    """The FaceNet weights; downloaded where they are missing, else the tests are skipped."""
    try:
        return ensure_weights(weights_path(os.environ))
    except ModelUnusableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def environ(weights: Path) -> dict[str, str]:
    """The environment of a stack under test: at most 3 workers, 1 from the start."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
    return {
        **kept,
        "TORCH_HOME": str(weights.parent.parent),
        "FACES_STACK": "faces-test",
        "SCALER_MIN_INSTANCES": "1",
        "SCALER_MAX_INSTANCES": "3",
        "LOCAL_BOOT_SECONDS": "1",
        "FACES_SEED_SCOPE": "default/seeds",
        "FACES_CALLBACK_ALLOW": "127.0.0.1/32",
    }


@pytest.fixture(scope="session")
def stack(
    environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalStack]:
    """The stack that most tests share."""
    settings = LocalSettings.ephemeral(tmp_path_factory.mktemp("stack"), environ)
    with LocalStack(settings) as running:
        yield running


@pytest.fixture
def client(stack: LocalStack) -> Iterator[Client]:
    with Client(stack.url, stack.api_key) as made:
        yield made


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of test photos; the tests that need it are skipped without it."""
    folder = os.environ.get("FACES_TEST_DATA")
    if not folder:
        pytest.skip("FACES_TEST_DATA is not set: no photos of several people")
    return Path(folder)
