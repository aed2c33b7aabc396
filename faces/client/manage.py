"""What a client manages: people, faces, collections, keys; and reads the audit log."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from faces.client import calls
from faces.contracts.audit import AuditEntry, AuditQuery
from faces.contracts.collections import (
    Collection,
    CollectionDeleted,
    CollectionSettings,
    NewCollection,
)
from faces.contracts.jobs import DEFAULT_COLLECTION
from faces.contracts.keys import KeyCreated, KeyInfo, NewKey, Scope
from faces.contracts.people import FaceDeleted, Person, PersonUpdate, StoredFace
from faces.contracts.transfer import Imported, ImportPeople, PersonRecord

T = TypeVar("T")
_IMPORT_PEOPLE = 50


class Perform(Protocol):
    """Carries out a call (`faces.client.sync.Client`)."""

    def __call__(self, call: calls.Call[T], /) -> T: ...


class Manager:
    """`Client.manage`; every method raises `ApiError` and `ConnectionFailed`."""

    def __init__(self, perform: Perform) -> None:
        self._perform = perform

    def update_person(
        self, person_id: str, update: PersonUpdate, *, collection: str = DEFAULT_COLLECTION
    ) -> Person:
        """Change the fields of a person that `update` was given; None empties one."""
        return self._perform(calls.update_person(collection, person_id, update))

    def merge_people(
        self, *, keep: str, merge: str, collection: str = DEFAULT_COLLECTION
    ) -> Person:
        """Give all faces of `merge` to `keep`, who is returned; `merge` goes."""
        return self._perform(calls.merge_people(collection, keep, merge))

    def faces(
        self, person_id: str, *, collection: str = DEFAULT_COLLECTION
    ) -> tuple[StoredFace, ...]:
        """Return a person's faces, the oldest first."""
        return self._perform(calls.list_faces(collection, person_id)).faces

    def move_face(
        self, face_id: str, person_id: str, *, collection: str = DEFAULT_COLLECTION
    ) -> Person:
        """Give a face to another person, who is returned."""
        return self._perform(calls.move_face(collection, face_id, person_id))

    def delete_face(self, face_id: str, *, collection: str = DEFAULT_COLLECTION) -> FaceDeleted:
        """Delete a face, its vector and its photo."""
        return self._perform(calls.delete_face(collection, face_id))

    def create_collection(
        self, collection: str, settings: CollectionSettings | None = None
    ) -> Collection:
        """Make a collection."""
        new = NewCollection(collection=collection, settings=settings or CollectionSettings())
        return self._perform(calls.create_collection(new))

    def collections(self) -> tuple[Collection, ...]:
        """Return all collections by name."""
        return self._perform(calls.list_collections()).collections

    def change_collection(self, collection: str, settings: CollectionSettings) -> Collection:
        """Replace a collection's settings."""
        return self._perform(calls.change_collection(collection, settings))

    def delete_collection(self, collection: str) -> CollectionDeleted:
        """Delete a collection with all that is in it."""
        return self._perform(calls.delete_collection(collection))

    def export(self, collection: str = DEFAULT_COLLECTION) -> Iterator[PersonRecord]:
        """Yield all people with faces and vectors; `faces.client.transfer` makes a file."""
        cursor = None
        while True:
            page = self._perform(calls.export_page(collection, cursor))
            yield from page.people
            cursor = page.next_cursor
            if cursor is None:
                return

    def import_people(
        self, people: Iterable[PersonRecord], collection: str = DEFAULT_COLLECTION
    ) -> Iterator[Imported]:
        """Add people of an export, a part at a time; yield what became of each part."""
        part: list[PersonRecord] = []
        for person in people:
            part.append(person)
            if len(part) == _IMPORT_PEOPLE:
                yield self._perform(
                    calls.import_people(collection, ImportPeople(people=tuple(part)))
                )
                part = []
        if part:
            yield self._perform(calls.import_people(collection, ImportPeople(people=tuple(part))))

    def create_key(
        self,
        name: str,
        scopes: Iterable[Scope],
        *,
        requests_per_minute: int | None = None,
        tenant: str | None = None,
    ) -> KeyCreated:
        """Make an API key; only this answer holds it."""
        new = NewKey(
            name=name,
            scopes=tuple(scopes),
            requests_per_minute=requests_per_minute,
            tenant=tenant,
        )
        return self._perform(calls.create_key(new))

    def keys(self) -> tuple[KeyInfo, ...]:
        """Return all keys, the newest first."""
        return self._perform(calls.list_keys()).keys

    def revoke_key(self, key_id: str) -> KeyInfo:
        """Refuse a key from now on."""
        return self._perform(calls.revoke_key(key_id))

    def audit(self, query: AuditQuery | None = None) -> Iterator[AuditEntry]:
        """Yield entries of the audit log, the newest first."""
        asked = query or AuditQuery()
        while True:
            page = self._perform(calls.list_audit(asked))
            yield from page.entries
            if page.next_cursor is None:
                return
            asked = asked.model_copy(update={"cursor": page.next_cursor})
