"""The gallery: all that the other parts do with people and faces."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from faces.contracts.results import Candidate, Enrolment, FaceQuality
from faces.gallery import collections, corrections, enrolment, maintenance, people, repeats
from faces.gallery.database import Connection, ConnectionSource
from faces.gallery.records import (
    CollectionInfo,
    NewPerson,
    Person,
    PersonPage,
    PersonUpdate,
    Purged,
    StoredFace,
)

if TYPE_CHECKING:
    from faces.gallery.vectors import Changes, Embeddings, Snapshot, UnmatchedFace


def utc_now() -> datetime:
    """Return the time, aware, in UTC."""
    return datetime.now(UTC)


class Gallery:
    """People and faces of all tenants.

    Whatever a tenant asks for in another's collection is answered as unknown. Every
    method raises TransientError while the database is away; the same call may succeed
    later, and none is ever half done.

    Parameters
    ----------
    connections : where connections come from, such as `database.KeptConnection`.
    clock : returns the time, aware; decides what has expired.
    """

    def __init__(
        self, connections: ConnectionSource, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._connections = connections
        self._clock = clock

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

    def enroll_unmatched(
        self, *, tenant: str, collection: str, req_id: str, person: NewPerson | str
    ) -> Enrolment:
        """Move a remembered unknown face into the gallery; works once for each `req_id`.

        Parameters
        ----------
        person : a person to make, or the id of one who gets the face added.

        Raises
        ------
        FacesError
            `unknown_req_id` when it was never given out here, was used or has expired;
            `unknown_person`; `duplicate_person` (its `field` says by what), after which
            the `req_id` can still be used.
        """
        with self._transaction() as connection:
            return enrolment.enroll_unmatched(
                connection, tenant, collection, req_id, person, self._clock()
            )

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
    ) -> Enrolment:
        """Add a face to the gallery; a second call of the same job returns the same.

        Parameters
        ----------
        person : a person to make, or the id of one who gets the face added.
        embedding : float32, shape (512,), unit length.

        Raises
        ------
        FacesError
            `unknown_person`, `duplicate_person`.
        ValueError
            When the embedding is not what it should be.
        """
        from faces.gallery.vectors import encode

        vector = encode(embedding)
        with self._transaction() as connection:
            return enrolment.enroll_face(
                connection, job_id, tenant, collection, person, vector, model_tag, quality
            )

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

    def forget_unmatched(self, job_id: str) -> int:
        """Delete the unknown faces of a job's photo and return how many."""
        with self._connections() as connection:
            return repeats.forget_unmatched(connection, job_id)

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
        """Return the `k` most similar people, best first, each by their nearest face.

        Exact: compares with every face of the collection.

        Parameters
        ----------
        embedding : float32, shape (512,), unit length.
        """
        from faces.gallery import search

        with self._connections() as connection:
            return search.nearest(connection, tenant, collection, embedding, k, model_tag)

    def get_person(self, tenant: str, collection: str, person_id: str) -> Person:
        """Return a person; FacesError `unknown_person` where there is none."""
        with self._connections() as connection:
            return people.get(connection, tenant, collection, person_id)

    def list_people(
        self,
        tenant: str,
        collection: str,
        *,
        query: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> PersonPage:
        """Return people ordered by name (case ignored), then id.

        Parameters
        ----------
        query : only people whose name, e-mail or external id holds this text (case ignored).
        cursor : `next_cursor` of the page before; people who come or go meanwhile make
            no other person appear twice or be left out.
        limit : 1 to 1,000.

        Raises
        ------
        InvalidInput
            For a wrong `cursor` or `limit`.
        """
        with self._connections() as connection:
            return people.page(connection, tenant, collection, query, cursor, limit)

    def list_faces(self, tenant: str, collection: str, person_id: str) -> list[StoredFace]:
        """Return a person's faces, the oldest first; FacesError `unknown_person`."""
        with self._connections() as connection:
            return people.faces_of(connection, tenant, collection, person_id)

    def delete_person(self, tenant: str, collection: str, person_id: str) -> int:
        """Delete a person with all faces and return how many; FacesError `unknown_person`."""
        with self._transaction() as connection:
            return people.delete(connection, tenant, collection, person_id)

    def update_person(
        self, tenant: str, collection: str, person_id: str, update: PersonUpdate
    ) -> Person:
        """Change what `update` names and return the person as it is then.

        Raises
        ------
        FacesError
            `unknown_person`, `duplicate_person`.
        """
        with self._transaction() as connection:
            return corrections.update_person(connection, tenant, collection, person_id, update)

    def merge_people(self, tenant: str, collection: str, *, keep: str, merge: str) -> Person:
        """Make one person of two (ids) and return it: all faces, the name of `keep`.

        Birthdate, e-mail and external id come over where `keep` has none.

        Raises
        ------
        FacesError
            `unknown_person`; InvalidInput when both are the same.
        """
        with self._transaction() as connection:
            return corrections.merge_people(connection, tenant, collection, keep, merge)

    def move_face(self, tenant: str, collection: str, face_id: str, person_id: str) -> Person:
        """Give a face to another person of the collection, who is returned.

        Raises
        ------
        FacesError
            `unknown_face`, `unknown_person`.
        """
        with self._transaction() as connection:
            return corrections.move_face(connection, tenant, collection, face_id, person_id)

    def delete_face(self, tenant: str, collection: str, face_id: str) -> None:
        """Delete a face; its person stays, even without faces; FacesError `unknown_face`."""
        with self._transaction() as connection:
            corrections.delete_face(connection, tenant, collection, face_id)

    def list_collections(self, tenant: str) -> list[CollectionInfo]:
        """Return a tenant's collections by name; none for a tenant that has none."""
        with self._connections() as connection:
            return collections.of_tenant(connection, tenant)

    def delete_collection(self, tenant: str, collection: str) -> None:
        """Delete a collection with all people and faces.

        Raises
        ------
        FacesError
            `unknown_collection`; InvalidInput for `default` of `default`, which stays.
        """
        with self._transaction() as connection:
            collections.delete(connection, tenant, collection)

    def purge_expired(self, now: datetime) -> Purged:
        """Delete unknown faces that have expired, and feed rows older than a day."""
        with self._transaction() as connection:
            return maintenance.purge_expired(connection, now)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._connections() as connection, connection.transaction():
            yield connection
