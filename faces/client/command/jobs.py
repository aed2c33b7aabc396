"""`faces jobs ...` and `faces dead-letters ...`."""

from typing import Annotated

import typer

from faces.client.command.exits import ExitCode, told
from faces.client.command.output import Row, show
from faces.client.command.session import (
    FormatOption,
    Session,
    YesOption,
    confirmed,
    opened,
)
from faces.client.errors import ApiError
from faces.client.jobs import succeeded
from faces.contracts.dead_letters import DeadLetter
from faces.contracts.jobs import JobView
from faces.contracts.operations import MAX_RECENT, RecentJob

jobs = typer.Typer(no_args_is_help=True, help="Read, wait for and delete jobs.")
dead_letters = typer.Typer(
    no_args_is_help=True, help="Jobs that were given up: read them, have them done again."
)

JobId = Annotated[str, typer.Argument(metavar="JOB_ID")]
_COLUMNS = ("job_id", "state", "kind", "collection", "faces", "submitted_at", "error")
_RECENT = ("job_id", "state", "kind", "file_name", "faces", "known", "seconds", "error")
_LETTER = ("job_id", "queue", "receive_count", "kept_at", "redriven_at", "reason")


@jobs.command("list")
def list_jobs(
    context: typer.Context,
    most: Annotated[int, typer.Option("--most", min=1, max=MAX_RECENT, help="So many.")] = 20,
    chosen: FormatOption = None,
) -> None:
    """List the newest jobs, in a few words each."""
    with opened(context) as (session, client):
        recent = client.manage.recent_jobs(most).jobs
        show(session, chosen, recent, _RECENT, _recent, empty="No photo was sent yet.")


@jobs.command("show")
def show_job(context: typer.Context, job_id: JobId, chosen: FormatOption = None) -> None:
    """Show how a job stands, with its result once it has ended."""
    with opened(context) as (session, client):
        show(session, chosen, [client.job(job_id)], _COLUMNS, _row)


@jobs.command("wait")
def wait_for_job(
    context: typer.Context,
    job_id: JobId,
    timeout: Annotated[float, typer.Option("--timeout", min=0, help="Seconds.")] = 120,
    chosen: FormatOption = None,
) -> None:
    """Wait for the end of a job; fails where the job did."""
    with opened(context) as (session, client):
        view = client.wait(job_id, timeout=timeout)
        show(session, chosen, [view], _COLUMNS, _row)
        succeeded(view)


@jobs.command("delete")
def delete_job(
    context: typer.Context, job_id: JobId, yes: YesOption = False, chosen: FormatOption = None
) -> None:
    """Delete a job's photo, result and unknown faces."""
    with opened(context) as (session, client):
        confirmed(session, f"Delete photo and result of {job_id}, for good?", yes)
        show(session, chosen, [client.delete_job(job_id)], ("job_id", "unmatched_faces"))


@dead_letters.command("list")
def list_dead_letters(context: typer.Context, chosen: FormatOption = None) -> None:
    """List what was given up, the oldest first."""
    with opened(context) as (session, client):
        letters = client.manage.dead_letters()
        show(session, chosen, letters, _LETTER, empty="No job was given up.")


@dead_letters.command("show")
def show_dead_letter(context: typer.Context, job_id: JobId, chosen: FormatOption = None) -> None:
    """Show one letter whole."""
    with opened(context) as (session, client):
        found = [each for each in client.manage.dead_letters() if each.job_id == job_id]
        if not found:
            session.note(f"No dead letter speaks of {job_id}.")
            raise typer.Exit(ExitCode.NOT_FOUND)
        show(session, chosen, found, (*_LETTER, "message_id", "body"))


@dead_letters.command("redrive")
def redrive(
    context: typer.Context,
    job_ids: Annotated[list[str] | None, typer.Argument(metavar="JOB_ID...")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All that were not redriven yet.")
    ] = False,
    yes: YesOption = False,
    chosen: FormatOption = None,
) -> None:
    """Have jobs that were given up worked on once more."""
    if bool(job_ids) == everything:
        raise typer.BadParameter("name the jobs, or give --all")
    with opened(context) as (session, client):
        ids = job_ids or [
            letter.job_id
            for letter in client.manage.dead_letters()
            if letter.job_id is not None and letter.redriven_at is None
        ]
        if everything:
            confirmed(session, f"Have {len(ids)} jobs worked on once more?", yes)
        failed = 0
        redriven: list[DeadLetter] = []
        for job_id in ids:
            try:
                redriven.append(client.manage.redrive(job_id))
            except ApiError as error:
                if error.status in (401, 403):
                    raise
                failed += 1
                _say(session, job_id, error)
        show(session, chosen, redriven, _LETTER, empty="Nothing was redriven.")
    if failed:
        raise typer.Exit(ExitCode.SOME_FAILED)


def _say(session: Session, job_id: str, error: ApiError) -> None:
    found = told(error)
    session.note(f"{job_id}: {found.what} {found.advice}")


def _recent(job: RecentJob) -> Row:
    took = None if job.finished_at is None else (job.finished_at - job.submitted_at).total_seconds()
    error = None if job.error is None else str(job.error.code)
    return {**job.model_dump(mode="json"), "seconds": took, "error": error}


def _row(view: JobView) -> Row:
    error = view.error
    row: dict[str, object] = view.model_dump(mode="json", include={"job_id", "state"})
    row["submitted_at"] = view.submitted_at.isoformat(timespec="seconds")
    row["error"] = None if error is None else f"{error.code}: {error.message}"
    if view.result is not None:
        row |= {
            "kind": view.result.kind,
            "collection": view.result.collection,
            "faces": [face.match.name if face.match else "?" for face in view.result.faces],
        }
    return row
