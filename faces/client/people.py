"""People: enrolled by an earlier unknown face, listed, read, deleted."""

from collections.abc import AsyncIterator
from datetime import date

from faces.client import calls
from faces.client.jobs import JobOperations
from faces.contracts.jobs import DEFAULT_COLLECTION
from faces.contracts.people import Person, PersonDeleted
from faces.contracts.results import Enrolment


class PeopleOperations(JobOperations):
    """What a client does with people; `manage` has the rest."""

    async def enroll_req_id(
        self,
        req_id: str,
        name: str | None = None,
        *,
        person_id: str | None = None,
        collection: str = DEFAULT_COLLECTION,
        birthdate: date | None = None,
        email: str | None = None,
        external_id: str | None = None,
        force: bool = False,
    ) -> Enrolment:
        """Enrol an unknown face of an earlier answer, without sending the photo again.

        Parameters
        ----------
        req_id : of the unknown face; can be used once, until it expires.
        name : makes a new person, with birthdate, email and external_id where given.
        person_id : adds the face to a person who is there.
        force : store the face though a check advises against it.

        Examples
        --------
        >>> result = await client.identify("team.jpg")
        >>> unknown = next(face for face in result.faces if face.match is None)
        >>> enrolled = await client.enroll_req_id(unknown.req_id, "Bob")
        >>> enrolled.name
        'Bob'
        """
        given = {
            "name": name,
            "person_id": person_id,
            "birthdate": birthdate.isoformat() if birthdate else None,
            "email": email,
            "external_id": external_id,
            "force": force or None,
        }
        person = {key: value for key, value in given.items() if value is not None}
        return await self._connection.perform(calls.enroll_req_id(collection, req_id, person))

    async def people(
        self, *, collection: str = DEFAULT_COLLECTION, query: str | None = None
    ) -> AsyncIterator[Person]:
        """Yield the people of a collection by name, those whose name holds `query`.

        Examples
        --------
        >>> async for person in client.people(collection="office"):
        ...     print(person.name, person.faces)
        Ann 1
        Bob 1
        Zoë 1
        """
        cursor = None
        while True:
            page = await self._connection.perform(calls.list_people(collection, query, cursor))
            for person in page.people:
                yield person
            cursor = page.next_cursor
            if cursor is None:
                return

    async def person(self, person_id: str, *, collection: str = DEFAULT_COLLECTION) -> Person:
        """Return one person; raises ApiError `unknown_person` where there is none.

        Examples
        --------
        >>> person = await client.person(ann)
        >>> person.name
        'Ann'
        """
        return await self._connection.perform(calls.get_person(collection, person_id))

    async def delete_person(
        self, person_id: str, *, collection: str = DEFAULT_COLLECTION
    ) -> PersonDeleted:
        """Delete a person with all faces.

        Examples
        --------
        >>> deleted = await client.delete_person(ann)
        >>> deleted.faces
        1
        """
        return await self._connection.perform(calls.delete_person(collection, person_id))
