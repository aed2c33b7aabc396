"""From the nearest people to an answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from faces.contracts.jobs import Limited
from faces.contracts.results import Candidate, Match, Verification
from gpu_worker.calibration import Calibration
from gpu_worker.index import Hit


def limit(*asked: Limited) -> tuple[float | None, float | None]:
    """Return false accept rate and fixed threshold of the first that says one of them."""
    for each in asked:
        if each.threshold is not None:
            return None, each.threshold
        if each.false_accept_rate is not None:
            return each.false_accept_rate, None
    return None, None


@dataclass(frozen=True)
class Decisions:
    """Decides who it is, at the false accept rate that is asked for.

    Attributes
    ----------
    calibration : of the profile that made the vectors.
    identify_rate, verify_rate : where a job does not say.
    """

    calibration: Calibration
    identify_rate: float
    verify_rate: float

    def identify(
        self,
        hits: Sequence[Hit],
        names: Mapping[str, str],
        rate: float | None,
        candidates: int,
        faces: int,
        fixed: float | None = None,
    ) -> tuple[Match | None, tuple[Candidate, ...]]:
        """Return who it is, if anybody, and the next best `candidates` people.

        Parameters
        ----------
        hits : nearest people, the most similar first.
        names : the name of each person by id.
        rate : the share of strangers that may be answered with somebody.
        faces : people in the collection, with whose means the face was compared.
        fixed : a threshold to use instead of the one that the rate gives.
        """
        rate = self.identify_rate if rate is None else rate
        own = hits[0].faces if hits else 1
        threshold = self.identify_threshold(rate, faces, own) if fixed is None else fixed
        chances = self.calibration.match_probabilities(
            [hit.similarity for hit in hits], faces, [hit.faces for hit in hits]
        )
        people = [
            Candidate(
                person_id=hit.person_id,
                name=names.get(hit.person_id, ""),
                similarity=round(hit.similarity, 4),
                probability=round(chance, 4),
                face_id=hit.face_id,
            )
            for hit, chance in zip(hits, chances, strict=True)
        ]
        if hits and hits[0].similarity >= threshold:
            best = Match(
                **people[0].model_dump(),
                threshold=round(threshold, 4),
                # Nothing is known of how often a fixed threshold errs.
                false_accept_rate=rate if fixed is None else None,
            )
            return best, tuple(people[1 : candidates + 1])
        return None, tuple(people[:candidates])

    def identify_threshold(self, rate: float | None, people: int, faces: int = 1) -> float:
        """Return the cosine from which a face counts as a person of the collection.

        Parameters
        ----------
        people : in the collection.
        faces : of the person.
        """
        return self.calibration.identify_threshold(
            self.identify_rate if rate is None else rate, people, faces
        )

    def verify(
        self, similarity: float, rate: float | None, faces: int, fixed: float | None = None
    ) -> Verification:
        """Return whether it is the claimed person.

        Parameters
        ----------
        similarity : to the mean of the person's faces.
        faces : of the person.
        rate : the share of other people that may be taken for the person.
        fixed : a threshold to use instead of the one that the rate gives.
        """
        rate = self.verify_rate if rate is None else rate
        threshold = self.calibration.verify_threshold(rate, faces) if fixed is None else fixed
        return Verification(
            same_person=similarity >= threshold,
            similarity=round(similarity, 4),
            probability=round(self.calibration.same_probability(similarity, faces), 4),
            threshold=round(threshold, 4),
            false_accept_rate=rate if fixed is None else None,
        )
