"""The demo's table."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from local_stack.demo.play import Step


def table(steps: Sequence[Step]) -> Table:
    """Return the table of all steps."""
    made = Table(title="Elastic Faces, from upload to answer", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("step", "asked", "answer", "expected", "ok"):
        made.add_column(heading)
    made.add_column("ms", justify="right")
    for step in steps:
        ok = "[green]yes[/]" if step.ok else "[bold red]NO[/]"
        made.add_row(step.name, step.asked, step.answer, step.expected, ok, f"{step.ms:.0f}")
    return made
