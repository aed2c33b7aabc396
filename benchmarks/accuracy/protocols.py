"""The protocols: pairs, the seed's FRR and FAR, and open-set identification."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.dataset import Dataset
from benchmarks.accuracy.intervals import Estimate, bootstrap, wilson
from benchmarks.accuracy.scores import Comparisons, Faces, Floats, Indices, Mask

TAR_RATES = (1e-1, 1e-2, 1e-3, 1e-4)
SEED_FAR, SEED_FRR = 0.0419, 0.0643
"""What the project whose protocol it is says of itself, on all of LFW."""
SEED_RATES = (0.01, SEED_FAR, 0.05, 0.10)
FPIR_RATES = (0.01, 0.001)
_SPLIT_SEED = 0
_DRAWS = 20


@dataclass(frozen=True)
class PairResult:
    """LFW's verification of pairs.

    Attributes
    ----------
    accuracy : with the threshold that is best on the other folds; of all pairs together.
    mean, standard_error : over folds, as LFW's authors report it.
    fixed : with one given threshold.
    tar : by false accept rate, over the pairs; None where there are too few pairs for it.
    """

    folds: tuple[int, ...]
    accuracy: Estimate
    mean: float
    standard_error: float
    fixed_threshold: float
    fixed: Estimate
    tar: dict[float, Estimate | None]


def verify_pairs(data: Dataset, faces: Faces, fixed_threshold: float) -> PairResult:
    """Run the pairs of the folds that are present, image-restricted protocol."""
    scores, same, fold = pair_scores(data, faces)
    right = np.zeros(len(scores), dtype=bool)
    for number in data.folds:
        rest, held = fold != number, fold == number
        train = rest if rest.any() else held
        right[held] = (scores[held] >= best_threshold(scores[train], same[train])) == same[held]
    each = [float(right[fold == number].mean()) for number in data.folds]
    spread = float(np.std(each, ddof=1) / np.sqrt(len(each))) if len(each) > 1 else float("nan")
    fixed = (scores >= fixed_threshold) == same
    return PairResult(
        folds=data.folds,
        accuracy=wilson(int(right.sum()), len(right)),
        mean=float(np.mean(each)),
        standard_error=spread,
        fixed_threshold=fixed_threshold,
        fixed=wilson(int(fixed.sum()), len(fixed)),
        tar={rate: _pair_tar(scores, same, rate) for rate in TAR_RATES},
    )


def pair_scores(data: Dataset, faces: Faces) -> tuple[Floats, Mask, NDArray[np.intp]]:
    """Return similarity, whether one person, and fold of each pair."""
    first = np.array([pair.first for pair in data.pairs], dtype=np.intp)
    second = np.array([pair.second for pair in data.pairs], dtype=np.intp)
    same = np.array([pair.same for pair in data.pairs], dtype=bool)
    fold = np.array([pair.fold for pair in data.pairs], dtype=np.intp)
    return faces.paired(first, second).astype(np.float64), same, fold


def best_threshold(scores: Floats, same: Mask) -> float:
    """Return the threshold with most right answers, in the middle between two scores."""
    order = np.argsort(scores)
    ranked, labels = scores[order], same[order]
    # Right answers when the first k are called different.
    right = np.concatenate([[0], np.cumsum(~labels)]) + np.concatenate(
        [np.cumsum(labels[::-1])[::-1], [0]]
    )
    best = np.flatnonzero(right == right.max())
    k = int(best[len(best) // 2])
    if k == len(ranked):
        # Everything is called different, also what scores as high as a score can.
        return float(np.nextafter(ranked[-1], np.inf))
    low = ranked[k - 1] if k > 0 else -1.0
    return float((low + ranked[k]) / 2)


def _pair_tar(scores: Floats, same: Mask, rate: float) -> Estimate | None:
    """True accepts with at most `rate` of the pairs of two people accepted."""
    strangers = np.sort(scores[~same])[::-1]
    allowed = int(rate * len(strangers))
    if allowed < 1:
        return None
    threshold = strangers[allowed]
    return wilson(int((scores[same] > threshold).sum()), int(same.sum()))


def tar_of_all(comparisons: Comparisons, people: int) -> dict[float, Estimate]:
    """Return true accepts by false accept rate a comparison, over all pairs of photos."""
    found = {}
    for rate in TAR_RATES:
        threshold = comparisons.threshold(rate)

        def statistic(drawn: Floats, at: float = threshold) -> float:
            return comparisons.tar(at, drawn)

        low, high = bootstrap(statistic, people)
        found[rate] = Estimate(
            comparisons.tar(threshold), low, high, len(np.unique(comparisons.owner))
        )
    return found


@dataclass(frozen=True)
class Search:
    """Probes against a gallery of one photo a person.

    Attributes
    ----------
    top : similarity of the nearest person.
    right : whether that is the person of the probe.
    probe_found : whether the probe has a face.
    enrolled : whether the probe's person is in the gallery.
    """

    top: Floats
    right: Mask
    probe_found: Mask
    enrolled: Mask

    def recognised(self, threshold: float) -> Mask:
        """Which probes are answered with their own person."""
        found: Mask = self.right & (self.top >= threshold)
        return found

    def accepted(self, threshold: float) -> Mask:
        """Which probes are answered with somebody."""
        found: Mask = self.top >= threshold
        return found

    def wrong(self, threshold: float) -> Mask:
        """Which probes are answered with another person."""
        return self.accepted(threshold) & ~self.right

    def threshold(self, rate: float) -> float:
        """Return the lowest threshold at which at most `rate` of the probes are accepted."""
        ordered = np.sort(self.top)[::-1]
        allowed = int(rate * len(ordered))
        return float(np.nextafter(ordered[allowed], 2)) if allowed < len(ordered) else -1.0


def search(faces: Faces, gallery: Indices, probes: Indices) -> Search:
    """Search each probe in the gallery; photos without a face are not enrolled."""
    gallery = gallery[faces.found[gallery]]
    if not len(gallery):
        nobody = np.zeros(len(probes), dtype=bool)
        return Search(np.full(len(probes), -1.0), nobody, faces.found[probes], nobody)
    cosines = faces.similarities(probes, gallery)
    best = cosines.argmax(axis=1)
    return Search(
        top=cosines[np.arange(len(probes)), best].astype(np.float64),
        right=faces.person[gallery][best] == faces.person[probes],
        probe_found=faces.found[probes],
        enrolled=np.isin(faces.person[probes], faces.person[gallery]),
    )


@dataclass(frozen=True)
class Outcomes:
    """What becomes of probes of enrolled people, at one threshold; the shares sum to 1."""

    threshold: float
    recognised: Estimate
    wrong_person: Estimate
    no_match: Estimate
    not_detected: Estimate
    not_enrolled: Estimate
    false_accepts: Estimate

    @property
    def frr(self) -> float:
        """The share of probes that are not recognised, for whatever reason."""
        return 1 - self.recognised.value


@dataclass(frozen=True)
class RandomHalves:
    """What another choice of the enrolled half gives, as (mean, standard deviation).

    Attributes
    ----------
    frr_at_far : by false accept rate.
    far_at_frr : by false reject rate.
    """

    draws: int
    frr_at_far: dict[float, tuple[float, float]]
    far_at_frr: dict[float, tuple[float, float]]


@dataclass(frozen=True)
class SeedResult:
    """FRR and FAR as one of the projects that came before measured them."""

    people: int
    rank1: Estimate
    equal_error: float
    at_far: dict[float, Outcomes]
    at_shipped: Outcomes
    halves: RandomHalves
    known: Search
    strangers: Search


def seed_protocol(data: Dataset, faces: Faces, shipped_threshold: float) -> SeedResult:
    """FRR: the first photo of each person is enrolled, the second one is the probe.
    FAR: half of the people are enrolled, all photos of the others are probes; then the
    other way round, so that each photo is a stranger's once.
    """
    known = search(faces, data.first, data.second)
    strangers = pool([_strangers(data, faces, half) for half in _both_ways(data)])
    grid = np.linspace(-1, 1, 4001)
    far = np.array([_mean(strangers.accepted(t)) for t in grid])
    frr = np.array([1 - _mean(known.recognised(t)) for t in grid])
    crossing = int(np.argmin(np.abs(far - frr)))
    return SeedResult(
        people=len(data.people),
        rank1=wilson(int((known.right & known.probe_found).sum()), len(known.top)),
        equal_error=float((far[crossing] + frr[crossing]) / 2),
        at_far={rate: outcomes(known, strangers, strangers.threshold(rate)) for rate in SEED_RATES},
        at_shipped=outcomes(known, strangers, shipped_threshold),
        halves=random_halves(data, faces, known),
        known=known,
        strangers=strangers,
    )


def random_halves(data: Dataset, faces: Faces, known: Search) -> RandomHalves:
    """Draw the half that is enrolled for the false accepts again and again.

    Parameters
    ----------
    known : the search for the people who are enrolled, which is the same each time.
    """
    rng = np.random.default_rng(_SPLIT_SEED)
    found = np.sort(np.where(known.right, known.top, -1.0))
    reached = float(found[int(SEED_FRR * len(found))]) if len(found) else -1.0
    frr: dict[float, list[float]] = {far: [] for far in (SEED_FAR, 0.01)}
    far = []
    for _ in range(_DRAWS):
        order = rng.permutation(len(data.people))
        strangers = _strangers(data, faces, np.isin(np.arange(len(order)), order[::2]))
        far.append(_mean(strangers.accepted(reached)))
        for rate, missed in frr.items():
            missed.append(1 - _mean(known.recognised(strangers.threshold(rate))))
    return RandomHalves(
        _DRAWS,
        {rate: (float(np.mean(missed)), float(np.std(missed))) for rate, missed in frr.items()},
        {SEED_FRR: (float(np.mean(far)), float(np.std(far)))},
    )


def _mean(which: Mask) -> float:
    """Return the share; that of nothing is 0."""
    return float(which.mean()) if len(which) else 0.0


def outcomes(known: Search, strangers: Search, threshold: float) -> Outcomes:
    """Count what becomes of the probes at a threshold."""
    total = len(known.top)
    wrong = known.wrong(threshold)
    undetected = ~known.probe_found
    unenrolled = known.probe_found & ~known.enrolled & ~wrong
    silent = ~known.accepted(threshold) & ~undetected & ~unenrolled

    def share(which: Mask) -> Estimate:
        return wilson(int(which.sum()), total)

    return Outcomes(
        threshold=threshold,
        recognised=share(known.recognised(threshold)),
        wrong_person=share(wrong),
        no_match=share(silent),
        not_detected=share(undetected),
        not_enrolled=share(unenrolled),
        false_accepts=wilson(int(strangers.accepted(threshold).sum()), len(strangers.top)),
    )


def split(data: Dataset) -> Mask:
    """Return which half of the people is enrolled; always the same for the same people."""
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(data.people))
    enrolled = np.zeros(len(data.people), dtype=bool)
    enrolled[order[: len(order) // 2]] = True
    return enrolled


@dataclass(frozen=True)
class OpenSetResult:
    """Open-set identification: who is found while how many strangers are taken for somebody.

    Attributes
    ----------
    gallery : people in the gallery.
    dir_at : detection and identification rate by false positive identification rate.
    """

    gallery: int
    dir_at: dict[float, tuple[float, Estimate]]


def open_set(data: Dataset, faces: Faces) -> OpenSetResult:
    """Enrol one half of the people, then the other; pool both.

    Probes are the second photos of the enrolled and all photos of the others.
    """
    known, strangers = [], []
    for enrolled in _both_ways(data):
        second = data.second
        mates = second[enrolled[data.person[second]]]
        known.append(search(faces, data.first[enrolled], mates))
        strangers.append(_strangers(data, faces, enrolled))
    all_known, all_strangers = pool(known), pool(strangers)
    rates = {}
    for rate in FPIR_RATES:
        threshold = all_strangers.threshold(rate)
        hits = all_known.recognised(threshold)
        rates[rate] = (threshold, wilson(int(hits.sum()), len(hits)))
    return OpenSetResult(int(split(data).sum()), rates)


def _both_ways(data: Dataset) -> tuple[Mask, Mask]:
    """Return who is enrolled: one half of the people, then the other."""
    half = split(data)
    return half, ~half


def _strangers(data: Dataset, faces: Faces, enrolled: Mask) -> Search:
    """Search all photos of the people who are not enrolled."""
    others = np.flatnonzero(~enrolled[data.person]).astype(np.intp)
    return search(faces, data.first[enrolled], others)


def pool(parts: list[Search]) -> Search:
    """Put searches together."""
    return Search(
        top=np.concatenate([part.top for part in parts]),
        right=np.concatenate([part.right for part in parts]),
        probe_found=np.concatenate([part.probe_found for part in parts]),
        enrolled=np.concatenate([part.enrolled for part in parts]),
    )
