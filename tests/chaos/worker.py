"""A worker process for chaos: everything real but the networks, and photos that do harm.

The top left pixel of a photo says what it does to the worker; see `Harm`.
"""

import os
import random
import resource
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from faces.contracts.worker_settings import WorkerSettings
from gpu_worker import assembly
from gpu_worker.backends.base import Detection, RgbImage
from gpu_worker.backends.choice import Backend, Choice
from tests.chaos.photos import Harm
from tests.fixtures.worker_fakes import FakeDetector, FakeEmbedder, detection


class HarmedDetector(FakeDetector):
    """Finds one face in each photo, after `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def detect(self, images: Sequence[RgbImage]) -> list[list[Detection]]:
        for image in images:
            match Harm.of(image):
                case Harm.CRASH:
                    os._exit(139)
                case Harm.HANG:
                    time.sleep(86_400)
                case Harm.EXHAUST:
                    _ = [bytearray(64 << 20) for _ in range(10_000)]
                case None:
                    time.sleep(self._seconds)
        return [[detection(10, 10, 40)] for _ in images]


def jumping(clock: Callable[[], datetime], seed: int) -> Callable[[], datetime]:
    """Return a clock that is up to a day off, each time by another span."""
    chosen = random.Random(seed)
    return lambda: clock() + timedelta(seconds=chosen.uniform(-86_400, 86_400))


def main() -> int:
    if limit := os.environ.get("CHAOS_MEMORY_MIB"):
        resource.setrlimit(resource.RLIMIT_AS, (int(limit) << 20,) * 2)
    if seed := os.environ.get("CHAOS_CLOCK"):
        assembly.utc_now = jumping(assembly.utc_now, int(seed))
    detector = HarmedDetector(float(os.environ.get("CHAOS_DETECT_SECONDS", "0")))
    fake = Backend(detector, FakeEmbedder(), Choice("reference", "a test"), "none")
    settings = WorkerSettings.load(os.environ)
    with assembly.assemble(settings, lambda: fake) as worker:
        worker.run()
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)
