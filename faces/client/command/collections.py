"""`faces collections ...`."""

from typing import Annotated

import typer

from faces.client.command.output import Row, show
from faces.client.command.session import (
    FormatOption,
    YesOption,
    complete_collection,
    confirmed,
    opened,
)
from faces.contracts.collections import Collection, CollectionSettings, Retention

app = typer.Typer(no_args_is_help=True, help="List, make, change and delete collections.")

Name = Annotated[str, typer.Argument(metavar="COLLECTION", autocompletion=complete_collection)]
RateOption = Annotated[
    float | None,
    typer.Option("--false-accept-rate", help="Share of strangers that may be let in."),
]
ThresholdOption = Annotated[
    float | None,
    typer.Option("--threshold", help="Fixed similarity instead; -1 answers the best match."),
]
PhotosOption = Annotated[
    int | None, typer.Option("--photos-seconds", help="How long photos are kept.")
]
UnmatchedOption = Annotated[
    int | None, typer.Option("--unmatched-seconds", help="How long unknown faces are kept.")
]
ResultsOption = Annotated[
    int | None, typer.Option("--results-seconds", help="How long results are kept.")
]
_COLUMNS = (
    "collection",
    "people",
    "faces",
    "false_accept_rate",
    "threshold",
    "photos_seconds",
    "unmatched_seconds",
    "results_seconds",
)


@app.command("list")
def list_collections(context: typer.Context, chosen: FormatOption = None) -> None:
    """List all collections with their settings."""
    with opened(context) as (session, client):
        show(session, chosen, client.manage.collections(), _COLUMNS, _row)


@app.command("create")
def create_collection(
    context: typer.Context,
    name: Name,
    false_accept_rate: RateOption = None,
    threshold: ThresholdOption = None,
    photos_seconds: PhotosOption = None,
    unmatched_seconds: UnmatchedOption = None,
    results_seconds: ResultsOption = None,
    chosen: FormatOption = None,
) -> None:
    """Make a collection."""
    settings = _changed(
        CollectionSettings(),
        {"false_accept_rate": false_accept_rate, "threshold": threshold},
        {
            "photos_seconds": photos_seconds,
            "unmatched_seconds": unmatched_seconds,
            "results_seconds": results_seconds,
        },
    )
    with opened(context) as (session, client):
        made = client.manage.create_collection(name, settings)
        show(session, chosen, [made], _COLUMNS, _row)


@app.command("change")
def change_collection(
    context: typer.Context,
    name: Name,
    false_accept_rate: RateOption = None,
    threshold: ThresholdOption = None,
    photos_seconds: PhotosOption = None,
    unmatched_seconds: UnmatchedOption = None,
    results_seconds: ResultsOption = None,
    chosen: FormatOption = None,
) -> None:
    """Change the settings that are given; the others stay."""
    with opened(context) as (session, client):
        now = client.manage.collection(name).settings
        settings = _changed(
            now,
            {"false_accept_rate": false_accept_rate, "threshold": threshold},
            {
                "photos_seconds": photos_seconds,
                "unmatched_seconds": unmatched_seconds,
                "results_seconds": results_seconds,
            },
        )
        changed = client.manage.change_collection(name, settings)
        show(session, chosen, [changed], _COLUMNS, _row)


@app.command("delete")
def delete_collection(
    context: typer.Context, name: Name, yes: YesOption = False, chosen: FormatOption = None
) -> None:
    """Delete a collection with everybody in it."""
    with opened(context) as (session, client):
        confirmed(session, f"Delete {name} with everybody in it, for good?", yes)
        deleted = client.manage.delete_collection(name)
        columns = ("collection", "people", "faces", "unmatched_faces", "photos")
        show(session, chosen, [deleted], columns)


def _changed(
    now: CollectionSettings, given: dict[str, float | None], retention: dict[str, int | None]
) -> CollectionSettings:
    kept = Retention.model_validate(
        {**now.retention.model_dump(), **{k: v for k, v in retention.items() if v is not None}}
    )
    return CollectionSettings.model_validate(
        {
            **now.model_dump(),
            **{name: value for name, value in given.items() if value is not None},
            "retention": kept,
        }
    )


def _row(each: Collection) -> Row:
    settings = each.settings.model_dump(mode="json")
    return {**each.model_dump(mode="json"), **settings, **settings["retention"]}
