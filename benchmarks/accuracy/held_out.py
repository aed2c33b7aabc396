"""Whether rates and probabilities hold for people whom they were not learnt from.

The people are split in two: what is fitted to one half is tested on the other, and the
other way round. Nothing of what is shipped enters, but the mean that is taken away.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.accuracy.fit import log_ratio, pooled, stranger_tail, stretches
from benchmarks.accuracy.scores import Comparisons, Faces, Floats, Mask, compare_all
from gpu_worker.calibration import Calibration, CalibrationData, comparison_rate
from gpu_worker.index import mean_face

ASKED = (0.1, 0.05, 0.01)
MOST_ENROLLED = 3
_DRAWS = 5
_NEAREST = 3
_BINS = 10


@dataclass(frozen=True)
class Reliability:
    """How often it is the person, by how likely it was said to be.

    Attributes
    ----------
    expected, observed : means of each tenth of the probabilities; only those that occur.
    share : how much of all weight lies in each; sums to 1.
    error : expected calibration error (Naeini et al. 2015), the mean distance of both.
    """

    expected: tuple[float, ...]
    observed: tuple[float, ...]
    share: tuple[float, ...]
    error: float


@dataclass(frozen=True)
class Asked:
    """What became of a false accept rate that was asked for.

    Attributes
    ----------
    enrolled : photos of a person that are enrolled, at most.
    strangers : the share that was answered with somebody.
    recognised : of the other photos of those enrolled.
    """

    rate: float
    enrolled: int
    strangers: float
    recognised: float


@dataclass(frozen=True)
class HeldOut:
    """Attributes
    ----------
    people : in the halves.
    verify : of the probability beside a verification, as many pairs of one person as of two.
    identify : of the probability beside a match, as many enrolled as strangers.
    """

    people: int
    verify: Reliability
    identify: Reliability
    asked: tuple[Asked, ...]


def held_out(halves: tuple[Faces, Faces]) -> HeldOut | None:
    """Fit to each half, test on the other; None where a half has too few people for it."""
    comparisons = [compare_all(half) for half in halves]
    if any(len(np.unique(each.owner)) < _BINS for each in comparisons):
        return None
    fitted = [fit(half, compared) for half, compared in zip(halves, comparisons, strict=True)]
    pairs, answers = [], []
    asked: dict[tuple[float, int], list[tuple[float, float]]] = {}
    for number in (0, 1):
        other = fitted[1 - number]
        pairs.append(_pairs(comparisons[number], other))
        rng = np.random.default_rng(number)
        for enrolled in range(1, MOST_ENROLLED + 1):
            for _ in range(_DRAWS):
                trial = _Trial(halves[number], enrolled, rng)
                answers.append(trial.answers(other))
                for rate in ASKED:
                    asked.setdefault((rate, enrolled), []).append(trial.rates(other, rate))
    return HeldOut(
        people=sum(len(np.unique(half.person[half.found])) for half in halves),
        verify=reliability(*(np.concatenate(each) for each in zip(*pairs, strict=True))),
        identify=reliability(*(np.concatenate(each) for each in zip(*answers, strict=True))),
        asked=tuple(
            Asked(rate, enrolled, *(float(each) for each in np.mean(found, axis=0)))
            for (rate, enrolled), found in asked.items()
        ),
    )


def fit(faces: Faces, comparisons: Comparisons) -> Calibration:
    """Return what these people's similarities mean."""
    tail, measured_to = stranger_tail(comparisons)
    slope, offset = log_ratio(pooled([comparisons]))
    return Calibration(
        CalibrationData(
            crop_version="held-out",
            source="some of the people",
            people=len(np.unique(faces.person[faces.found])),
            photos=int(faces.found.sum()),
            tail=tail,
            measured_to=measured_to,
            stretch=stretches([faces]),
            slope=slope,
            offset=offset,
        )
    )


def reliability(expected: Floats, right: Floats, weight: Floats) -> Reliability:
    """Compare probabilities with what happened.

    Parameters
    ----------
    expected : (n,) probabilities.
    right : (n,) 1 where it was the person.
    weight : (n,) how much each counts.
    """
    slot = (expected * _BINS).astype(int).clip(0, _BINS - 1)
    total = np.bincount(slot, weight, _BINS)
    used = total > 0
    said = np.bincount(slot, weight * expected, _BINS)[used] / total[used]
    seen = np.bincount(slot, weight * right, _BINS)[used] / total[used]
    share = total[used] / total.sum()
    return Reliability(
        tuple(map(float, said)),
        tuple(map(float, seen)),
        tuple(map(float, share)),
        float((share * np.abs(said - seen)).sum()),
    )


def _pairs(compared: Comparisons, calibration: Calibration) -> tuple[Floats, Floats, Floats]:
    middle = compared.edges + (compared.edges[1] - compared.edges[0]) / 2
    used = compared.strangers > 0
    similarities = np.concatenate([compared.genuine, middle[used]])
    chance = np.array([calibration.same_probability(float(each)) for each in similarities])
    right = np.concatenate([np.ones(len(compared.genuine)), np.zeros(int(used.sum()))])
    strangers = compared.strangers[used] / compared.strangers.sum()
    return chance, right, np.concatenate([compared.weight, strangers])


class _Trial:
    """Half of the people enrolled with the mean of some photos, all other photos as probes."""

    def __init__(self, faces: Faces, enrolled: int, rng: np.random.Generator) -> None:
        here = np.flatnonzero(faces.found)
        vectors, person = faces.vectors[here], faces.person[here]
        people = rng.permutation(np.unique(person))
        inside = people[: len(people) // 2]
        self.enrolled = enrolled
        self.counts: list[int] = []
        means, taken = [], np.zeros(len(person), dtype=bool)
        for each in inside:
            own = rng.permutation(np.flatnonzero(person == each))
            # One photo at least is left as a probe where there are several.
            chosen = own[: max(1, min(enrolled, len(own) - 1))]
            taken[chosen] = True
            self.counts.append(len(chosen))
            means.append(mean_face(vectors[chosen]))
        cosines = vectors[~taken] @ np.stack(means).T
        probes = person[~taken]
        self.order = np.argsort(-cosines, axis=1)[:, :_NEAREST]
        self.nearest = np.take_along_axis(cosines, self.order, axis=1).astype(np.float64)
        self.right = inside[self.order[:, 0]] == probes
        self.known = np.isin(probes, inside)
        # Each known person counts alike, each stranger's photo too.
        own_photos = np.bincount(probes, minlength=int(probes.max()) + 1)[probes]
        self.weight = np.where(self.known, 1 / own_photos, 1.0)
        for kind in (self.known, ~self.known):
            self.weight[kind] /= max(1e-12, float(self.weight[kind].sum()))

    def answers(self, calibration: Calibration) -> tuple[Floats, Floats, Floats]:
        """Return probability, whether it was right, and weight of each probe's best match."""
        chance = [
            calibration.match_probabilities(
                list(near), len(self.counts), [self.counts[place] for place in places]
            )[0]
            for near, places in zip(self.nearest, self.order, strict=True)
        ]
        return np.array(chance), self.right.astype(np.float64), self.weight

    def rates(self, calibration: Calibration, rate: float) -> tuple[float, float]:
        """Return the shares of strangers accepted and of known people recognised."""
        single = comparison_rate(rate, len(self.counts))
        limits = np.array([calibration.verify_threshold(single, n) for n in self.counts])
        accepted = self.nearest[:, 0] >= limits[self.order[:, 0]]
        recognised = float(self.weight[self.known & accepted & self.right].sum())
        return float(accepted[~self.known].mean()), recognised


def halves_of(faces: Faces, chosen: Mask) -> tuple[Faces, Faces]:
    """Return the faces of the people who are chosen, and those of the others."""
    inside = faces.found & chosen[faces.person]
    return (
        Faces(faces.vectors, inside, faces.person),
        Faces(faces.vectors, faces.found & ~inside, faces.person),
    )
