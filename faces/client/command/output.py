"""Answers as a table, as JSON lines or as CSV."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel
from rich.table import Table
from rich.text import Text

from faces.client.command.session import Format, Session

Item = TypeVar("Item")
Row = Mapping[str, object]


class Writer:
    """Prints rows; a table is printed when the last is there.

    Parameters
    ----------
    columns : of the table and of CSV, in their order.
    title : of the table.
    """

    def __init__(
        self, session: Session, chosen: Format, columns: Sequence[str], title: str | None = None
    ) -> None:
        self._session = session
        self._format = chosen
        self._columns = columns
        self._table = Table(title=title, title_justify="left", header_style="bold")
        for column in columns:
            self._table.add_column(column.replace("_", " "), overflow="fold")
        if chosen is Format.CSV:
            self._print(_csv_line(columns))

    def add(self, rows: Iterable[Row], document: object) -> None:
        """Print an item: its rows, or the whole document as a line of JSON."""
        if self._format is Format.JSONL:
            self._print(json.dumps(plain(document), ensure_ascii=False))
            return
        for row in rows:
            cells = [row.get(column) for column in self._columns]
            if self._format is Format.CSV:
                self._print(_csv_line([_for_csv(cell) for cell in cells]))
            else:
                self._table.add_row(*[_for_table(cell) for cell in cells])

    def end(self) -> None:
        """Print the table."""
        if self._format is Format.TABLE and self._table.row_count:
            self._session.out.print(self._table)

    def _print(self, line: str) -> None:
        self._session.out.file.write(line + "\n")
        self._session.out.file.flush()


def show(
    session: Session,
    chosen: Format | None,
    items: Iterable[Item],
    columns: Sequence[str],
    row: Callable[[Item], Row] | None = None,
    *,
    empty: str = "Nothing there.",
) -> None:
    """Print items that are a row each."""
    writer = Writer(session, session.format(chosen), columns)
    any_there = False
    for item in items:
        any_there = True
        writer.add([row(item) if row else plain(item)], item)
    writer.end()
    if not any_there:
        session.note(empty)


def plain(document: object) -> Any:
    """Return a document as JSON knows it."""
    if isinstance(document, BaseModel):
        return document.model_dump(mode="json", exclude_none=True)
    return document


def printable(text: str) -> str:
    """Return text that cannot move the cursor or change the terminal's state."""
    return "".join(each if each.isprintable() else "�" for each in text)


def _for_table(cell: object) -> Text:
    if cell is None or cell == "":
        return Text("")
    if isinstance(cell, bool):
        return Text("yes" if cell else "no")
    if isinstance(cell, float):
        return Text(f"{cell:.3f}".rstrip("0").rstrip("."), justify="right")
    if isinstance(cell, (list, tuple)):
        return Text(", ".join(printable(str(each)) for each in cell))
    return Text(printable(str(cell)))


def _for_csv(cell: object) -> object:
    if isinstance(cell, (list, tuple)):
        return " ".join(str(each) for each in cell)
    return "" if cell is None else cell


def _csv_line(cells: Sequence[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()
