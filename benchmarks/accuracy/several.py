"""What several enrolled photos of a person bring."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks.accuracy.extract import Record
from benchmarks.accuracy.scores import Faces, Floats
from gpu_worker.backends.base import FloatArray

_MOST = 3
_FAR = 0.01


@dataclass(frozen=True)
class Several:
    """Misses of people with at least four photos: the last one is the probe.

    Attributes
    ----------
    people : who have enough photos; all others are enrolled with their first.
    misses : share not recognised when 1 % of strangers are, by way and enrolled photos.
    """

    people: int
    misses: dict[str, tuple[float, ...]]

    def table(self) -> Table:
        """Return the figures as a table."""
        title = f"missed at FAR 1 %, {self.people} people"
        made = Table(title=title, box=SIMPLE_HEAD, pad_edge=False)
        made.add_column("enrolled photos")
        for count in range(1, _MOST + 1):
            made.add_column(str(count), justify="right")
        for name, misses in self.misses.items():
            made.add_row(name, *(f"{100 * share:.1f} %" for share in misses))
        return made


def several_photos(parts: Sequence[Faces], records: Sequence[Record]) -> Several:
    """Compare ways to use one to three photos a person.

    Parameters
    ----------
    parts : each fold's faces.
    records : of a profile that scores quality; one of a single view does not.

    Raises
    ------
    ValueError
        When a photo's face has no score: all would count alike.
    """
    if any(record.quality is not None and record.quality.score is None for record in records):
        raise ValueError("these records have no quality scores")
    score = np.array([(r.quality and r.quality.score) or 0.0 for r in records])
    ways: dict[str, Callable[[FloatArray, Floats], FloatArray]] = {
        "nearest of them": lambda vectors, _: vectors,
        "mean of them": lambda vectors, _: _unit(vectors.mean(axis=0))[None],
        "mean, weighted by quality": lambda vectors, weight: _unit(
            (vectors * (weight[:, None] + 10)).sum(axis=0)
        )[None],
        "the one of best quality": lambda vectors, weight: vectors[[int(weight.argmax())]],
    }
    found = {
        name: tuple(
            float(np.mean([_misses(part, score, way, count) for part in parts]))
            for count in range(1, _MOST + 1)
        )
        for name, way in ways.items()
    }
    people = sum(int((np.bincount(part.person[part.found]) > _MOST).sum()) for part in parts)
    return Several(people, found)


def _misses(
    part: Faces,
    score: Floats,
    way: Callable[[FloatArray, Floats], FloatArray],
    count: int,
) -> float:
    """Return the share of probes missed; strangers are all other people's last photos."""
    own = {
        int(person): np.flatnonzero(part.found & (part.person == person))
        for person in np.unique(part.person[part.found])
    }
    gallery, labels = [], []
    for person, photos in own.items():
        enrolled = photos[:count] if len(photos) > _MOST else photos[:1]
        vectors = way(part.vectors[enrolled], score[enrolled])
        gallery.append(vectors)
        labels += [person] * len(vectors)
    names = np.array(labels)
    probes = {person: photos[_MOST] for person, photos in own.items() if len(photos) > _MOST}
    cosines = part.vectors[list(probes.values())] @ np.concatenate(gallery).T
    mine = names[None] == np.array(list(probes))[:, None]
    right = np.where(mine, cosines, -1).max(axis=1)
    others = np.where(mine, -1, cosines).max(axis=1)
    every = part.vectors[np.concatenate(list(own.values()))] @ np.concatenate(gallery).T
    whose = np.repeat(list(own), [len(photos) for photos in own.values()])
    strangers = np.sort(np.where(names[None] == whose[:, None], -1, every).max(axis=1))[::-1]
    threshold = strangers[int(_FAR * len(strangers))]
    return float(1 - ((right > threshold) & (right >= others)).mean())


def _unit(vector: FloatArray) -> FloatArray:
    unit: FloatArray = vector / np.linalg.norm(vector)
    return unit
