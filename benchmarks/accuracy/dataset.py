"""Photos of known people in the form of LFW (Huang et al. 2007): folders and pairs.txt."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
_NUMBERED = re.compile(r"_(\d+)$")
# Where no tabs separate them, names may hold spaces all the same.
_ONE_PERSON = re.compile(r"(.+?)\s+(\d+)\s+(\d+)")
_TWO_PEOPLE = re.compile(r"(.+?)\s+(\d+)\s+(.+?)\s+(\d+)")

PhotoKey = tuple[str, int]
"""A photo as pairs.txt names it: the person, and which of the person's photos."""


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
    ordered : the photos of each person, by number.
    missing_pairs : pairs that pairs.txt names but whose photos are not there.
    """

    photos: tuple[Path, ...]
    people: tuple[str, ...]
    person: NDArray[np.intp]
    pairs: tuple[Pair, ...] = ()
    ordered: dict[str, list[int]] = field(default_factory=dict)
    missing_pairs: int = 0

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

    A part of LFW is as good as all of it: people may have one photo, pairs.txt may name
    photos that are not there, or be missing.

    Parameters
    ----------
    folds : only pairs of these folds are read; the photos are all the same.

    Raises
    ------
    DatasetError
        When there is no photo, or pairs.txt cannot be read.
    """
    root = folder / "images" if (folder / "images").is_dir() else folder
    found = [file for file in root.glob("*/*") if file.suffix.lower() in _SUFFIXES]
    # A name that begins with a dot is a file system's own note about a photo.
    photos = tuple(sorted((f for f in found if not f.name.startswith(".")), key=_order))
    if not photos:
        raise DatasetError(f"{root} holds no <person>/<person>_0001.jpg")
    people = tuple(sorted({photo.parent.name for photo in photos}, key=_composed))
    number = {name: index for index, name in enumerate(people)}
    ordered: dict[str, list[int]] = {name: [] for name in people}
    for index, photo in enumerate(photos):
        ordered[photo.parent.name].append(index)
    person = np.array([number[photo.parent.name] for photo in photos], dtype=np.intp)
    pairs: tuple[Pair, ...] = ()
    missing = 0
    if (folder / "pairs.txt").is_file():
        known = {key: index for index, photo in enumerate(photos) if (key := _key(photo))}
        text = (folder / "pairs.txt").read_text(encoding="utf-8-sig", errors="surrogateescape")
        pairs, missing = read_pairs(text, known, None if folds is None else set(folds))
    return Dataset(photos, people, person, pairs, ordered, missing)


def load_folds(folder: Path) -> Dataset:
    """Read a folder for what learns from some folds of the pairs and tests on another one.

    Raises
    ------
    DatasetError
        As `load`, and when there are fewer than two folds.
    """
    data = load(folder)
    if len(data.folds) < 2:
        raise DatasetError(f"{folder / 'pairs.txt'} must name photos that are here in two folds")
    return data


def read_pairs(
    text: str, known: Mapping[PhotoKey, int], folds: set[int] | None = None
) -> tuple[tuple[Pair, ...], int]:
    """Read LFW's pairs.txt: `folds<TAB>n`, then n pairs of one and n of two people a fold.

    Parameters
    ----------
    known : the index of each photo.
    folds : which to read; None for all that are there.

    Returns
    -------
    The pairs, and how many were left out because a photo of theirs is not there.

    Raises
    ------
    DatasetError
        When a line cannot be read.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    header = lines[0].split() if lines else []
    if len(header) not in (1, 2) or not header[-1].isdecimal() or int(header[-1]) < 1:
        raise DatasetError("pairs.txt begins with no line `folds<TAB>pairs`")
    each = int(header[-1])
    pairs, missing = [], 0
    for number, line in enumerate(lines[1:]):
        fold = number // (2 * each) + 1
        one, other = _two_photos(line, number + 2)
        if folds is not None and fold not in folds:
            continue
        if one in known and other in known:
            pairs.append(Pair(known[one], known[other], one[0] == other[0], fold))
        else:
            missing += 1
    return tuple(pairs), missing


def _two_photos(line: str, number: int) -> tuple[PhotoKey, PhotoKey]:
    words = [word.strip() for word in line.split("\t") if word.strip()]
    if len(words) not in (3, 4):
        match = _ONE_PERSON.fullmatch(line) or _TWO_PEOPLE.fullmatch(line)
        words = [] if match is None else list(match.groups())
    try:
        match words:
            case [name, one, other]:
                return (_composed(name), int(one)), (_composed(name), int(other))
            case [name, one, another, other]:
                return (_composed(name), int(one)), (_composed(another), int(other))
    except ValueError:
        pass
    raise DatasetError(
        f"pairs.txt, line {number}: neither `person n m` nor `person n person m`: {line!r}"
    )


def _key(photo: Path) -> PhotoKey | None:
    number = _NUMBERED.search(photo.stem)
    return None if number is None else (_composed(photo.parent.name), int(number[1]))


def _order(photo: Path) -> tuple[str, float, str]:
    """Sort by person and number: 2 comes before 10, also where no zeros lead."""
    number = _NUMBERED.search(photo.stem)
    return _composed(photo.parent.name), float(number[1]) if number else np.inf, photo.name


def _composed(name: str) -> str:
    """Return the name in one spelling; some file systems take accents apart."""
    return unicodedata.normalize("NFC", name)
