"""Everything that is measured, as one document and as a table."""

import math
from dataclasses import asdict, dataclass
from typing import Any, cast

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.accuracy.held_out import HeldOut
from benchmarks.accuracy.intervals import Estimate
from benchmarks.accuracy.protocols import (
    OpenSetResult,
    Outcomes,
    PairResult,
    RandomHalves,
    SeedResult,
)


@dataclass(frozen=True)
class Counts:
    """How many photos there were, and what became of them.

    Attributes
    ----------
    not_detected : photos in which no face was found.
    refused : photos with a face that an enrolment refuses, by reason.
    not_read : files that are no photo.
    missing_pairs : pairs whose photos are not there.
    """

    photos: int
    people: int
    not_detected: Estimate
    not_enrollable: Estimate
    refused: dict[str, int]
    not_read: int
    missing_pairs: int


@dataclass(frozen=True)
class Rejection:
    """Error versus reject: the photos of lowest quality are left out.

    Attributes
    ----------
    rejected : shares of the photos.
    misses : pairs of one person that are missed, each person counting alike.
    far : the false accept rate a comparison, held fixed.
    """

    score: str
    far: float
    rejected: tuple[float, ...]
    misses: tuple[float, ...]


@dataclass(frozen=True)
class AccuracyReport:
    """One measurement of one profile."""

    profile: str
    model_tag: str
    backend: str
    counts: Counts
    pairs: PairResult | None
    tar_all: dict[float, Estimate]
    seed: SeedResult
    open_set: OpenSetResult
    calibration: dict[str, float]
    rejection: tuple[Rejection, ...]
    held_out: HeldOut | None
    groups: dict[str, dict[str, Estimate]]
    milliseconds: dict[str, float]

    def document(self) -> dict[str, Any]:
        """Return every figure, as JSON takes it; without the single scores."""
        made = asdict(self)
        for single in ("known", "strangers"):
            del made["seed"][single]
        return cast(dict[str, Any], _finite(made))


def _finite(value: Any) -> Any:
    """Return the value with None for what is no number: JSON knows no nan."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value


def print_report(report: AccuracyReport, console: Console) -> None:
    """Print the figures as a table."""
    table = Table(title=f"{report.model_tag} ({report.backend})", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("figure")
    table.add_column("value [95 % interval]", justify="right")
    table.add_column("of", justify="right")

    def row(name: str, value: Estimate) -> None:
        table.add_row(name, str(value), str(value.count))

    counts = report.counts
    row("failure to detect", counts.not_detected)
    row("failure to enrol", counts.not_enrollable)
    if report.pairs is not None:
        _pair_rows(report.pairs, row)
    for rate, tar in report.tar_all.items():
        row(f"all photos: TAR at FAR {rate:g}", tar)
    _seed_rows(report.seed, row)
    for rate, (_, found) in report.open_set.dir_at.items():
        row(f"open set, {report.open_set.gallery} people: DIR at FPIR {rate:g}", found)
    for name, groups in report.groups.items():
        for group, value in groups.items():
            row(f"{name} {group}: TAR at FAR 0.001", value)
    console.print(table)
    _print_halves(report.seed.halves, console)
    for rejection in report.rejection:
        steps = ", ".join(
            f"{rejected:.0%}: {misses:.2%}"
            for rejected, misses in zip(rejection.rejected, rejection.misses, strict=True)
        )
        console.print(f"missed at FAR {rejection.far:g} when the worst are rejected: {steps}")
    if report.held_out is not None:
        _print_held_out(report.held_out, console)
    if report.counts.not_read or report.counts.missing_pairs:
        console.print(
            f"{report.counts.not_read} files are no photo, "
            f"{report.counts.missing_pairs} pairs have no photo here"
        )
    console.print(
        "processor ms a photo: "
        + ", ".join(f"{stage} {each:.1f}" for stage, each in report.milliseconds.items())
    )


def _print_held_out(found: HeldOut, console: Console) -> None:
    table = Table(title="learnt from half of the people, tested on the others", box=SIMPLE_HEAD)
    for heading in ("asked for", "photos enrolled", "strangers accepted", "recognised"):
        table.add_column(heading, justify="right")
    for each in found.asked:
        shares = f"{each.strangers:.2%}", f"{each.recognised:.2%}"
        table.add_row(f"{each.rate:g}", str(each.enrolled), *shares)
    console.print(table)
    console.print(
        f"expected calibration error: verify {found.verify.error:.2%}, "
        f"identify {found.identify.error:.2%}"
    )


def _pair_rows(pairs: PairResult, row: Any) -> None:
    name = f"pairs, folds {', '.join(map(str, pairs.folds))}"
    spread = f"mean {pairs.mean:.4f} ± {pairs.standard_error:.4f}"
    if len(pairs.folds) < 2:
        spread = "one fold: threshold from itself"
    row(f"{name}: accuracy ({spread})", pairs.accuracy)
    row(f"{name}: accuracy at the calibrated {pairs.fixed_threshold:.3f}", pairs.fixed)
    for rate, tar in pairs.tar.items():
        if tar is not None:
            row(f"{name}: TAR at FAR {rate:g}", tar)


def _seed_rows(seed: SeedResult, row: Any) -> None:
    row(f"one photo of {seed.people} people: rank-1", seed.rank1)
    for rate, found in seed.at_far.items():
        _outcome_rows(f"at FAR {rate:g}", found, row)
    _outcome_rows("at the service's threshold", seed.at_shipped, row)


def _print_halves(found: RandomHalves, console: Console) -> None:
    parts = [
        f"{asked} at {given} {rate:.2%} is {mean:.1%} ± {spread:.1%}"
        for asked, given, rates in (
            ("FRR", "FAR", found.frr_at_far),
            ("FAR", "FRR", found.far_at_frr),
        )
        for rate, (mean, spread) in rates.items()
    ]
    console.print(f"over {found.draws} random halves of the people: {', '.join(parts)}")


def _outcome_rows(name: str, found: Outcomes, row: Any) -> None:
    row(f"{name} ({found.threshold:.3f}): recognised", found.recognised)
    row(f"{name}: wrong person", found.wrong_person)
    row(f"{name}: no match", found.no_match)
    row(f"{name}: strangers accepted", found.false_accepts)
