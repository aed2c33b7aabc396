"""Answers as a table, as JSON lines or as CSV."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self, TypeVar

from pydantic import BaseModel
from rich import box
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
        self._title = title
        self._rows: list[list[object]] = []
        if chosen is Format.CSV:
            self._print(_csv_line(columns))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Print what was added, also where an error ended it."""
        self.end()

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
                self._rows.append(cells)

    def end(self) -> None:
        """Print the table, without the columns that nothing is in."""
        if not self._rows:
            return
        table = Table(
            title=self._title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD
        )
        shown = [
            number
            for number in range(len(self._columns))
            if any(row[number] not in (None, "", (), []) for row in self._rows)
        ]
        for number in shown:
            column = self._columns[number]
            # What is copied from here is never broken.
            whole = column.endswith("_id") or column == "key"
            table.add_column(column.replace("_", " "), overflow="fold", no_wrap=whole)
        for row in self._rows:
            table.add_row(*[_for_table(row[number]) for number in shown])
        self._session.out.print(table)

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
