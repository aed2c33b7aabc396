"""A collection of 10,000 people: enrolled in bulk, searched, listed, merged, deleted.

Vectors are made up, as in `benchmarks.search`; the database is a real PostgreSQL.
"""

import base64
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial

import numpy as np
from rich.console import Console

from benchmarks.result import Figure, Outcome
from benchmarks.search import made_up, postgres
from faces.contracts.ids import new_id
from faces.contracts.transfer import FaceRecord, PersonRecord
from faces.gallery.gallery import Gallery
from faces.gallery.transfer import Transfer
from faces.gallery.vectors import Embeddings
from gpu_worker.index import GalleryIndex

NAME = "people"
SUMMARY = "10,000 people: enrol in bulk, identify, list, merge, delete"

PEOPLE = 10_000
PART = 200
TIMES = 20
PROBES = 100
_MODEL = "benchmark/1"
_WHERE = ("default", "default")


def run(console: Console) -> Outcome:
    """Measure with 10,000 people."""
    return measure(console, PEOPLE)


def measure(console: Console, people: int) -> Outcome:
    """Measure with so many people, one face each."""
    vectors, probes = made_up(people)
    with postgres() as connections:
        gallery = Gallery(connections)
        transfer = Transfer(connections, lambda: datetime.now(UTC))
        console.print(f"  {people:,} people into PostgreSQL")
        records = [_record(number, vector) for number, vector in enumerate(vectors)]
        started = time.perf_counter()
        for start in range(0, people, PART):
            part = tuple(records[start : start + PART])
            transfer.import_people(*_WHERE, part, actor="benchmark")
        enrolled = time.perf_counter() - started

        index = GalleryIndex(gallery, _MODEL)
        started = time.perf_counter()
        index.follow()
        loaded = time.perf_counter() - started
        found = index.search(*_WHERE, probes[:PROBES], 1)
        exact = [gallery.search(*_WHERE, probe, 1, _MODEL) for probe in probes[:PROBES]]
        recall = float(
            np.mean([a[0].person_id == b[0].person_id for a, b in zip(found, exact, strict=True)])
        )
        ids = [record.person_id for record in records]
        figures = (
            Figure(name="enrolled in bulk", value=people / enrolled, unit="people/s"),
            Figure(name="loaded by a worker", value=loaded, unit="s"),
            Figure(
                name="recall of the exact search", value=recall, unit="", target=1, better="higher"
            ),
            _median("a page of 50", [partial(gallery.list_people, *_WHERE)] * TIMES),
            _median(
                "a search by name",
                [partial(gallery.list_people, *_WHERE, query="Person 99")] * TIMES,
            ),
            _median(
                "merge two",
                [
                    partial(gallery.merge_people, *_WHERE, keep=ids[2 * n], merge=ids[2 * n + 1])
                    for n in range(TIMES)
                ],
            ),
            _median(
                "delete one",
                [partial(gallery.delete_person, *_WHERE, ids[-1 - n]) for n in range(TIMES)],
            ),
        )
    return Outcome(
        benchmark=NAME,
        figures=figures,
        notes=(f"{people} people, one face each, {PROBES} probes",),
    )


def _record(number: int, vector: Embeddings) -> PersonRecord:
    packed = base64.b64encode(vector.astype("<f2").tobytes()).decode()
    face = FaceRecord(face_id=new_id(), model_tag=_MODEL, vector=packed)
    return PersonRecord(person_id=new_id(), name=f"Person {number}", faces=(face,))


def _median(name: str, calls: Iterable[Callable[[], object]]) -> Figure:
    milliseconds = []
    for call in calls:
        started = time.perf_counter()
        call()
        milliseconds.append(1000 * (time.perf_counter() - started))
    return Figure(name=name, value=float(np.median(milliseconds)), unit="ms")
