"""Photos of known people in the form of LFW (Huang et al. 2007): folders and pairs.txt."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_SUFFIXES = {".jpg", ".jpeg", ".png"}


class DatasetError(Exception):
    """The folder is not in LFW's form; the message says what is wrong."""


@dataclass(frozen=True)
class Pair:
    """Two photos, by their index in `Dataset.photos`, and whether they show one person."""

    first: int
    second: int
    same: bool
    fold: int


@dataclass(frozen=True)
class Dataset:
    """The photos by name, and the pairs between them.

    Attributes
    ----------
    photos : files, sorted by person and number.
    people : names, sorted.
    person : (n,) index into `people` for each photo.
    """

    photos: tuple[Path, ...]
    people: tuple[str, ...]
    person: NDArray[np.intp]
    pairs: tuple[Pair, ...] = ()
    ordered: dict[str, list[int]] = field(default_factory=dict)

    @property
    def folds(self) -> tuple[int, ...]:
        """The folds that are present, from 1 on."""
        return tuple(sorted({pair.fold for pair in self.pairs}))

    @property
    def first(self) -> NDArray[np.intp]:
        """The first photo of each person."""
        return np.array([photos[0] for photos in self.ordered.values()], dtype=np.intp)

    @property
    def second(self) -> NDArray[np.intp]:
        """The second photo of each person who has two."""
        several = [photos[1] for photos in self.ordered.values() if len(photos) > 1]
        return np.array(several, dtype=np.intp)


def load(folder: Path, folds: Iterable[int] | None = None) -> Dataset:
    """Read a folder with `<person>/<person>_0001.jpg` (or `images/<person>/…`) and pairs.txt.

    Parameters
    ----------
    folds : only pairs of these folds are read; the photos are all the same.

    Raises
    ------
    DatasetError
        When there is no photo, or pairs.txt names one that is not there.
    """
    root = folder / "images" if (folder / "images").is_dir() else folder
    photos = tuple(sorted(file for file in root.glob("*/*") if file.suffix.lower() in _SUFFIXES))
    if not photos:
        raise DatasetError(f"{root} holds no <person>/<person>_0001.jpg")
    people = tuple(sorted({photo.parent.name for photo in photos}))
    number = {name: index for index, name in enumerate(people)}
    ordered: dict[str, list[int]] = {name: [] for name in people}
    for index, photo in enumerate(photos):
        ordered[photo.parent.name].append(index)
    person = np.array([number[photo.parent.name] for photo in photos], dtype=np.intp)
    pairs: tuple[Pair, ...] = ()
    if (folder / "pairs.txt").is_file():
        known = {photo.stem: index for index, photo in enumerate(photos)}
        wanted = None if folds is None else set(folds)
        read = read_pairs((folder / "pairs.txt").read_text(encoding="utf-8"), known)
        pairs = tuple(pair for pair in read if wanted is None or pair.fold in wanted)
    return Dataset(photos, people, person, pairs, ordered)


def read_pairs(text: str, known: dict[str, int]) -> tuple[Pair, ...]:
    """Read LFW's pairs.txt: `folds<TAB>n`, then n pairs of one and n of two people a fold.

    Parameters
    ----------
    known : the index of each photo by its name without suffix.

    Raises
    ------
    DatasetError
        When a line cannot be read or names an unknown photo.
    """
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if not lines or len(lines[0]) not in (1, 2):
        raise DatasetError("pairs.txt begins with no line `folds<TAB>pairs`")
    each = int(lines[0][-1])
    pairs = []
    for number, words in enumerate(lines[1:]):
        match words:
            case [name, one, other]:
                names = (f"{name}_{int(one):04d}", f"{name}_{int(other):04d}")
            case [name, one, another, other]:
                names = (f"{name}_{int(one):04d}", f"{another}_{int(other):04d}")
            case _:
                raise DatasetError(f"pairs.txt, line {number + 2}: neither 3 nor 4 words")
        for photo in names:
            if photo not in known:
                raise DatasetError(f"pairs.txt, line {number + 2}: there is no photo {photo}")
        fold = number // (2 * each) + 1
        pairs.append(Pair(known[names[0]], known[names[1]], len(words) == 3, fold))
    return tuple(pairs)
