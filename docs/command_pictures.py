"""Draw what `faces watch` shows into docs/images/watch.svg: `python -m docs.command_pictures`.

The fleet is an example; the picture is made by the code that shows a real one.
"""

import io
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console

from faces.client.command.watch import screen
from faces.contracts.jobs import JobKind, JobState
from faces.contracts.operations import (
    FleetWorker,
    OperationsView,
    Queues,
    RecentJob,
    WorkerState,
)

FILE = Path(__file__).resolve().parent / "images" / "watch.svg"
_NOW = datetime(2026, 11, 21, 10, 44, 24, tzinfo=UTC)
_BACKLOG = [0, 0, 48, 200, 188, 171, 150, 121, 96, 70, 52]
_STATES = [WorkerState.READY] * 6 + [WorkerState.BOOTING] * 2


def render() -> str:
    """Return the picture."""
    console = Console(record=True, width=92, file=io.StringIO(), force_terminal=True)
    console.print(screen(_view(), _BACKLOG, _jobs()))
    svg = console.export_svg(title="faces watch", unique_id="watch")
    # The fonts of rich's pictures come from another host.
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


def _view() -> OperationsView:
    fleet = tuple(
        FleetWorker(
            instance_id=f"i-0{number:x}5e1f0c2d3b4a{number:x}",
            name=f"app-tier-instance-{number}",
            state=state,
            instance_type="g5.xlarge",
            spot=number > 2,
            launched_at=_NOW - timedelta(seconds=130 - 14 * number),
        )
        for number, state in enumerate(_STATES, start=1)
    )
    queues = Queues(arriving=0, waiting=22, in_flight=30, dead=0)
    return OperationsView(at=_NOW, stack="faces-prod", queues=queues, fleet=fleet)


def _jobs() -> list[RecentJob]:
    return [
        RecentJob(
            job_id=str(number),
            state=JobState.SUCCEEDED,
            submitted_at=_NOW - timedelta(seconds=9 - number),
            finished_at=_NOW - timedelta(seconds=1.5 + 0.4 * number),
            kind=JobKind.IDENTIFY,
            file_name=f"gate-{1040 + number}.jpg",
            faces=1 + number % 3,
            known=1,
        )
        for number in range(4)
    ]


def main() -> None:
    """Write the picture."""
    FILE.write_text(render(), "utf-8")


if __name__ == "__main__":
    main()
