"""The `faces` command: its parts put together, its errors told, its exit codes."""

import zipfile
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.markup import escape
from typer.core import TyperGroup

from faces.client.command import (
    bench,
    collections,
    enrol,
    jobs,
    keys,
    login,
    people,
    recognise,
    transfer,
    watch,
)
from faces.client.command.exits import MEANINGS, ExitCode, told
from faces.client.command.session import Session
from faces.client.errors import ClientError
from faces.contracts.version import CODE_VERSION

_TOLD = (ClientError, ValidationError, OSError, zipfile.BadZipFile)


class Commands(TyperGroup):
    """Tells every error in words, says what to do, and ends with its exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader, `head` for example, has seen enough
            raise typer.Exit(ExitCode.OK) from None
        except KeyboardInterrupt:
            _notes(ctx).print("Stopped. The same command goes on where it stopped.")
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except _TOLD as error:
            found = told(error)
            notes = _notes(ctx)
            notes.print(f"[red]✗[/] {escape(found.what)}", highlight=False)
            notes.print(f"  {escape(found.advice)}", highlight=False)
            raise typer.Exit(found.exit_code) from None


def _notes(ctx: Any) -> Any:
    found = ctx.find_object(Session)
    return (found or Session()).notes


_EPILOG = "Exit codes: " + ". ".join(
    f"{code.value}: {meaning}" for code, meaning in MEANINGS.items()
)

app = typer.Typer(
    name="faces",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(CODE_VERSION)
        raise typer.Exit


@app.callback()
def faces(
    context: typer.Context,
    profile: Annotated[
        str | None,
        typer.Option("--profile", "-p", help="Which login to use; FACES_PROFILE otherwise."),
    ] = None,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Face recognition from the command line: who is on these photos?

    Address and key come from `faces login`, or from FACES_URL and FACES_API_KEY.
    """
    if not isinstance(context.obj, Session):
        context.obj = Session()
    context.obj.profile = profile


app.command()(login.login)
app.command()(login.logout)
app.command()(login.status)
app.command()(recognise.identify)
app.command()(recognise.detect)
app.command()(recognise.verify)
app.command()(enrol.enroll)
app.add_typer(people.app, name="people")
app.add_typer(collections.app, name="collections")
app.add_typer(jobs.jobs, name="jobs")
app.add_typer(keys.app, name="keys")
app.command()(watch.watch)
app.command("export")(transfer.export_collection)
app.command("import")(transfer.import_collection)
app.command()(bench.bench)
app.add_typer(jobs.dead_letters, name="dead-letters")
app.command()(keys.audit)


def main() -> None:
    """Run the command, as the script `faces` does."""
    app(prog_name="faces")
