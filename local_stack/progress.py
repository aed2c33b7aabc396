"""What a person sees while the stack starts: one line a step, with its seconds.

The supervisor runs in the background and tells its progress as JSON lines through a
pipe; the command in the foreground shows them.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import IO, Literal

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress as RichProgress
from rich.progress import SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

SHOW_AFTER_SECONDS = 1.0


State = Literal["started", "says", "done", "failed", "stopped"]


@dataclass(frozen=True)
class Event:
    """Something a step did.

    Attributes
    ----------
    seconds : how long the step took, once it ended.
    detail : what it is at now, or why it failed.
    """

    step: str
    state: State
    seconds: float = 0.0
    detail: str = ""


Progress = Callable[[Event], None]
"""Takes events, from any thread."""


@contextmanager
def step(
    progress: Progress, name: str, stopping: Callable[[], bool] = lambda: False
) -> Iterator[Callable[[str], None]]:
    """Tell start, end and duration of the step `name`; yields a function for details.

    What fails while everything is `stopping` fails because of that, and is told so.
    """
    started = time.monotonic()
    progress(Event(name, "started"))
    try:
        yield lambda text: progress(Event(name, "says", detail=text))
    except BaseException as error:
        detail = str(error) or type(error).__name__
        state: State = "stopped" if stopping() else "failed"
        progress(Event(name, state, time.monotonic() - started, detail))
        raise
    progress(Event(name, "done", time.monotonic() - started))


def silent(_event: Event) -> None:
    """A `Progress` for tests."""


class PipeProgress:
    """Writes events as JSON lines; a reader that went away is no reason to stop."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            try:
                self._stream.write(json.dumps(asdict(event)) + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                pass


def read_events(stream: IO[str]) -> Iterator[Event]:
    """Yield what `PipeProgress` wrote, until the other end closes."""
    for line in stream:
        yield Event(**json.loads(line))


class ConsoleProgress:
    """Shows events on a terminal; where there is none, prints a line for each step."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._lock = threading.Lock()
        self._tasks: dict[str, TaskID] = {}
        self._live = RichProgress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}", style="dim", markup=False),
            console=self._console,
            transient=True,
        )

    def __enter__(self) -> "ConsoleProgress":
        self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        with self._lock:
            if event.state == "started":
                self._tasks[event.step] = self._live.add_task(event.step, total=1, detail="")
            elif event.state == "says":
                if event.step in self._tasks:
                    self._live.update(self._tasks[event.step], detail=event.detail)
            else:
                if event.step in self._tasks:
                    self._live.remove_task(self._tasks.pop(event.step))
                self._print_end(event)

    def _print_end(self, event: Event) -> None:
        if event.state == "failed":
            self._live.console.print(
                f"[red]✗[/] {event.step}: {escape(event.detail)}", highlight=False
            )
        elif event.state == "done" and event.seconds >= SHOW_AFTER_SECONDS:
            self._live.console.print(
                f"[green]✓[/] {event.step} [dim]{event.seconds:.1f} s[/]", highlight=False
            )
