"""`faces people ...`."""

from datetime import datetime
from typing import Annotated

import typer

from faces.client.command.output import show
from faces.client.command.session import (
    CollectionOption,
    FormatOption,
    YesOption,
    confirmed,
    opened,
)
from faces.contracts.people import NewPerson, PersonUpdate

app = typer.Typer(no_args_is_help=True, help="List, read, change, merge and delete people.")

_PERSON = ("name", "person_id", "faces", "email", "external_id", "birthdate")
PersonId = Annotated[str, typer.Argument(metavar="PERSON_ID")]


@app.command("list")
def list_people(
    context: typer.Context,
    query: Annotated[
        str | None, typer.Argument(help="Only whose name, e-mail or external id holds this.")
    ] = None,
    collection: CollectionOption = "default",
    chosen: FormatOption = None,
) -> None:
    """List people by name."""
    with opened(context) as (session, client):
        people = client.people(collection=collection, query=query)
        show(session, chosen, people, _PERSON, empty="Nobody is there.")


@app.command("show")
def show_person(
    context: typer.Context,
    person_id: PersonId,
    collection: CollectionOption = "default",
    chosen: FormatOption = None,
) -> None:
    """Show one person."""
    with opened(context) as (session, client):
        person = client.person(person_id, collection=collection)
        show(session, chosen, [person], _PERSON)


@app.command("faces")
def list_faces(
    context: typer.Context,
    person_id: PersonId,
    collection: CollectionOption = "default",
    chosen: FormatOption = None,
) -> None:
    """List a person's faces, the oldest first."""
    with opened(context) as (session, client):
        faces = client.manage.faces(person_id, collection=collection)
        show(session, chosen, faces, ("face_id", "created_at", "job_id", "model_tag"))


@app.command("create")
def create_person(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    email: Annotated[str | None, typer.Option("--email")] = None,
    external_id: Annotated[
        str | None, typer.Option("--external-id", help="Your own key of the person.")
    ] = None,
    birthdate: Annotated[datetime | None, typer.Option("--birthdate", formats=["%Y-%m-%d"])] = None,
    collection: CollectionOption = "default",
    chosen: FormatOption = None,
) -> None:
    """Make a person without a face; `faces enroll --person-id` adds faces."""
    person = NewPerson(
        name=name,
        email=email,
        external_id=external_id,
        birthdate=birthdate.date() if birthdate else None,
    )
    with opened(context) as (session, client):
        made = client.manage.create_person(person, collection=collection)
        show(session, chosen, [made], _PERSON)


@app.command("change")
def change_person(
    context: typer.Context,
    person_id: PersonId,
    name: Annotated[str | None, typer.Option("--name")] = None,
    email: Annotated[str | None, typer.Option("--email", help='"" empties it.')] = None,
    external_id: Annotated[str | None, typer.Option("--external-id", help='"" empties it.')] = None,
    birthdate: Annotated[datetime | None, typer.Option("--birthdate", formats=["%Y-%m-%d"])] = None,
    collection: CollectionOption = "default",
    chosen: FormatOption = None,
) -> None:
    """Rename a person, or change what else is given."""
    given: dict[str, object] = {"name": name} if name is not None else {}
    for field, value in (("email", email), ("external_id", external_id)):
        if value is not None:
            given[field] = value or None
    if birthdate is not None:
        given["birthdate"] = birthdate.date()
    if not given:
        raise typer.BadParameter("say what to change, with --name for example")
    update = PersonUpdate.model_validate(given)
    with opened(context) as (session, client):
        changed = client.manage.update_person(person_id, update, collection=collection)
        show(session, chosen, [changed], _PERSON)


@app.command("merge")
def merge_people(
    context: typer.Context,
    keep: Annotated[str, typer.Argument(metavar="KEEP_ID", help="Gets all faces.")],
    merge: Annotated[str, typer.Argument(metavar="MERGE_ID", help="Goes.")],
    collection: CollectionOption = "default",
    yes: YesOption = False,
    chosen: FormatOption = None,
) -> None:
    """Make one person of two."""
    with opened(context) as (session, client):
        confirmed(session, f"Give all faces of {merge} to {keep}, for good?", yes)
        person = client.manage.merge_people(keep=keep, merge=merge, collection=collection)
        show(session, chosen, [person], _PERSON)


@app.command("delete")
def delete_person(
    context: typer.Context,
    person_id: PersonId,
    collection: CollectionOption = "default",
    yes: YesOption = False,
    chosen: FormatOption = None,
) -> None:
    """Delete a person with all faces, vectors and photos."""
    with opened(context) as (session, client):
        confirmed(session, f"Delete {person_id} with all faces and photos, for good?", yes)
        deleted = client.delete_person(person_id, collection=collection)
        show(session, chosen, [deleted], ("person_id", "faces", "unmatched_faces", "photos"))


@app.command("move-face")
def move_face(
    context: typer.Context,
    face_id: Annotated[str, typer.Argument(metavar="FACE_ID")],
    person_id: Annotated[str, typer.Argument(metavar="PERSON_ID", help="Whose face it is.")],
    collection: CollectionOption = "default",
    chosen: FormatOption = None,
) -> None:
    """Give a face to another person."""
    with opened(context) as (session, client):
        person = client.manage.move_face(face_id, person_id, collection=collection)
        show(session, chosen, [person], _PERSON)


@app.command("delete-face")
def delete_face(
    context: typer.Context,
    face_id: Annotated[str, typer.Argument(metavar="FACE_ID")],
    collection: CollectionOption = "default",
    yes: YesOption = False,
    chosen: FormatOption = None,
) -> None:
    """Delete a face, its vector and its photo."""
    with opened(context) as (session, client):
        confirmed(session, f"Delete the face {face_id} and its photo, for good?", yes)
        deleted = client.manage.delete_face(face_id, collection=collection)
        show(session, chosen, [deleted], ("face_id", "photos"))
