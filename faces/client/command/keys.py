"""`faces keys ...` and `faces audit`."""

from typing import Annotated

import typer

from faces.client.command.output import show
from faces.client.command.session import FormatOption, YesOption, confirmed, opened
from faces.contracts.audit import AuditQuery
from faces.contracts.keys import Scope

app = typer.Typer(no_args_is_help=True, help="List, make and revoke API keys.")

_KEY = ("name", "key_id", "prefix", "scopes", "requests_per_minute", "created_at", "revoked_at")


@app.command("list")
def list_keys(context: typer.Context, chosen: FormatOption = None) -> None:
    """List all keys, the newest first; the keys themselves are never shown."""
    with opened(context) as (session, client):
        show(session, chosen, client.manage.keys(), _KEY)


@app.command("create")
def create_key(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scopes: Annotated[list[Scope], typer.Option("--scope", "-s", help="What it may do.")],
    requests_per_minute: Annotated[
        int | None, typer.Option("--requests-per-minute", min=1, help="No limit by default.")
    ] = None,
    tenant: Annotated[str | None, typer.Option("--tenant")] = None,
    chosen: FormatOption = None,
) -> None:
    """Make a key; it is shown this once."""
    with opened(context) as (session, client):
        made = client.manage.create_key(
            name, scopes, requests_per_minute=requests_per_minute, tenant=tenant
        )
        show(session, chosen, [made], ("name", "key_id", "scopes", "key"))
        session.note("Keep the key now: it is not shown again.")


@app.command("revoke")
def revoke_key(
    context: typer.Context,
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID")],
    yes: YesOption = False,
    chosen: FormatOption = None,
) -> None:
    """Refuse a key from now on."""
    with opened(context) as (session, client):
        confirmed(session, f"Refuse the key {key_id} for good?", yes)
        show(session, chosen, [client.manage.revoke_key(key_id)], _KEY)


def audit(
    context: typer.Context,
    collection: Annotated[str | None, typer.Option("--collection", "-c")] = None,
    target: Annotated[str | None, typer.Option("--target", help="Id of what was changed.")] = None,
    action: Annotated[str | None, typer.Option("--action", help="Such as person.delete.")] = None,
    most: Annotated[int, typer.Option("--most", min=1, help="So many entries.")] = 50,
    chosen: FormatOption = None,
) -> None:
    """Show who enrolled, changed and deleted what, the newest first."""
    query = AuditQuery(collection=collection, target=target, action=action)
    with opened(context) as (session, client):
        entries = (entry for _, entry in zip(range(most), client.manage.audit(query), strict=False))
        columns = ("recorded_at", "key_id", "action", "collection", "target", "counts")
        show(session, chosen, entries, columns, empty="Nothing was changed.")
