"""Export and import of collections; a vector passes as text, so no numpy is needed."""

import base64
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import accumulate
from typing import LiteralString

from psycopg import errors

from faces.contracts.errors import CATALOGUE, ErrorCode, FacesError, InvalidInput
from faces.contracts.ids import derived_id, parse_id
from faces.contracts.results import FaceQuality
from faces.contracts.transfer import (
    FACES_AT_ONCE,
    ExportPage,
    FaceRecord,
    Imported,
    PersonRecord,
    Skipped,
)
from faces.gallery import audit, collections, cursors
from faces.gallery.database import Connection, ConnectionSource

_SIZE = 512
_PACKED = struct.Struct(f"<{_SIZE}e")
_LEAST_LENGTH, _MOST_LENGTH = 0.99, 1.01


class Transfer:
    """Exports and imports; raises TransientError while the database is away.

    Parameters
    ----------
    clock : returns the time, aware.
    """

    def __init__(self, connections: ConnectionSource, clock: Callable[[], datetime]) -> None:
        self._connections = connections
        self._clock = clock

    def export_page(
        self, tenant: str, collection: str, cursor: str | None, limit: int, *, actor: str
    ) -> ExportPage:
        """Return some people of a collection with faces and vectors, by id.

        The first page is recorded in the audit log.

        Raises
        ------
        FacesError
            `unknown_collection`; InvalidInput for a wrong cursor.
        """
        after = cursors.read_id(cursor)
        with self._connections() as connection, connection.transaction():
            collection_id = collections.find(connection, tenant, collection)
            if after is None:
                entry = audit.Entry(tenant, actor, "collection.export", collection)
                audit.record(connection, entry, self._clock())
            rows = connection.execute(
                "SELECT person_id::text, name, birthdate, email, external_id, created_at, "
                "(SELECT count(*) FROM faces WHERE faces.person_id = people.person_id) "
                "FROM people WHERE collection_id = %s AND (%s::uuid IS NULL OR person_id > %s) "
                "ORDER BY person_id LIMIT %s",
                [collection_id, after, after, limit + 1],
            ).fetchall()
            totals = accumulate(row[6] for row in rows)
            fit = sum(total <= FACES_AT_ONCE for total in totals)
            people = rows[: max(1, min(limit, fit))]
            faces = _faces(connection, [row[0] for row in people])
        records = tuple(
            PersonRecord(
                person_id=person_id,
                name=name,
                birthdate=birthdate,
                email=email,
                external_id=external_id,
                faces=tuple(faces.get(person_id, ())),
                created_at=created_at.astimezone(UTC),
            )
            for person_id, name, birthdate, email, external_id, created_at, _ in people
        )
        more = records[-1].person_id if len(rows) > len(people) else None
        return ExportPage(people=records, next_cursor=more)

    def import_people(
        self, tenant: str, collection: str, people: tuple[PersonRecord, ...], *, actor: str
    ) -> Imported:
        """Add people to a collection, which is made where it is missing.

        Ids stay where they are free; where another collection has them, new ones follow
        from the old, so that the same import twice adds nothing.

        Raises
        ------
        InvalidInput
            For an id or a vector that is none.
        """
        items = [(person, _checked(number, person)) for number, person in enumerate(people)]
        added_people, added_faces, skipped = 0, 0, []
        with self._connections() as connection, connection.transaction():
            collection_id = collections.ensure(connection, tenant, collection)
            connection.execute("SELECT lock_feed()")
            # All at once; where somebody's e-mail or external id is taken, one by one.
            parts = [items]
            while parts:
                part = parts.pop(0)
                try:
                    with connection.transaction():
                        made, faces = self._add(connection, collection_id, part)
                except errors.UniqueViolation:
                    if len(part) > 1:
                        parts = [[item] for item in part] + parts
                        continue
                    code = ErrorCode.DUPLICATE_PERSON
                    person_id = part[0][0].person_id
                    message = CATALOGUE[code].sentence
                    skipped.append(Skipped(person_id=person_id, code=code, message=message))
                    continue
                added_people += made
                added_faces += faces
            counts = {"people": added_people, "faces": added_faces}
            entry = audit.Entry(tenant, actor, "collection.import", collection, None, counts)
            audit.record(connection, entry, self._clock())
        return Imported(people=added_people, faces=added_faces, skipped=tuple(skipped))

    def _add(
        self, connection: Connection, collection_id: int, part: list[tuple[PersonRecord, list[str]]]
    ) -> tuple[int, int]:
        """Add people with their vectors; return how many people and faces were new."""
        people = [person for person, _ in part]
        ids = _free(connection, _TAKEN_PEOPLE, collection_id, [each.person_id for each in people])
        face_ids = _free(
            connection,
            _TAKEN_FACES,
            collection_id,
            [face.face_id for each in people for face in each.faces],
        )
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO people "
                "(person_id, collection_id, name, birthdate, email, external_id, created_at) "
                "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (person_id) DO NOTHING",
                [
                    [
                        ids[each.person_id],
                        collection_id,
                        each.name,
                        each.birthdate,
                        each.email,
                        each.external_id,
                        each.created_at or self._clock(),
                    ]
                    for each in people
                ],
            )
            made = cursor.rowcount
            rows = [
                [
                    face_ids[face.face_id],
                    ids[each.person_id],
                    collection_id,
                    vector,
                    face.model_tag,
                    face_ids[face.face_id],
                    face.quality.model_dump_json() if face.quality else None,
                    face.created_at or self._clock(),
                ]
                for each, vectors in part
                for face, vector in zip(each.faces, vectors, strict=True)
            ]
            if not rows:
                return made, 0
            cursor.executemany(
                "INSERT INTO faces (face_id, person_id, collection_id, embedding, model_tag, "
                "enrolled_by, quality, created_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) "
                "ON CONFLICT (face_id) DO NOTHING",
                rows,
            )
            return made, cursor.rowcount


_TAKEN_PEOPLE = "SELECT person_id::text FROM people WHERE person_id = ANY(%s::uuid[]) "
_TAKEN_FACES = "SELECT face_id::text FROM faces WHERE face_id = ANY(%s::uuid[]) "


def _free(
    connection: Connection, taken: LiteralString, collection_id: int, wanted: list[str]
) -> dict[str, str]:
    """Return the id to use for each that is wanted: another where another collection has it."""
    rows = connection.execute(taken + "AND collection_id <> %s", [wanted, collection_id]).fetchall()
    elsewhere = {found for (found,) in rows}
    return {
        each: derived_id(each, f"collection-{collection_id}") if each in elsewhere else each
        for each in wanted
    }


def _faces(connection: Connection, people: list[str]) -> dict[str, list[FaceRecord]]:
    rows = connection.execute(
        "SELECT person_id::text, face_id::text, model_tag, embedding::text, quality, created_at "
        "FROM faces WHERE person_id = ANY(%s::uuid[]) ORDER BY face_id",
        [people],
    ).fetchall()
    found: dict[str, list[FaceRecord]] = {}
    for person_id, face_id, model_tag, embedding, quality, created_at in rows:
        found.setdefault(person_id, []).append(
            FaceRecord(
                face_id=face_id,
                model_tag=model_tag,
                vector=_pack(embedding),
                quality=FaceQuality.model_validate(quality) if quality else None,
                created_at=created_at.astimezone(UTC),
            )
        )
    return found


def _pack(text: str) -> str:
    """Return pgvector's text form as base64 of half-precision numbers, without loss."""
    return base64.b64encode(_PACKED.pack(*map(float, text[1:-1].split(",")))).decode()


def _checked(number: int, person: PersonRecord) -> list[str]:
    """Return the person's vectors in pgvector's text form."""
    where = f"people.{number}"
    _check_id(f"{where}.person_id", person.person_id)
    vectors = []
    for place, face in enumerate(person.faces):
        _check_id(f"{where}.faces.{place}.face_id", face.face_id)
        field = f"{where}.faces.{place}.vector"
        try:
            values = _PACKED.unpack(base64.b64decode(face.vector, validate=True))
        except (ValueError, struct.error):
            raise InvalidInput(field, f"{field}: is no base64 of 512 half floats") from None
        length = sum(value * value for value in values) ** 0.5
        if not _LEAST_LENGTH <= length <= _MOST_LENGTH:
            raise InvalidInput(field, f"{field}: has not unit length")
        vectors.append("[" + ",".join(f"{value:.7g}" for value in values) + "]")
    return vectors


def _check_id(field: str, text: str) -> None:
    try:
        known = parse_id(text, unknown=ErrorCode.INVALID_REQUEST)
    except FacesError:
        known = ""
    if known != text:
        raise InvalidInput(field, f"{field}: is no id of an export")
