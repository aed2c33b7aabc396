"""What a calibration consists of, fitted to similarities of known people."""

from collections.abc import Iterator, Sequence
from statistics import NormalDist

import numpy as np

from benchmarks.accuracy.scores import Comparisons, Faces, Floats, Indices
from gpu_worker.calibration import TAIL_STEP

_TAIL_END = 9.0
_LEAST_COUNT = 15
"""Fewer comparisons above a similarity say too little about how rare it is."""
_FIT_FROM = 2.5
_STEPS = 50
_SMALL = 1e-7
_PRIOR_ODDS = 30.0
"""How many strangers weigh as much as one pair of a person: about as many as make a
similarity doubtful both one to one and in a gallery of a thousand."""
_STRETCH_RATES = (1e-2, 3e-3, 1e-3)
_MOST_FACES = 5
_DRAWS = 3
_LEAST_PEOPLE, _MOST_PEOPLE = 30, 500


def pooled(parts: Sequence[Comparisons]) -> Comparisons:
    """Put comparisons of different people together."""
    strangers = np.sum([part.strangers for part in parts], axis=0)
    return Comparisons(
        np.concatenate([part.genuine for part in parts]),
        np.concatenate([part.owner for part in parts]),
        np.concatenate([part.weight for part in parts]) / len(parts),
        parts[0].edges,
        np.asarray(strangers, dtype=np.int64),
    )


def stranger_tail(comparisons: Comparisons) -> tuple[tuple[float, ...], float]:
    """Return the similarity that a share 10^-x of strangers' pairs reaches, and where x stops
    being counted.

    Beyond that the tail goes on like a normal distribution's, whose mean and spread fit what
    was counted from 10^-2.5 on.
    """
    total = int(comparisons.strangers.sum())
    measured_to = TAIL_STEP * int(np.log10(total / _LEAST_COUNT) / TAIL_STEP)
    exponents = np.arange(0, _TAIL_END + TAIL_STEP / 2, TAIL_STEP)
    counted = exponents <= measured_to
    values = np.array([comparisons.threshold(10.0**-x) for x in exponents[counted]])
    deviates = np.array(
        [-NormalDist().inv_cdf(max(1e-12, 10.0**-x) if x else 0.5) for x in exponents]
    )
    used = counted & (exponents >= min(_FIT_FROM, measured_to - 1))
    slope = np.polyfit(deviates[used], values[used[counted]], 1)[0]
    beyond = values[-1] + slope * (deviates[~counted] - deviates[counted][-1])
    tail = np.concatenate([values, beyond]).clip(-1, 1)
    return tuple(round(float(each), 4) for each in tail), float(measured_to)


def stretches(parts: Sequence[Faces]) -> tuple[float, ...]:
    """Return how many times more similar strangers are to a mean of 1, 2, ... faces.

    Never less than to one face fewer: what few people with many photos show beside that is
    chance.

    Parameters
    ----------
    parts : people that are compared among one another only.
    """
    single = _means_tail(parts, 1)
    found = [1.0]
    for count in range(2, _MOST_FACES + 1):
        if sum(_with_photos(part, count) for part in parts) < _LEAST_PEOPLE:
            break
        ratio = float(np.mean(_means_tail(parts, count) / single))
        found.append(round(max(found[-1], ratio), 4))
    return tuple(found)


def _with_photos(part: Faces, count: int) -> int:
    """Return how many people have so many photos."""
    return int((np.bincount(part.person[part.found]) >= count).sum())


def _means_tail(parts: Sequence[Faces], count: int) -> Floats:
    """Return the similarities that some shares of strangers reach with means of `count`."""
    scores = [
        cosines
        for number, part in enumerate(parts)
        for cosines in _strangers_to_means(part, count, np.random.default_rng(number))
    ]
    tail: Floats = np.quantile(np.concatenate(scores), 1 - np.array(_STRETCH_RATES))
    return tail


def _strangers_to_means(part: Faces, count: int, rng: np.random.Generator) -> Iterator[Floats]:
    here = np.flatnonzero(part.found)
    vectors, person = part.vectors[here], part.person[here]
    for each in rng.permutation(np.unique(person))[:_MOST_PEOPLE]:
        own = np.flatnonzero(person == each)
        for _ in range(_DRAWS if len(own) > count else int(len(own) == count)):
            mean = vectors[rng.permutation(own)[:count]].mean(axis=0)
            yield (vectors[person != each] @ (mean / np.linalg.norm(mean))).astype(np.float64)


def log_ratio(comparisons: Comparisons) -> tuple[float, float]:
    """Return slope and offset of the logarithm of the likelihood ratio of one person to two.

    By logistic regression (Platt 1999), in which strangers weigh more than pairs of one
    person: so it is best where decisions are made.
    """
    middle = comparisons.edges + (comparisons.edges[1] - comparisons.edges[0]) / 2
    used = comparisons.strangers > 0
    values = np.concatenate([comparisons.genuine, middle[used]])
    labels = np.concatenate([np.ones(len(comparisons.genuine)), np.zeros(int(used.sum()))])
    counts = comparisons.strangers[used]
    weights = np.concatenate([comparisons.weight, _PRIOR_ODDS * counts / counts.sum()])
    slope, offset = logistic(values[:, None], labels, weights, start=(20.0, -12.0))
    return float(slope), float(offset + np.log(_PRIOR_ODDS))


def logistic(
    inputs: Floats,
    labels: Floats,
    weights: Floats,
    *,
    start: Sequence[float] | None = None,
    shrink: float = 1e-9,
) -> Floats:
    """Return (features + 1,) weights and constant of a logistic regression, by Newton's method.

    Parameters
    ----------
    inputs : (n, features).
    shrink : how much large weights are punished; the constant is not.
    """
    rows = np.column_stack([inputs, np.ones(len(inputs))])
    theta = np.zeros(rows.shape[1]) if start is None else np.array(start, dtype=np.float64)
    punished = np.full(rows.shape[1], shrink)
    punished[-1] = 1e-9

    def loss(at: Floats) -> float:
        scores = rows @ at
        each = np.logaddexp(0, scores) - labels * scores
        return float(weights @ each + punished @ (at * at) / 2)

    now = loss(theta)
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-(rows @ theta).clip(-500, 500)))
        slope = rows.T @ (weights * (labels - chance)) - punished * theta
        curve = (rows * (weights * chance * (1 - chance))[:, None]).T @ rows + np.diag(punished)
        step = np.linalg.solve(curve, slope)
        # Newton's step alone goes too far where the start is far off.
        while (then := loss(theta + step)) > now and np.abs(step).max() > _SMALL:
            step /= 2
        theta, now = theta + step, then
        if float(np.abs(step).max()) < _SMALL:
            break
    return theta


def quality_weights(
    signs: Floats, person: Indices, probes: Floats, faces: Faces, threshold: float
) -> tuple[float, ...]:
    """Return the weights of the signs by which recognition is foretold, and the constant.

    Parameters
    ----------
    signs : (n, signs) of n probes, see `gpu_worker.calibration.quality_signs`.
    person : (n,) whose photo each probe is; no probe's own photo is compared with it.
    probes : (n, photos) cosines with all of `faces`, nan where they must not be compared.
    threshold : from which a face counts as recognised.
    """
    same = (person[:, None] == faces.person[None]) & faces.found[None] & ~np.isnan(probes)
    rows, columns = np.nonzero(same)
    recognised = (probes[rows, columns] >= threshold).astype(np.float64)
    weights = 1.0 / np.bincount(person[rows])[person[rows]]
    weights *= len(np.unique(person[rows])) / weights.sum()
    middle, spread = signs.mean(axis=0), np.maximum(signs.std(axis=0), 1e-6)
    inputs = (signs[rows] - middle) / spread
    used = np.ones(signs.shape[1], dtype=bool)
    while True:
        theta = logistic(inputs[:, used], recognised, weights, shrink=1.0)
        if (theta[:-1] >= 0).all():
            break
        # What the others already say makes a sign count against: it is noise.
        used[np.flatnonzero(used)[theta[:-1].argmin()]] = False
    scaled = np.zeros(signs.shape[1])
    scaled[used] = theta[:-1] / spread[used]
    constant = float(theta[-1] - scaled @ middle)
    return tuple(round(float(each), 4) for each in (*scaled, constant))
