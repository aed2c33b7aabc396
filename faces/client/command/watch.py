"""`faces watch`: queue and fleet, live."""

from collections import Counter, deque
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from faces.client.command.output import plain, printable, show
from faces.client.command.session import Format, FormatOption, Session, opened
from faces.client.errors import ClientError
from faces.client.sync import Client
from faces.contracts.operations import FleetWorker, OperationsView, RecentJob, WorkerState

_BARS = " ▁▂▃▄▅▆▇█"
_SHOWN = 60
_STYLES = {
    WorkerState.READY: "green",
    WorkerState.BOOTING: "yellow",
    WorkerState.DRAINING: "magenta",
}


def watch(
    context: typer.Context,
    every: Annotated[float, typer.Option("--every", min=1, help="Seconds between looks.")] = 2,
    once: Annotated[bool, typer.Option("--once", help="Look once, print it, and end.")] = False,
    chosen: FormatOption = None,
) -> None:
    """Watch the queue and the fleet until Ctrl-C; needs a key with the scope admin."""
    with opened(context) as (session, client):
        if once or not session.out.is_terminal:
            _print(session, chosen, client.manage.operations())
            return
        backlog: deque[int] = deque(maxlen=_SHOWN)
        with Live(console=session.out, auto_refresh=False, screen=True) as live:
            while True:
                live.update(_look(client, backlog), refresh=True)
                session.sleep(every)


def _print(session: Session, chosen: Format | None, view: OperationsView) -> None:
    if session.format(chosen) is not Format.TABLE:
        columns = ("at", "stack", "arriving", "waiting", "in_flight", "dead", "fleet")
        show(session, chosen, [view], columns, _row)
        return
    session.out.print(screen(view, [], []))


def _look(client: Client, backlog: deque[int]) -> RenderableType:
    """Return the screen; a service that does not answer is said, and looked for again."""
    try:
        view = client.manage.operations()
        jobs = client.manage.recent_jobs(10).jobs
    except ClientError as error:
        if not error.retryable:
            raise
        return Text(f"The service does not answer, looking again: {error}", style="red")
    if view.queues is not None:
        backlog.append(view.queues.waiting + view.queues.in_flight)
    return screen(view, backlog, jobs)


def screen(
    view: OperationsView, backlog: Sequence[int], jobs: Sequence[RecentJob]
) -> RenderableType:
    """Return what is shown: queues, the backlog so far, the fleet, recent jobs."""
    parts: list[RenderableType] = [Text(f"{view.stack}   {view.at:%H:%M:%S} UTC", style="bold")]
    if view.queues is None:
        parts.append(Text("queues: AWS does not tell at the moment", style="yellow"))
    else:
        queues = view.queues
        parts.append(
            Text(
                f"arriving {queues.arriving}   waiting {queues.waiting}   "
                f"in flight {queues.in_flight}   dead {queues.dead}"
            )
        )
    if backlog:
        parts.append(Text(f"backlog {sparkline(backlog)} {backlog[-1]}", style="cyan"))
    parts.append(Text("fleet: AWS does not tell at the moment", style="yellow"))
    if view.fleet is not None:
        parts[-1] = _fleet(view.fleet, view.at)
    if jobs:
        parts.append(_jobs(jobs))
    return Group(*parts)


def sparkline(values: Sequence[int]) -> str:
    """Return a bar of eight heights for each value; the largest is the highest."""
    top = max(values)
    return "".join(_BARS[-(-8 * value // top)] if top else _BARS[0] for value in values)


def _fleet(fleet: Sequence[FleetWorker], now: datetime) -> RenderableType:
    counts = Counter(worker.state.value for worker in fleet)
    told = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "empty"
    table = Table(title=f"Fleet: {told}", title_justify="left", header_style="bold")
    for column in ("name", "instance", "state", "type", "age"):
        table.add_column(column)
    for worker in sorted(fleet, key=lambda each: each.launched_at):
        table.add_row(
            printable(worker.name),
            worker.instance_id,
            Text(worker.state, style=_STYLES.get(worker.state, "dim")),
            worker.instance_type + (" spot" if worker.spot else ""),
            _age((now - worker.launched_at).total_seconds()),
        )
    return table if fleet else Text("Fleet: empty; nothing runs while nobody asks")


def _jobs(jobs: Sequence[RecentJob]) -> Table:
    table = Table(title="Recent jobs", title_justify="left", header_style="bold")
    for column in ("at", "state", "kind", "photo", "known", "seconds", "error"):
        table.add_column(column)
    for job in jobs:
        took = job.finished_at and (job.finished_at - job.submitted_at).total_seconds()
        table.add_row(
            f"{job.submitted_at:%H:%M:%S}",
            job.state,
            job.kind or "",
            printable(job.file_name or ""),
            f"{job.known} of {job.faces}" if job.faces else "",
            "" if took is None else f"{took:.2f}",
            "" if job.error is None else str(job.error.code),
        )
    return table


def _age(seconds: float) -> str:
    minutes, rest = divmod(max(0, int(seconds)), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d}"


def _row(view: OperationsView) -> dict[str, object]:
    row: dict[str, object] = {**plain(view), **(plain(view.queues) if view.queues else {})}
    states = Counter(worker.state.value for worker in view.fleet or ())
    row["fleet"] = [f"{state}={count}" for state, count in sorted(states.items())]
    return row
