"""`faces export` and `faces import`."""

from pathlib import Path
from typing import Annotated

import typer

from faces.client import transfer
from faces.client.command.exits import CommandError, ExitCode
from faces.client.command.output import show
from faces.client.command.session import CollectionOption, FormatOption, opened


def export_collection(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Is written; keep it like the photos.")],
    collection: CollectionOption = "default",
    force: Annotated[bool, typer.Option("--force", help="Write over a file.")] = False,
    chosen: FormatOption = None,
) -> None:
    """Write a collection to a file: people, faces, vectors, and a checksum."""
    if file.exists() and not force:
        raise CommandError(f"{file} is there already", "Choose another name, or give --force.")
    with opened(context) as (session, client):
        footer = transfer.export_file(client, collection, file)
        show(session, chosen, [footer], ("people", "faces", "sha256"))


def import_collection(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="As `faces export` wrote it.")],
    collection: CollectionOption = "default",
    chosen: FormatOption = None,
) -> None:
    """Add the people of an exported file to a collection; twice adds nothing."""
    with opened(context) as (session, client):
        done = transfer.import_file(client, collection, file)
        show(
            session,
            chosen,
            [done],
            ("people", "faces", "skipped"),
            lambda each: {
                "people": each.people,
                "faces": each.faces,
                "skipped": [f"{one.person_id}: {one.message}" for one in each.skipped],
            },
        )
    if done.skipped:
        raise typer.Exit(ExitCode.SOME_FAILED)
