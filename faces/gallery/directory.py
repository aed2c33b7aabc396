"""People, faces and collections as a client reads and changes them, with the audit log."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from faces.contracts.collections import Collection, CollectionSettings
from faces.contracts.results import Enrolment
from faces.gallery import audit, collections, corrections, enrolment, people, photos
from faces.gallery.audit import SYSTEM
from faces.gallery.database import Connection, ConnectionSource
from faces.gallery.enrolment import Guard
from faces.gallery.records import (
    Deleted,
    NewPerson,
    Person,
    PersonPage,
    PersonUpdate,
    StoredFace,
)


def utc_now() -> datetime:
    """Return the time, aware, in UTC."""
    return datetime.now(UTC)


class Directory:
    """People, faces and collections of all tenants.

    Whatever a tenant asks for in another's collection is answered as unknown. Every
    method raises TransientError while the database is away; the same call may succeed
    later, and none is ever half done. What changes something takes the id of the key
    that asked for it (`actor`) and writes the audit log.

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

    def enroll_unmatched(
        self,
        *,
        tenant: str,
        collection: str,
        req_id: str,
        person: NewPerson | str,
        guard: Guard | None = None,
        actor: str = SYSTEM,
    ) -> Enrolment:
        """Move a remembered unknown face into the gallery; works once for each `req_id`.

        Parameters
        ----------
        person : a person to make, or the id of one who gets the face added.
        guard : what is checked before; nothing when left out.

        Raises
        ------
        FacesError
            `unknown_req_id` when it was never given out here, was used or has expired;
            `unknown_person`; `duplicate_person` (its `field` says by what); what the
            guard refuses. After all but the first the `req_id` can still be used.
        """
        with self._transaction() as connection:
            done = enrolment.enroll_unmatched(
                connection, tenant, collection, req_id, person, self._clock(), guard
            )
            self._enrolled(connection, tenant, collection, actor, person, done)
        return done

    def create_person(
        self, tenant: str, collection: str, person: NewPerson, *, actor: str = SYSTEM
    ) -> Person:
        """Make a person who has no face yet.

        Raises
        ------
        FacesError
            `unknown_collection`, `duplicate_person`.
        """
        with self._transaction() as connection:
            collection_id = collections.find(connection, tenant, collection)
            person_id, _ = people.find_or_make(connection, collection_id, person)
            self._record(connection, tenant, collection, actor, "person.create", person_id)
            return people.get(connection, tenant, collection, person_id)

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

    def delete_person(
        self, tenant: str, collection: str, person_id: str, *, actor: str = SYSTEM
    ) -> Deleted:
        """Delete a person with all faces; FacesError `unknown_person`.

        No worker names the person in a result that is published after this call.
        """
        with self._transaction() as connection:
            deleted = people.delete(connection, tenant, collection, person_id)
            self._deleted(
                connection, tenant, collection, actor, "person.delete", person_id, deleted
            )
        return deleted

    def update_person(
        self,
        tenant: str,
        collection: str,
        person_id: str,
        update: PersonUpdate,
        *,
        actor: str = SYSTEM,
    ) -> Person:
        """Change what `update` names and return the person as it is then.

        Raises
        ------
        FacesError
            `unknown_person`, `duplicate_person`.
        """
        with self._transaction() as connection:
            person = corrections.update_person(connection, tenant, collection, person_id, update)
            self._record(connection, tenant, collection, actor, "person.update", person_id)
        return person

    def merge_people(
        self, tenant: str, collection: str, *, keep: str, merge: str, actor: str = SYSTEM
    ) -> Person:
        """Make one person of two (ids) and return it: all faces, the name of `keep`.

        Birthdate, e-mail and external id come over where `keep` has none.

        Raises
        ------
        FacesError
            `unknown_person`; InvalidInput when both are the same.
        """
        with self._transaction() as connection:
            person = corrections.merge_people(connection, tenant, collection, keep, merge)
            self._record(connection, tenant, collection, actor, "person.merge", merge)
            self._record(connection, tenant, collection, actor, "person.merge_into", keep)
        return person

    def move_face(
        self, tenant: str, collection: str, face_id: str, person_id: str, *, actor: str = SYSTEM
    ) -> Person:
        """Give a face to another person of the collection, who is returned.

        Raises
        ------
        FacesError
            `unknown_face`, `unknown_person`.
        """
        with self._transaction() as connection:
            person = corrections.move_face(connection, tenant, collection, face_id, person_id)
            self._record(connection, tenant, collection, actor, "face.move", face_id)
        return person

    def delete_face(
        self, tenant: str, collection: str, face_id: str, *, actor: str = SYSTEM
    ) -> Deleted:
        """Delete a face; its person stays, even without faces; FacesError `unknown_face`."""
        with self._transaction() as connection:
            deleted = corrections.delete_face(connection, tenant, collection, face_id)
            self._deleted(connection, tenant, collection, actor, "face.delete", face_id, deleted)
        return deleted

    def list_collections(self, tenant: str) -> list[Collection]:
        """Return a tenant's collections by name; none for a tenant that has none."""
        with self._connections() as connection:
            return collections.of_tenant(connection, tenant)

    def get_collection(self, tenant: str, collection: str) -> Collection:
        """Return a collection; FacesError `unknown_collection`."""
        with self._connections() as connection:
            return collections.get(connection, tenant, collection)

    def collection_settings(self, tenant: str, collection: str) -> CollectionSettings:
        """Return a collection's settings; those of a new one where there is none."""
        with self._connections() as connection:
            return collections.settings_of(connection, tenant, collection)

    def create_collection(
        self, tenant: str, collection: str, settings: CollectionSettings, *, actor: str = SYSTEM
    ) -> Collection:
        """Make a collection; FacesError `collection_exists` where there is one."""
        with self._transaction() as connection:
            collections.create(connection, tenant, collection, settings)
            self._record(connection, tenant, collection, actor, "collection.create")
            return collections.get(connection, tenant, collection)

    def change_collection(
        self, tenant: str, collection: str, settings: CollectionSettings, *, actor: str = SYSTEM
    ) -> Collection:
        """Replace a collection's settings; FacesError `unknown_collection`."""
        with self._transaction() as connection:
            collections.change(connection, tenant, collection, settings)
            self._record(connection, tenant, collection, actor, "collection.change")
            return collections.get(connection, tenant, collection)

    def delete_collection(self, tenant: str, collection: str, *, actor: str = SYSTEM) -> Deleted:
        """Delete a collection with all people and faces.

        Raises
        ------
        FacesError
            `unknown_collection`; InvalidInput for `default` of `default`, which stays.
        """
        with self._transaction() as connection:
            deleted = collections.delete(connection, tenant, collection)
            self._deleted(connection, tenant, collection, actor, "collection.delete", None, deleted)
        return deleted

    def photos_to_delete(self, limit: int) -> list[str]:
        """Return at most `limit` jobs whose photos must go and may still be there."""
        with self._connections() as connection:
            return photos.pending(connection, limit)

    def photos_deleted(self, jobs: Sequence[str]) -> None:
        """Note that the photos of these jobs are gone, in the audit log too."""
        with self._transaction() as connection:
            photos.done(connection, jobs, self._clock())

    def _deleted(
        self,
        connection: Connection,
        tenant: str,
        collection: str,
        actor: str,
        action: str,
        target: str | None,
        deleted: Deleted,
    ) -> None:
        """Record a deletion, and have the photos deleted also when S3 is away now."""
        now = self._clock()
        photos.request(
            connection, deleted.jobs, now, tenant=tenant, collection=collection, actor=actor
        )
        counts = {
            "people": deleted.people,
            "faces": deleted.faces,
            "unmatched_faces": deleted.unmatched_faces,
            "photos": len(deleted.jobs),
        }
        audit.record(
            connection, audit.Entry(tenant, actor, action, collection, target, counts), now
        )

    def _enrolled(
        self,
        connection: Connection,
        tenant: str,
        collection: str,
        actor: str,
        person: NewPerson | str,
        done: Enrolment,
    ) -> None:
        if isinstance(person, NewPerson):
            self._record(connection, tenant, collection, actor, "person.create", done.person_id)
        self._record(connection, tenant, collection, actor, "face.enrol", done.face_id)

    def _record(
        self,
        connection: Connection,
        tenant: str,
        collection: str,
        actor: str,
        action: str,
        target: str | None = None,
    ) -> None:
        entry = audit.Entry(tenant, actor, action, collection, target)
        audit.record(connection, entry, self._clock())

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._connections() as connection, connection.transaction():
            yield connection
