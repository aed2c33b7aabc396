"""What a client manages: people, faces, collections, keys; and reads the audit log."""

from collections.abc import AsyncIterator, Iterable

from faces.client import calls
from faces.client.blocking import blocking, blocking_iterator
from faces.client.connection import Connection
from faces.contracts.audit import AuditEntry, AuditQuery
from faces.contracts.collections import (
    Collection,
    CollectionDeleted,
    CollectionSettings,
    NewCollection,
)
from faces.contracts.dead_letters import DeadLetter
from faces.contracts.jobs import DEFAULT_COLLECTION
from faces.contracts.keys import KeyCreated, KeyInfo, NewKey, Scope
from faces.contracts.operations import OperationsView, RecentJobs
from faces.contracts.people import FaceDeleted, NewPerson, Person, PersonUpdate, StoredFace
from faces.contracts.results import Enrolment
from faces.contracts.transfer import FACES_AT_ONCE, Imported, ImportPeople, PersonRecord
from faces.contracts.webhooks import WebhookKey

_IMPORT_PEOPLE = 50


class AsyncManager:
    """`AsyncClient.manage`; every method raises `ApiError` and `ConnectionFailed`."""

    def __init__(self, connection: Connection) -> None:
        self._perform = connection.perform

    async def create_person(
        self, person: NewPerson, *, collection: str = DEFAULT_COLLECTION
    ) -> Person:
        """Make a person who has no face yet, in a collection that is there.

        Examples
        --------
        >>> from faces.contracts.people import NewPerson
        >>> made = await client.manage.create_person(NewPerson(name="Cleo", external_id="7"))
        >>> made.name, made.faces
        ('Cleo', 0)
        """
        return await self._perform(calls.create_person(collection, person))

    async def add_face(
        self,
        person_id: str,
        req_id: str,
        *,
        collection: str = DEFAULT_COLLECTION,
        force: bool = False,
    ) -> Enrolment:
        """Give an unknown face of an earlier answer to a person.

        Examples
        --------
        >>> result = await client.identify("team.jpg")
        >>> unknown = next(face for face in result.faces if face.match is None)
        >>> added = await client.manage.add_face(bob, unknown.req_id)
        >>> added.name
        'Bob'
        """
        return await self._perform(calls.add_face(collection, person_id, req_id, force))

    async def update_person(
        self, person_id: str, update: PersonUpdate, *, collection: str = DEFAULT_COLLECTION
    ) -> Person:
        """Change the fields of a person that `update` was given; None empties one.

        Examples
        --------
        >>> from faces.contracts.people import PersonUpdate
        >>> person = await client.manage.update_person(ann, PersonUpdate(name="Ann Smith"))
        >>> person.name
        'Ann Smith'
        """
        return await self._perform(calls.update_person(collection, person_id, update))

    async def merge_people(
        self, *, keep: str, merge: str, collection: str = DEFAULT_COLLECTION
    ) -> Person:
        """Give all faces of `merge` to `keep`, who is returned; `merge` goes.

        Examples
        --------
        >>> person = await client.manage.merge_people(keep=ann, merge=bob)
        >>> person.name, person.faces
        ('Ann', 2)
        """
        return await self._perform(calls.merge_people(collection, keep, merge))

    async def faces(
        self, person_id: str, *, collection: str = DEFAULT_COLLECTION
    ) -> tuple[StoredFace, ...]:
        """Return a person's faces, the oldest first.

        Examples
        --------
        >>> faces = await client.manage.faces(ann)
        >>> faces[0].model_tag
        'facenet-vggface2/v1'
        """
        return (await self._perform(calls.list_faces(collection, person_id))).faces

    async def move_face(
        self, face_id: str, person_id: str, *, collection: str = DEFAULT_COLLECTION
    ) -> Person:
        """Give a face to another person, who is returned.

        Examples
        --------
        >>> faces = await client.manage.faces(ann)
        >>> person = await client.manage.move_face(faces[0].face_id, bob)
        >>> person.name
        'Bob'
        """
        return await self._perform(calls.move_face(collection, face_id, person_id))

    async def delete_face(
        self, face_id: str, *, collection: str = DEFAULT_COLLECTION
    ) -> FaceDeleted:
        """Delete a face, its vector and its photo.

        Examples
        --------
        >>> faces = await client.manage.faces(ann)
        >>> deleted = await client.manage.delete_face(faces[0].face_id)
        >>> deleted.photos
        1
        """
        return await self._perform(calls.delete_face(collection, face_id))

    async def create_collection(
        self, collection: str, settings: CollectionSettings | None = None
    ) -> Collection:
        """Make a collection.

        Examples
        --------
        >>> from faces.contracts.collections import CollectionSettings
        >>> settings = CollectionSettings(false_accept_rate=0.001)
        >>> made = await client.manage.create_collection("door", settings)
        >>> made.collection
        'door'
        """
        new = NewCollection(collection=collection, settings=settings or CollectionSettings())
        return await self._perform(calls.create_collection(new))

    async def collections(self) -> tuple[Collection, ...]:
        """Return all collections by name.

        Examples
        --------
        >>> collections = await client.manage.collections()
        >>> [each.collection for each in collections]
        ['office']
        """
        return (await self._perform(calls.list_collections())).collections

    async def collection(self, collection: str) -> Collection:
        """Return one collection with its settings.

        Examples
        --------
        >>> office = await client.manage.collection("office")
        >>> office.people
        3
        """
        return await self._perform(calls.get_collection(collection))

    async def change_collection(self, collection: str, settings: CollectionSettings) -> Collection:
        """Replace a collection's settings.

        Examples
        --------
        >>> from faces.contracts.collections import CollectionSettings
        >>> settings = CollectionSettings(threshold=0.7)
        >>> changed = await client.manage.change_collection("office", settings)
        >>> changed.settings.threshold
        0.7
        """
        return await self._perform(calls.change_collection(collection, settings))

    async def delete_collection(self, collection: str) -> CollectionDeleted:
        """Delete a collection with all that is in it.

        Examples
        --------
        >>> deleted = await client.manage.delete_collection("office")
        >>> deleted.people
        3
        """
        return await self._perform(calls.delete_collection(collection))

    async def export(self, collection: str = DEFAULT_COLLECTION) -> AsyncIterator[PersonRecord]:
        """Yield all people with faces and vectors; `faces.client.transfer` makes a file.

        Examples
        --------
        >>> async for person in client.manage.export("office"):
        ...     print(person.name, len(person.faces))
        Ann 0
        Bob 0
        Zoë 0
        """
        cursor = None
        while True:
            page = await self._perform(calls.export_page(collection, cursor))
            for person in page.people:
                yield person
            cursor = page.next_cursor
            if cursor is None:
                return

    async def import_people(
        self, people: Iterable[PersonRecord], collection: str = DEFAULT_COLLECTION
    ) -> AsyncIterator[Imported]:
        """Add people of an export, a part at a time; yield what became of each part.

        Examples
        --------
        >>> exported = [person async for person in client.manage.export("office")]
        >>> async for part in client.manage.import_people(exported, "copy"):
        ...     print(part.people)
        3
        """
        part: list[PersonRecord] = []
        faces = 0
        for person in people:
            faces += len(person.faces)
            if part and (len(part) == _IMPORT_PEOPLE or faces > FACES_AT_ONCE):
                yield await self._import(part, collection)
                part, faces = [], len(person.faces)
            part.append(person)
        if part:
            yield await self._import(part, collection)

    async def _import(self, part: list[PersonRecord], collection: str) -> Imported:
        call = calls.import_people(collection, ImportPeople(people=tuple(part)))
        return await self._perform(call)

    async def create_key(
        self,
        name: str,
        scopes: Iterable[Scope],
        *,
        requests_per_minute: int | None = None,
        tenant: str | None = None,
    ) -> KeyCreated:
        """Make an API key; only this answer holds it.

        Examples
        --------
        >>> from faces.contracts.keys import Scope
        >>> made = await client.manage.create_key("door camera", [Scope.RECOGNISE])
        >>> made.name
        'door camera'
        """
        new = NewKey(
            name=name,
            scopes=tuple(scopes),
            requests_per_minute=requests_per_minute,
            tenant=tenant,
        )
        return await self._perform(calls.create_key(new))

    async def keys(self) -> tuple[KeyInfo, ...]:
        """Return all keys, the newest first.

        Examples
        --------
        >>> keys = await client.manage.keys()
        >>> [key.name for key in keys]
        ['door camera']
        """
        return (await self._perform(calls.list_keys())).keys

    async def revoke_key(self, key_id: str) -> KeyInfo:
        """Refuse a key from now on.

        Examples
        --------
        >>> keys = await client.manage.keys()
        >>> revoked = await client.manage.revoke_key(keys[0].key_id)
        >>> revoked.revoked_at is not None
        True
        """
        return await self._perform(calls.revoke_key(key_id))

    async def webhook_key(self) -> WebhookKey:
        """Return the key that signs callbacks, for `faces.client.webhooks.verify_webhook`.

        Examples
        --------
        >>> key = await client.manage.webhook_key()
        >>> key.key_id
        '0123456789abcdef'
        """
        return await self._perform(calls.webhook_key())

    async def recent_jobs(self, limit: int = 50) -> RecentJobs:
        """Return the newest jobs whose photos were sent, in a few words each.

        Examples
        --------
        >>> recent = await client.manage.recent_jobs(limit=1)
        >>> [(job.file_name, job.known, job.faces) for job in recent.jobs]
        [('team.jpg', 1, 2)]
        """
        return await self._perform(calls.recent_jobs(limit))

    async def operations(self, minutes: int = 0) -> OperationsView:
        """Return how the stack stands: queues, fleet, and its last minutes where asked for.

        Examples
        --------
        >>> view = await client.manage.operations()
        >>> view.queues.waiting, [worker.state.value for worker in view.fleet]
        (3, ['ready', 'booting'])
        """
        return await self._perform(calls.operations(minutes))

    async def dead_letters(self) -> AsyncIterator[DeadLetter]:
        """Yield the jobs that were given up, the oldest first.

        Examples
        --------
        >>> async for letter in client.manage.dead_letters():
        ...     print(letter.receive_count, letter.reason)
        3 no worker finished it
        """
        cursor = None
        while True:
            page = await self._perform(calls.dead_letters(cursor))
            for letter in page.letters:
                yield letter
            cursor = page.next_cursor
            if cursor is None:
                return

    async def redrive(self, job_id: str) -> DeadLetter:
        """Have a job that was given up worked on once more; its failed result goes.

        Examples
        --------
        >>> letter = await client.manage.redrive(given_up)
        >>> letter.redriven_at is not None
        True
        """
        return await self._perform(calls.redrive(job_id))

    async def audit(self, query: AuditQuery | None = None) -> AsyncIterator[AuditEntry]:
        """Yield entries of the audit log, the newest first.

        Examples
        --------
        >>> async for entry in client.manage.audit():
        ...     print(entry.action, entry.key_id)
        person.delete root
        """
        asked = query or AuditQuery()
        while True:
            page = await self._perform(calls.list_audit(asked))
            for entry in page.entries:
                yield entry
            if page.next_cursor is None:
                return
            asked = asked.model_copy(update={"cursor": page.next_cursor})


class Manager:
    """`Client.manage`; every method raises `ApiError` and `ConnectionFailed`."""

    def __init__(self, asynchronous: AsyncManager) -> None:
        self.asynchronous = asynchronous

    create_person = blocking(AsyncManager.create_person)
    add_face = blocking(AsyncManager.add_face)
    update_person = blocking(AsyncManager.update_person)
    merge_people = blocking(AsyncManager.merge_people)
    faces = blocking(AsyncManager.faces)
    move_face = blocking(AsyncManager.move_face)
    delete_face = blocking(AsyncManager.delete_face)
    create_collection = blocking(AsyncManager.create_collection)
    collections = blocking(AsyncManager.collections)
    collection = blocking(AsyncManager.collection)
    change_collection = blocking(AsyncManager.change_collection)
    delete_collection = blocking(AsyncManager.delete_collection)
    export = blocking_iterator(AsyncManager.export)
    import_people = blocking_iterator(AsyncManager.import_people)
    create_key = blocking(AsyncManager.create_key)
    keys = blocking(AsyncManager.keys)
    revoke_key = blocking(AsyncManager.revoke_key)
    webhook_key = blocking(AsyncManager.webhook_key)
    recent_jobs = blocking(AsyncManager.recent_jobs)
    operations = blocking(AsyncManager.operations)
    dead_letters = blocking_iterator(AsyncManager.dead_letters)
    redrive = blocking(AsyncManager.redrive)
    audit = blocking_iterator(AsyncManager.audit)
