"""The demo: the main job on real photos, through a local stack of its own.

The stack takes free ports and a folder of its own, so a demo does not meet a stack that
`make up` started, nor its gallery.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from rich.console import Console

from faces.client import Client, ClientError
from gpu_worker.backends.base import ModelUnusableError
from gpu_worker.weights import ensure_weights, weights_path
from local_stack.demo.photos import TestData, find_test_data
from local_stack.demo.play import Play, Step
from local_stack.demo.report import table
from local_stack.progress import ConsoleProgress
from local_stack.service import LocalStackError
from local_stack.settings import ROOT, LocalSettings
from local_stack.stack import LocalStack

TEST_DATA = "FACES_TEST_DATA"
# A demo never writes into a gallery or a stack that its shell happens to name.
_NOT_FOR_THE_DEMO = ("DATABASE_URL", "CACHE_URL", "FACES_STACK", "FACES_PUBLIC_URL")


def run(environ: Mapping[str, str] | None = None, console: Console | None = None) -> int:
    """Play the demo; return the exit code, 0 only if every answer is right.

    Raises
    ------
    LocalStackError
        Saying in a sentence what is missing, or what did not start or answer.
    """
    environ = os.environ if environ is None else environ
    console = console or _console()
    try:
        data = _test_data(environ, console)
        _check_weights(environ, console)
        return _play(environ, console, ROOT / ".local" / "demo", data)
    except ModelUnusableError as error:
        raise LocalStackError(str(error)) from None
    except ClientError as error:
        raise LocalStackError(
            f"The demo ended early: {error}. The parts' logs are in .local/demo/logs."
        ) from error


def _play(environ: Mapping[str, str], console: Console, folder: Path, data: TestData | None) -> int:
    steps: list[Step] = []
    _remove_old_output(folder)
    with _state_folder(folder) as state:
        settings = LocalSettings.ephemeral(
            state, {key: value for key, value in environ.items() if key not in _NOT_FOR_THE_DEMO}
        )
        with ConsoleProgress(console) as progress:
            stack = LocalStack(settings, progress)
            with stack, Client(stack.url, stack.api_key) as client:
                play = Play(client, folder)
                scenes: list[Callable[[], Iterator[Step]]] = [play.main_job]
                if data is not None:
                    scenes.append(lambda: play.people(data))
                for scene in scenes:
                    for step in scene():
                        steps.append(step)
                        _say(console, step)
    console.print(table(steps))
    console.print(f"{len(play.saved)} annotated photos are in .local/demo/")
    wrong = sum(not step.ok for step in steps)
    if wrong:
        console.print(f"[bold red]{wrong} of {len(steps)} answers are wrong.[/]")
        return 1
    console.print(f"[green]All {len(steps)} answers are right.[/] Everything is stopped.")
    return 0


@contextmanager
def _state_folder(folder: Path) -> Iterator[Path]:
    """Give the stack a folder that goes away with it; after a failure its logs stay."""
    for left in folder.glob("state-*"):
        if not psutil.pid_exists(int(left.name.removeprefix("state-"))):
            shutil.rmtree(left, ignore_errors=True)
    state = folder / f"state-{os.getpid()}"
    state.mkdir(parents=True)
    try:
        yield state
    except BaseException:
        with suppress(OSError):
            shutil.copytree(state / "logs", folder / "logs", dirs_exist_ok=True)
        raise
    finally:
        shutil.rmtree(state, ignore_errors=True)


def _remove_old_output(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.jpg"):
        old.unlink(missing_ok=True)
    shutil.rmtree(folder / "logs", ignore_errors=True)


def _test_data(environ: Mapping[str, str], console: Console) -> TestData | None:
    folder = environ.get(TEST_DATA)
    if not folder:
        console.print(f"[dim]{TEST_DATA} is not set: only the astronaut is played.[/]")
        return None
    try:
        return find_test_data(Path(folder))
    except FileNotFoundError as missing:
        raise LocalStackError(
            f"{TEST_DATA} is {folder}, but there is no {missing}; correct it or unset it."
        ) from None


def _check_weights(environ: Mapping[str, str], console: Console) -> None:
    path = weights_path(environ)
    if path.is_file():
        return
    with console.status(f"Downloading the FaceNet weights (107 MB, once) to {path} ..."):
        ensure_weights(path)


def _console() -> Console:
    """Return the terminal; into a file or a pipe, lines are as long as the table needs."""
    return Console() if sys.stdout.isatty() else Console(width=120)


def _say(console: Console, step: Step) -> None:
    mark = "[green]✓[/]" if step.ok else "[bold red]✗[/]"
    console.print(
        f"{mark} {step.name}, {step.asked}: [bold]{step.answer}[/] [dim]{step.ms:.0f} ms[/]",
        highlight=False,
    )
