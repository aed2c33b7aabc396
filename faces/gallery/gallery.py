"""The gallery: all that the other parts do with people and faces."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from faces.contracts.collections import Retention
from faces.contracts.results import Candidate, Enrolment, FaceQuality
from faces.gallery import audit, collections, enrolment, holding, maintenance, repeats
from faces.gallery.audit import SYSTEM
from faces.gallery.directory import Directory
from faces.gallery.directory import utc_now as utc_now
from faces.gallery.enrolment import Guard
from faces.gallery.records import NewPerson, Purged

if TYPE_CHECKING:
    from faces.gallery.vectors import Changes, Embeddings, Snapshot, UnmatchedFace


class Gallery(Directory):
    """The gallery as the worker uses it: vectors, search, and the feed of changes."""

    def ensure_collection(self, tenant: str, collection: str) -> None:
        """Make tenant and collection where they are missing.

        The collection `default` of the tenant `default` is always there. Every other
        method raises FacesError `unknown_collection` for one that is not.

        Raises
        ------
        InvalidInput
            When the collection's name is not allowed (see `contracts.jobs`).
        """
        with self._transaction() as connection:
            collections.ensure(connection, tenant, collection)

    def enroll_face(
        self,
        *,
        job_id: str,
        tenant: str,
        collection: str,
        person: NewPerson | str,
        embedding: "Embeddings",
        model_tag: str,
        quality: FaceQuality | None = None,
        guard: Guard | None = None,
        actor: str = SYSTEM,
    ) -> Enrolment:
        """Add a face to the gallery; a second call of the same job returns the same.

        Parameters
        ----------
        person : a person to make, or the id of one who gets the face added.
        embedding : float32, shape (512,), unit length.
        guard : what is checked before; nothing when left out.

        Raises
        ------
        FacesError
            `unknown_person`, also when what the job enrolled was deleted since;
            `duplicate_person`; what the guard refuses.
        ValueError
            When the embedding is not what it should be.
        """
        from faces.gallery.vectors import encode

        vector = encode(embedding)
        with self._transaction() as connection:
            done, new = enrolment.enroll_face(
                connection, job_id, tenant, collection, person, vector, model_tag, quality, guard
            )
            if new:
                self._enrolled(connection, tenant, collection, actor, person, done)
        return done

    def remember_unmatched(self, faces: Sequence["UnmatchedFace"]) -> None:
        """Keep unknown faces until they expire; one that is kept or was used stays as it is.

        All are kept or, on an error, none.

        Raises
        ------
        FacesError
            `unknown_collection`.
        """
        from faces.gallery import search

        with self._transaction() as connection:
            search.remember_unmatched(connection, faces)

    def collection_version(self, tenant: str, collection: str) -> str:
        """Return a text that changes whenever answers about the collection may change.

        Equal texts mean equal faces, names and settings. A collection that is not there
        has a version too.
        """
        with self._connections() as connection:
            return repeats.collection_version(connection, tenant, collection)

    def renew_unmatched(
        self, renewed: Mapping[str, str], *, job_id: str, expires_at: datetime
    ) -> bool:
        """Give unknown faces that are kept a second `req_id`; all of them or, False, none.

        Parameters
        ----------
        renewed : the new `req_id` by the one that is known.
        job_id : of the job that the new ones belong to.
        """
        with self._connections() as connection:
            return repeats.renew_unmatched(connection, renewed, job_id, expires_at, self._clock())

    def forget_job(self, tenant: str, job_id: str, *, actor: str = SYSTEM) -> int:
        """Delete the unknown faces of a job's photo and return how many."""
        with self._transaction() as connection:
            forgotten = repeats.forget_unmatched(connection, job_id)
            counts = {"unmatched_faces": forgotten}
            entry = audit.Entry(tenant, actor, "job.delete", None, job_id, counts)
            audit.record(connection, entry, self._clock())
        return forgotten

    def unmatched_embedding(
        self, tenant: str, collection: str, req_id: str, model_tag: str
    ) -> "Embeddings":
        """Return the vector of a remembered unknown face: float32, shape (512,), unit length.

        Raises
        ------
        FacesError
            `unknown_req_id` when there is none of this model tag, or it has expired.
        """
        from faces.gallery import search

        with self._connections() as connection:
            return search.unmatched_embedding(
                connection, tenant, collection, req_id, model_tag, self._clock()
            )

    def person_embeddings(
        self, tenant: str, collection: str, person_id: str, model_tag: str
    ) -> "Embeddings":
        """Return a person's vectors of this model tag: float32, shape (n, 512), n may be 0.

        Raises
        ------
        FacesError
            `unknown_person`.
        """
        from faces.gallery import search

        with self._connections() as connection:
            return search.person_embeddings(connection, tenant, collection, person_id, model_tag)

    def load(self, model_tag: str) -> "Snapshot":
        """Return every face of this model tag, of all tenants, and where the feed stands."""
        from faces.gallery import feed

        with self._connections() as connection:
            return feed.load(connection, model_tag)

    def changes_since(self, position: int, model_tag: str) -> "Changes | None":
        """Return what changed after `position`, or None when all must be loaded again.

        Everything whose transaction ended before this call is in it: an enrolment that
        was answered is seen. None comes when the feed was pruned beyond `position`, or
        when the position is not of this database.
        """
        from faces.gallery import feed

        with self._connections() as connection:
            return feed.changes_since(connection, position, model_tag)

    def search(
        self, tenant: str, collection: str, embedding: "Embeddings", k: int, model_tag: str
    ) -> list[Candidate]:
        """Return the `k` most similar people, best first, each by the mean of their faces.

        Exact: compares with every face of the collection.

        Parameters
        ----------
        embedding : float32, shape (512,), unit length.
        """
        from faces.gallery import search

        with self._connections() as connection:
            return search.nearest(connection, tenant, collection, embedding, k, model_tag)

    def purge_expired(self, now: datetime) -> Purged:
        """Delete unknown faces that have expired, and feed rows older than a day."""
        with self._transaction() as connection:
            return maintenance.purge_expired(connection, now)

    def retentions(self) -> dict[tuple[str, str], Retention]:
        """Return how long each collection, by tenant and name, keeps what."""
        with self._connections() as connection:
            return maintenance.retentions(connection)

    def swept_to(self) -> datetime:
        """Return up to when the buckets were swept; 1970 when all must be looked at."""
        with self._connections() as connection:
            return maintenance.swept_to(connection)

    def note_sweep(self, before: datetime, now: datetime) -> None:
        """Note that a sweep that began at `now` is done.

        Parameters
        ----------
        before : what `swept_to` said when it began; where settings changed since,
            nothing is noted, and the next sweep looks at everything.
        """
        with self._connections() as connection:
            maintenance.note_sweep(connection, before, now)

    @contextmanager
    def holding(self, faces: Collection[str]) -> Iterator[dict[str, tuple[str, str]]]:
        """Keep enrolled faces (ids) and their people as they are; say whose they are.

        Hands out id and name of the person by id of the face, without those that are
        gone. A deletion that begins meanwhile waits for the end of the block, so whoever
        publishes in it names nobody whose deletion was answered. The block must be short.
        """
        with self._transaction() as connection:
            yield holding.owners(connection, faces)

    @contextmanager
    def holding_person(self, person_id: str) -> Iterator[bool]:
        """Keep a person from being deleted; hand out whether the person is there."""
        with self._transaction() as connection:
            yield holding.is_there(connection, person_id)
