"""The bar of a long command: how many, how fast, how long yet; on standard error."""

import contextlib
from collections.abc import Callable, Iterator

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from faces.client.command.session import Session


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s", style="progress.data.speed")


@contextlib.contextmanager
def bar(session: Session, what: str, total: int, done: int = 0) -> Iterator[Callable[[], None]]:
    """Show a bar while the block runs; call what it gives once for each that ended."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    shown = session.notes.is_terminal and total > 1
    with Progress(*columns, console=session.notes, disable=not shown) as progress:
        task = progress.add_task(what, total=total, completed=done)
        yield lambda: progress.advance(task)
