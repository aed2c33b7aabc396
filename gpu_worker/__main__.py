"""`python -m gpu_worker`: run a worker with settings from the environment.

Exit codes: 0 ended in order (idle or asked to), 2 wrong settings, 3 model weights
missing, 4 the stack cannot be reached, 5 a photo hung, 6 another backend than expected.
"""

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from faces.contracts.errors import TransientError
from faces.contracts.settings import SettingsError
from faces.contracts.worker_settings import WorkerSettings
from gpu_worker.backends.base import ModelUnusableError
from gpu_worker.backends.choice import Backend, choose_here, load, prepare
from gpu_worker.backends.converted import cache_folder
from gpu_worker.identity import URL_VARIABLE
from gpu_worker.identity import environment as instance_environment
from gpu_worker.imds import InstanceMetadata
from gpu_worker.weights import ensure_weights, weights_path

log = logging.getLogger("gpu_worker")

EXIT_SETTINGS = 2
EXIT_WEIGHTS = 3
EXIT_STACK = 4
EXIT_BACKEND = 6


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the worker; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m gpu_worker", description="Run a worker.")
    parser.add_argument(
        "--check-weights",
        action="store_true",
        help="only see to it that the model weights are there (download them if not)",
    )
    parser.add_argument(
        "--prepare",
        action="store_true",
        help="the same, and do what else a worker does at its first start on a machine",
    )
    parser.add_argument(
        "--self-test",
        choices=["cpu", "cuda", "reference"],
        metavar="BACKEND",
        help="only load the networks and run them once; fail where another backend is chosen",
    )
    arguments = parser.parse_args(argv)
    try:
        cache = cache_folder(environ)
        if arguments.check_weights or arguments.prepare:
            weights = ensure_weights(weights_path(environ))
            if arguments.prepare:
                prepare(choose_here("auto"), weights, cache)
            return 0
        if arguments.self_test:
            return _self_test(arguments.self_test, weights_path(environ), cache)
        if url := environ.get(URL_VARIABLE):
            environ = instance_environment(environ, InstanceMetadata(url))
        settings = WorkerSettings.load(environ)
        choice = choose_here(settings.backend)
        weights = ensure_weights(weights_path(environ))
        # Only now: what it imports takes a second, and wrong settings shall be told at once.
        from gpu_worker.assembly import work

        def load_backend() -> Backend:
            return load(
                choice, weights, cache, threads=settings.threads, detection=settings.detection
            )

        ending = work(settings, load_backend)
    except ModelUnusableError as error:
        return _fail(error, EXIT_WEIGHTS)
    except SettingsError as error:
        return _fail(error, EXIT_SETTINGS)
    except TransientError as error:
        return _fail(error.detail, EXIT_STACK)
    log.info("worker ended", extra={"reason": ending})
    return 0


def _self_test(expected: str, weights: Path, cache: Path) -> int:
    choice = choose_here("auto")
    if choice.name != expected:
        return _fail(f"{expected} was expected, {choice.name} is: {choice.reason}", EXIT_BACKEND)
    backend = load(choice, weights, cache, threads=0, detection="exact")
    sys.stdout.write(f"the networks answer on {backend.device}\n")
    return 0


def _fail(reason: object, code: int) -> int:
    sys.stderr.write(f"{reason}\n")
    return code


if __name__ == "__main__":
    exit_code = main(sys.argv[1:], os.environ)
    logging.shutdown()
    sys.stdout.flush()
    # At once: a thread that hangs in a library must not keep the process, and with it the
    # instance, alive.
    os._exit(exit_code)
