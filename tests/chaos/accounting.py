"""Counts what went in against what came out: every upload ends in exactly one result."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from faces.contracts.results import JobResult

GAVE_UP = "worker_gave_up"
SUCCEEDED = "succeeded"


def end_of(result: JobResult) -> str:
    """Return how a job ended: its error's code, or `succeeded`."""
    return result.error.code.value if result.error else result.state


@dataclass
class Ledger:
    """What was seen of one run, by job id.

    Attributes
    ----------
    uploads : the end that is expected of each upload that S3 took: `succeeded`, or the
        code of an error.
    events : how often intake was told of each upload; None where nobody counts.
    requests : how many messages were put on the req-queue; None where nobody counts.
    put_back : how many of those were sent for a job that came to the dead letters without
        having had its turns.
    results : the end that each result tells, as in `uploads`.
    rewritten : whose result was seen to change.
    told : the ends that were announced, as often as they were.
    dead_letters : of whom one is kept.
    enrolments : the uploads that ask for a face to be enrolled.
    enrolled : how many faces each enrolment made.
    left : messages that remain, by queue, in hand ones included.
    """

    uploads: dict[str, str] = field(default_factory=dict)
    events: Counter[str] | None = None
    requests: Counter[str] | None = None
    put_back: Counter[str] = field(default_factory=Counter)
    results: dict[str, str] = field(default_factory=dict)
    rewritten: set[str] = field(default_factory=set)
    told: dict[str, Counter[str]] | None = None
    dead_letters: set[str] = field(default_factory=set)
    enrolments: set[str] = field(default_factory=set)
    enrolled: Counter[str] = field(default_factory=Counter)
    left: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Account:
    """One line of the table.

    Attributes
    ----------
    survived : ended as expected, and was told of.
    lost : has no end, though nothing is under way; or one that nobody was told of; or was
        given up though nothing was wrong with it.
    stuck : has no end, and messages remain; or a message that remains though all ended.
    doubled : has a result that changed, two ends, two faces, or was never uploaded.
    wrong : ended otherwise than expected.
    repeated : announcements beyond the first, which harm nobody.
    put_back : messages beyond the first, of jobs that only waited in dying hands.
    """

    tried: int
    survived: int
    lost: int
    stuck: int
    doubled: int
    wrong: int
    repeated: int
    put_back: int = 0
    problems: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether every upload had exactly one end, the right one."""
        return self.survived == self.tried and not self.problems


def account(ledger: Ledger) -> Account:
    """Count; each upload is in one column, and what is odd is named."""
    found = _Problems()
    messages = sum(ledger.left.values())
    unended = {job for job in ledger.uploads if job not in ledger.results}
    stuck = unended if messages else set()
    lost = unended - stuck
    found.add("without an end, and nothing is under way", lost)
    found.add("without an end, and messages remain", stuck)
    if messages and not unended:
        found.problems.append(f"messages remain though all ended: {_left(ledger.left)}")
    lost |= found.add("without an event", _never(ledger.events, ledger.uploads))
    lost |= found.add("whose end nobody was told of", _untold(ledger))
    given_up = {job for job, end in ledger.results.items() if end == GAVE_UP}
    innocent = {job for job in given_up if ledger.uploads.get(job, GAVE_UP) != GAVE_UP}
    lost |= found.add("given up without a fault of their own", innocent)
    lost |= found.add("given up without a dead letter", given_up - ledger.dead_letters)
    done = {job for job in ledger.uploads if ledger.results.get(job) == SUCCEEDED}
    lost |= found.add("done without a message to the workers", _never(ledger.requests, done))
    lost |= found.add("enrolled without a face", _never(ledger.enrolled, done & ledger.enrolments))
    doubled = found.add("whose result changed", ledger.rewritten)
    doubled |= found.add("that were never uploaded", set(ledger.results) - set(ledger.uploads))
    told = ledger.told or {}
    heard = set(ledger.events or ()) | set(ledger.requests or ()) | ledger.dead_letters
    doubled |= found.add("heard of but never uploaded", heard - set(ledger.uploads))
    doubled |= found.add("with two different ends", {job for job in told if len(told[job]) > 1})
    doubled |= found.add(
        "told otherwise than the result says",
        {job for job, ends in told.items() if ledger.results.get(job) not in ends},
    )
    doubled |= found.add("enrolled twice", {job for job, n in ledger.enrolled.items() if n > 1})
    wrong = {
        job
        for job, end in ledger.results.items()
        if job in ledger.uploads and end != ledger.uploads[job]
    } - innocent
    found.add(f"that ended otherwise than expected, {_ends(ledger, wrong)}", wrong)
    bad = lost | stuck | doubled | wrong
    return Account(
        tried=len(ledger.uploads),
        survived=len(set(ledger.uploads) - bad),
        lost=len(lost),
        stuck=len(stuck) + (messages if not unended else 0),
        doubled=len(doubled),
        wrong=len(wrong),
        repeated=sum(sum(ends.values()) - 1 for ends in told.values()),
        put_back=ledger.put_back.total(),
        problems=tuple(found.problems),
    )


def _ends(ledger: Ledger, jobs: set[str]) -> str:
    return ", ".join(sorted({ledger.results[job] for job in jobs}))


class _Problems:
    def __init__(self) -> None:
        self.problems: list[str] = []

    def add(self, what: str, jobs: set[str]) -> set[str]:
        if jobs:
            self.problems.append(f"{len(jobs)} {what}: {', '.join(sorted(jobs)[:3])}")
        return set(jobs)


def _never(events: Counter[str] | None, uploads: Iterable[str]) -> set[str]:
    return set() if events is None else {job for job in uploads if not events[job]}


def _untold(ledger: Ledger) -> set[str]:
    return set() if ledger.told is None else set(ledger.results) - set(ledger.told)


def _left(left: Mapping[str, int]) -> str:
    return ", ".join(f"{count} on {queue}" for queue, count in left.items() if count)
