"""`faces enroll`."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

import typer

from faces.client.bulk import Bulk, Outcome, Portrait, Sitter, sitters_of
from faces.client.command.exits import CommandError, ExitCode
from faces.client.command.journal import Journal
from faces.client.command.output import Writer, show
from faces.client.command.progress import bar
from faces.client.command.recognise import AtOnceOption, FreshOption, TimeoutOption
from faces.client.command.session import CollectionOption, FormatOption, opened
from faces.client.command.sources import photos_of
from faces.client.errors import ApiError, ClientError
from faces.client.sync import Client

_COLUMNS = ("photo", "name", "person_id", "face_id", "warnings", "error")


def enroll(
    context: typer.Context,
    sources: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PHOTO|FOLDER|ZIP...", help="Photos of one face each."),
    ] = None,
    person: Annotated[
        str | None, typer.Option("--person", help="Whose photos these are, by name.")
    ] = None,
    person_id: Annotated[
        str | None, typer.Option("--person-id", help="Whose photos these are, by id.")
    ] = None,
    req_id: Annotated[
        str | None,
        typer.Option("--req-id", help="Enrol this unknown face of an earlier answer instead."),
    ] = None,
    new: Annotated[
        bool, typer.Option("--new", help="Make a person though somebody has this name.")
    ] = False,
    collection: CollectionOption = "default",
    force: Annotated[
        bool, typer.Option("--force", help="Enrol though a check advises against it.")
    ] = False,
    chosen: FormatOption = None,
    at_once: AtOnceOption = 8,
    timeout: TimeoutOption = 600,
    fresh: FreshOption = False,
) -> None:
    """Enrol people from photos of one face each.

    With --person (or --person-id) all photos are of that person. Without, a folder or a zip
    holds a folder for each person, or a photo for each: `Ann Smith/1.jpg`, `Bob.jpg`.
    """
    if person is not None and person_id is not None:
        raise typer.BadParameter("give either --person or --person-id")
    if (req_id is None) == (not sources):
        raise typer.BadParameter("give either photos or --req-id")
    with opened(context) as (session, client):
        if person is not None and not new:
            person_id = _known(client, person, collection)
        if req_id is not None:
            enrolled = client.enroll_req_id(
                req_id,
                None if person_id else person,
                person_id=person_id,
                collection=collection,
                force=force,
            )
            show(session, chosen, [enrolled], ("name", "person_id", "face_id"))
            return
        sitters = _sitters(sources or [], person, person_id)
        asked = {
            "url": client.url,
            "kind": "enroll",
            "collection": collection,
            "person": [person, person_id if person is None else None],
            "force": force,
            "photos": [portrait.name for sitter in sitters for portrait in sitter.portraits],
        }
        writer = Writer(session, session.format(chosen), _COLUMNS)
        later: list[ClientError] = []
        failed = 0
        total = sum(len(sitter.portraits) for sitter in sitters)
        with (
            writer,
            Journal(session.environ, asked, fresh=fresh) as journal,
            bar(session, "enroll", total) as advance,
        ):
            guard = Lock()

            def opened_for(photo: str, job_id: str) -> None:
                with guard:
                    journal.opened(photo, job_id)

            if len(journal):
                session.note(f"Going on: {len(journal)} of {total} were answered before.")
            for document in _answered(sitters, journal):
                writer.add([document], document)
                failed += "error" in document
                advance()
            bulk = Bulk(client, collection, force, at_once, timeout, opened_for)
            for outcome in bulk.enroll(sitters):
                document = _document(outcome)
                with guard:
                    if outcome.lasts:
                        journal.answered(outcome.photo, document)
                if outcome.error is not None and not outcome.lasts:
                    later.append(outcome.error)
                writer.add([document], document)
                failed += outcome.error is not None
                advance()
            if not later:
                journal.done()
    if later:
        raise later[0]
    if failed:
        raise typer.Exit(ExitCode.SOME_FAILED)


def _sitters(sources: Iterable[Path], person: str | None, person_id: str | None) -> list[Sitter]:
    """Return who is on the photos."""
    if person is not None or person_id is not None:
        photos = [Portrait(str(photo), photo) for photo in photos_of(sources)]
        return [Sitter(person or "", photos, person_id)]
    found: dict[str, Sitter] = {}
    for source in sources:
        if source.is_file() and source.suffix.lower() != ".zip":
            raise CommandError(
                f"whose face is on {source}?", "Say it: --person NAME.", ExitCode.USAGE
            )
        if not source.exists():
            photos_of([source])
        for sitter in sitters_of(source):
            known = found.setdefault(sitter.name, Sitter(sitter.name, []))
            known.portraits += sitter.portraits
    if not found:
        photos_of(sources)
    return list(found.values())


def _known(client: Client, name: str, collection: str) -> str | None:
    """Return the id of the one person of that name; None where nobody has it."""
    try:
        people = [
            each
            for each in client.people(collection=collection, query=name)
            if each.name.casefold() == name.casefold()
        ]
    except ApiError as error:
        if error.status == 404:  # the collection comes with its first person
            return None
        raise
    if len(people) > 1:
        ids = ", ".join(each.person_id for each in people)
        raise CommandError(
            f"{len(people)} people are called {name}: {ids}",
            "Say which with --person-id, or make another with --new.",
            ExitCode.USAGE,
        )
    return people[0].person_id if people else None


def _answered(sitters: list[Sitter], journal: Journal) -> Iterator[dict[str, Any]]:
    """Yield what an earlier run answered; leave to each sitter what is still to be done."""
    for sitter in sitters:
        left: list[Portrait] = []
        for portrait in sitter.portraits:
            known = journal.known(portrait.name)
            if known.answer is None:
                left.append(replace(portrait, job_id=known.job_id))
            else:
                sitter.person_id = sitter.person_id or known.answer.get("person_id")
                yield dict(known.answer)
        # Who is on the way already comes first: that photo may have made the person.
        sitter.portraits = sorted(left, key=lambda each: each.job_id is None)


def _document(outcome: Outcome) -> dict[str, Any]:
    document: dict[str, Any] = {"photo": outcome.photo, "name": outcome.name}
    if outcome.enrolment is not None:
        document |= outcome.enrolment.model_dump(mode="json")
    else:
        document["error"] = outcome.refused
    return document
