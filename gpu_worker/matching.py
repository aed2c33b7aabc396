"""From the nearest people to an answer."""

from collections.abc import Mapping, Sequence

from faces.contracts.results import Candidate, Match
from gpu_worker.index import Hit


def decide(
    hits: Sequence[Hit], names: Mapping[str, str], threshold: float, candidates: int
) -> tuple[Match | None, tuple[Candidate, ...]]:
    """Return who it is, if anybody, and the next best `candidates` people.

    Parameters
    ----------
    hits : nearest people, the most similar first.
    names : the name of each person by id.
    threshold : cosine similarity from which a face counts as the person.
    """
    people = [
        Candidate(
            person_id=hit.person_id,
            name=names.get(hit.person_id, ""),
            similarity=round(hit.similarity, 4),
            face_id=hit.face_id,
        )
        for hit in hits
    ]
    if hits and hits[0].similarity >= threshold:
        best = Match(**people[0].model_dump(), threshold=threshold)
        return best, tuple(people[1 : candidates + 1])
    return None, tuple(people[:candidates])
