"""A service in memory that knows some people of an office, and remembers what it is told.

Every photo shows Ann and somebody unknown; bytes that say `not a photo` fail, as do those
that say `two people` where one is to be enrolled.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from pydantic import BaseModel

from faces.contracts.audit import AuditEntry, AuditPage
from faces.contracts.batches import BatchCreated, BatchJob, BatchView
from faces.contracts.collections import Collection, CollectionDeleted, CollectionList
from faces.contracts.dead_letters import DeadLetter, DeadLetterPage
from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.ids import new_id
from faces.contracts.jobs import (
    JobCreated,
    JobDeleted,
    JobKind,
    JobState,
    JobView,
    UploadForm,
)
from faces.contracts.keys import KeyCreated, KeyInfo, KeyList, Scope
from faces.contracts.operations import (
    FleetWorker,
    OperationsView,
    Queues,
    RecentJob,
    RecentJobs,
    WorkerState,
)
from faces.contracts.people import (
    FaceDeleted,
    FaceList,
    Person,
    PersonDeleted,
    PersonPage,
    StoredFace,
)
from faces.contracts.results import Enrolment, JobResult, Verification
from faces.contracts.transfer import ExportPage, Imported, PersonRecord
from faces.contracts.webhooks import WebhookKey
from tests.unit.client.fake_service import API, NOW, S3, problem

KEY = "office-key"
OPERATIONS = OperationsView(
    at=NOW,
    stack="faces-test",
    queues=Queues(arriving=1, waiting=3, in_flight=2, dead=0),
    fleet=tuple(
        FleetWorker(
            instance_id=f"i-{number}",
            name=f"app-tier-instance-{number}",
            state=state,
            instance_type="g4dn.xlarge",
            launched_at=NOW - timedelta(minutes=number),
        )
        for number, state in ((1, WorkerState.READY), (2, WorkerState.BOOTING))
    ),
)


def face(left: int, width: int, sharpness: float, **more: object) -> dict[str, object]:
    names = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
    points = {name: {"x": left, "y": 40} for name in names}
    return {
        "box": {"left": left, "top": 20, "right": left + width, "bottom": 20 + width},
        "landmarks": points,
        "confidence": 0.999,
        "quality": {
            "sharpness": sharpness,
            "brightness": 60.0,
            "pose": {"roll": 0, "yaw": 0, "pitch": 0},
            "size_px": width,
        },
        **more,
    }


@dataclass
class Job:
    """A job: what was asked, and what was uploaded."""

    asked: dict[str, Any]
    photo: bytes | None = None


@dataclass
class FakeOffice:
    """Answers by route; see the module.

    Attributes
    ----------
    busy : how many times a batch is seen unfinished before its jobs have ended.
    refuse : asked first; an answer that is not None is given instead.
    """

    busy: int = 1
    refuse: Callable[[httpx.Request], httpx.Response | None] = lambda _: None
    requests: list[httpx.Request] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)
    batches: dict[str, tuple[list[str], int]] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    faces: dict[str, str] = field(default_factory=dict)
    collections: dict[str, Collection] = field(default_factory=dict)
    keys: dict[str, KeyInfo] = field(default_factory=dict)

    letters: list[DeadLetter] = field(default_factory=list)
    operations: OperationsView = field(default_factory=lambda: OPERATIONS)

    def __post_init__(self) -> None:
        self.letters.append(
            DeadLetter(
                job_id=new_id(),
                queue="req-dlq",
                message_id="m1",
                body="{}",
                receive_count=3,
                attributes={},
                reason="no worker finished it",
                kept_at=NOW,
            )
        )
        for name in ("Ann", "Bob", "Zoë"):
            self._enrol(name)
        self.collections["office"] = Collection(
            collection="office", people=3, faces=3, created_at=NOW
        )
        self.keys["k1"] = KeyInfo(
            key_id="k1",
            tenant="default",
            name="door camera",
            prefix="fk_abc",
            scopes=(Scope.RECOGNISE,),
            created_at=NOW,
        )

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.answer)

    def id_of(self, name: str) -> str:
        return next(each.person_id for each in self.people.values() if each.name == name)

    def manage_face(self, who: str) -> str:
        """Return the id of a person's first face."""
        return next(face for face, owner in self.faces.items() if owner == who)

    def answer_quietly(self, request: httpx.Request) -> None:
        """Do what is asked; the answer gets lost on its way."""
        self._answer(request)

    def uploads(self) -> int:
        return sum(request.url.host == "s3.test" for request in self.requests)

    def answer(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        return self.refuse(request) or self._answer(request)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "s3.test":
            return self._upload(request)
        if request.url.path == "/health":
            return httpx.Response(200, json={"status": "ok"})
        if request.headers.get("X-Api-Key") != KEY:
            return problem(ErrorCode.UNAUTHENTICATED)
        for method, pattern, handler in self._routes():
            found = re.fullmatch(pattern, request.url.path)
            if found and request.method == method:
                body = json.loads(request.content) if request.content else {}
                try:
                    answered = handler(*found.groups(), {**request.url.params, **body})
                except FacesError as error:
                    return problem(error.code)
                except KeyError:
                    return problem(ErrorCode.UNKNOWN_PERSON)
                return httpx.Response(200, text=answered.model_dump_json())
        return problem(ErrorCode.UNKNOWN_ROUTE)

    def _routes(self) -> list[tuple[str, str, Callable[..., BaseModel]]]:
        one, person, place = "([^/]+)", "/v1/people/([^/]+)", "/v1/collections/([^/]+)"
        return [
            ("POST", "/v1/jobs", self._create_job),
            ("GET", f"/v1/jobs/{one}", lambda job, _: self._view(job)),
            ("DELETE", f"/v1/jobs/{one}", self._delete_job),
            ("POST", "/v1/batches", self._create_batch),
            ("GET", f"/v1/batches/{one}", lambda batch, _: self._batch(batch)),
            ("GET", "/v1/people", self._list_people),
            ("POST", "/v1/people", self._create_person),
            ("POST", f"{person}/faces", lambda who, _: self._enrol(None, who)),
            ("GET", place, lambda name, _: self._place(name)),
            ("GET", person, lambda who, _: self.people[who]),
            ("PATCH", person, self._update),
            ("DELETE", person, self._delete_person),
            ("POST", f"{person}/merge", self._merge),
            ("GET", f"{person}/faces", self._list_faces),
            ("PATCH", f"/v1/faces/{one}", lambda _, q: self.people[q["person_id"]]),
            ("DELETE", f"/v1/faces/{one}", lambda f, _: FaceDeleted(face_id=f, photos=1)),
            ("GET", "/v1/collections", lambda _: CollectionList(collections=self._places())),
            ("POST", "/v1/collections", self._create_collection),
            ("PUT", f"{place}/settings", self._change_collection),
            ("DELETE", place, self._delete_collection),
            ("GET", f"{place}/export", self._export),
            ("POST", f"{place}/import", self._import),
            ("GET", "/v1/keys", lambda _: KeyList(keys=tuple(self.keys.values()))),
            ("POST", "/v1/keys", self._create_key),
            ("DELETE", f"/v1/keys/{one}", self._revoke),
            ("GET", "/v1/webhook-key", lambda _: WebhookKey(key_id="0123456789abcdef", key="k")),
            ("GET", "/v1/audit", self._audit),
            ("GET", "/v1/jobs", self._recent),
            ("GET", "/v1/operations", lambda _: self.operations),
            ("GET", "/v1/dead-letters", lambda _: DeadLetterPage(letters=tuple(self.letters))),
            ("POST", f"/v1/dead-letters/{one}/redrive", self._redrive),
        ]

    def _create_job(self, asked: dict[str, Any]) -> JobCreated:
        job_id = new_id()
        self.jobs[job_id] = Job(asked)
        form = UploadForm(
            url=S3,
            fields={"key": job_id},
            max_bytes=10 * 1024 * 1024,
            expires_at=NOW + timedelta(minutes=15),
        )
        return JobCreated(job_id=job_id, upload=form, poll_url=f"{API}/v1/jobs/{job_id}")

    def _upload(self, request: httpx.Request) -> httpx.Response:
        fields, _, rest = request.content.partition(b'name="file"')
        found = re.search(rb'name="key"\r\n\r\n([0-9a-f-]{36})', fields)
        assert found is not None
        self.jobs[found[1].decode()].photo = rest
        return httpx.Response(204)

    def _view(self, job_id: str) -> JobView:
        if job_id not in self.jobs:
            raise FacesError(ErrorCode.UNKNOWN_JOB)
        job, now = self.jobs[job_id], NOW
        if job.photo is None:
            return JobView(job_id=job_id, state=JobState.AWAITING_UPLOAD, submitted_at=now)
        error = self._fault(job)
        if error is not None:
            info = FacesError(error).info()
            return JobView(job_id=job_id, state=JobState.FAILED, submitted_at=now, error=info)
        result = JobResult.model_validate(
            {
                "job_id": job_id,
                "kind": job.asked.get("kind", "identify"),
                "tenant": "default",
                "collection": job.asked.get("collection", "default"),
                "file_name": job.asked.get("file_name"),
                "state": "succeeded",
                "code_version": "test",
                "submitted_at": now,
                "finished_at": now + timedelta(seconds=0.25),
                **self._found(job),
            }
        )
        return JobView(job_id=job_id, state=JobState.SUCCEEDED, submitted_at=now, result=result)

    @staticmethod
    def _fault(job: Job) -> ErrorCode | None:
        assert job.photo is not None
        if b"not a photo" in job.photo:
            return ErrorCode.NOT_AN_IMAGE
        if b"two people" in job.photo and job.asked["kind"] == "enroll":
            return ErrorCode.SEVERAL_FACES
        return None

    def _found(self, job: Job) -> dict[str, object]:
        params = job.asked.get("params", {})
        if job.asked.get("kind") == "enroll":
            if not hasattr(job, "enrolment"):
                made = self._enrol(params.get("person_name"), params.get("person_id"))
                job.enrolment = made  # type: ignore[attr-defined]
            return {"enrolment": job.enrolment}  # type: ignore[attr-defined]
        if job.asked.get("kind") == "verify":
            seen = Verification(same_person=True, similarity=0.97, threshold=0.69)
            return {"verification": seen}
        match = {
            "person_id": self.id_of("Ann"),
            "name": "Ann",
            "similarity": 0.9731,
            "probability": 0.998,
            "face_id": "f1",
            "threshold": 0.6877,
        }
        return {
            "photo": {"width": 200, "height": 120, "format": "JPEG"},
            "faces": [face(10, 66, 58.3, match=match), face(120, 64, 41.0, req_id=new_id())],
        }

    def _delete_job(self, job_id: str, _: object) -> JobDeleted:
        self._view(job_id)
        del self.jobs[job_id]
        return JobDeleted(job_id=job_id, unmatched_faces=1)

    def _create_batch(self, asked: dict[str, Any]) -> BatchCreated:
        photos = asked.pop("photos")
        jobs = tuple(self._create_job({**asked, **photo}) for photo in photos)
        batch_id = new_id()
        self.batches[batch_id] = ([job.job_id for job in jobs], self.busy)
        return BatchCreated(batch_id=batch_id, jobs=jobs, poll_url=f"{API}/v1/batches/{batch_id}")

    def _batch(self, batch_id: str) -> BatchView:
        ids, busy = self.batches[batch_id]
        self.batches[batch_id] = (ids, busy - 1)
        states = {job_id: self._view(job_id).state for job_id in ids}
        if busy > 0:
            states = {
                job_id: JobState.QUEUED if state.final else state
                for job_id, state in states.items()
            }
        return BatchView(
            batch_id=batch_id,
            total=len(ids),
            counts={state: list(states.values()).count(state) for state in JobState},
            finished=all(state.final for state in states.values()),
            submitted_at=NOW,
            jobs=tuple(BatchJob(job_id=job_id, state=state) for job_id, state in states.items()),
        )

    def _enrol(self, name: str | None, person_id: str | None = None) -> Enrolment:
        face_id = new_id()
        if person_id is None:
            person = Person(person_id=new_id(), name=name or "?", faces=1, created_at=NOW)
        else:
            known = self.people[person_id]
            person = known.model_copy(update={"faces": known.faces + 1})
        self.people[person.person_id] = person
        self.faces[face_id] = person.person_id
        return Enrolment(person_id=person.person_id, face_id=face_id, name=person.name)

    def _create_person(self, asked: dict[str, Any]) -> BaseModel:
        made = self._enrol(asked.get("name") or "?")
        if "req_id" in asked:
            return made
        who = self.people[made.person_id].model_copy(update={"faces": 0})
        self.people[made.person_id] = who
        return who

    def _list_people(self, asked: dict[str, Any]) -> PersonPage:
        """Answer two people a page."""
        wanted = asked.get("query", "").lower()
        people = sorted(self.people.values(), key=lambda each: each.name)
        found = [each for each in people if wanted in each.name.lower()]
        start = int(asked.get("cursor", "0"))
        more = start + 2 < len(found)
        return PersonPage(
            people=tuple(found[start : start + 2]), next_cursor=str(start + 2) if more else None
        )

    def _update(self, who: str, asked: dict[str, Any]) -> Person:
        asked.pop("collection", None)
        self.people[who] = Person.model_validate({**self.people[who].model_dump(), **asked})
        return self.people[who]

    def _delete_person(self, who: str, _: object) -> PersonDeleted:
        return PersonDeleted(person_id=who, faces=self.people.pop(who).faces)

    def _merge(self, keep: str, asked: dict[str, Any]) -> Person:
        faces = self.people[keep].faces + self.people.pop(asked["merge"]).faces
        self.people[keep] = self.people[keep].model_copy(update={"faces": faces})
        return self.people[keep]

    def _list_faces(self, who: str, _: object) -> FaceList:
        if who not in self.people:
            raise FacesError(ErrorCode.UNKNOWN_PERSON)
        return FaceList(
            faces=tuple(
                StoredFace(face_id=face_id, model_tag="facenet-vggface2/v1", created_at=NOW)
                for face_id, owner in self.faces.items()
                if owner == who
            )
        )

    def _places(self) -> tuple[Collection, ...]:
        return tuple(self.collections.values())

    def _create_collection(self, asked: dict[str, Any]) -> Collection:
        if asked["collection"] in self.collections:
            raise FacesError(ErrorCode.COLLECTION_EXISTS)
        made = Collection.model_validate({**asked, "people": 0, "faces": 0, "created_at": NOW})
        self.collections[made.collection] = made
        return made

    def _place(self, name: str) -> Collection:
        if name not in self.collections:
            raise FacesError(ErrorCode.UNKNOWN_COLLECTION)
        return self.collections[name]

    def _change_collection(self, name: str, settings: dict[str, Any]) -> Collection:
        changed = Collection.model_validate(
            {**self._place(name).model_dump(), "settings": settings}
        )
        self.collections[name] = changed
        return changed

    def _delete_collection(self, name: str, _: object) -> CollectionDeleted:
        gone = self._place(name)
        del self.collections[name]
        return CollectionDeleted(
            collection=name, people=gone.people, faces=gone.faces, unmatched_faces=0, photos=0
        )

    def _export(self, _name: str, _: object) -> ExportPage:
        return ExportPage(
            people=tuple(
                PersonRecord(person_id=each.person_id, name=each.name)
                for each in self.people.values()
            )
        )

    @staticmethod
    def _import(_name: str, asked: dict[str, Any]) -> Imported:
        return Imported(people=len(asked["people"]), faces=0)

    def _create_key(self, asked: dict[str, Any]) -> KeyCreated:
        asked["tenant"] = asked.get("tenant") or "default"
        made = KeyCreated.model_validate(
            {**asked, "key_id": "k2", "prefix": "fk_x", "created_at": NOW, "key": "fk_secret"}
        )
        self.keys[made.key_id] = KeyInfo.model_validate(made.model_dump())
        return made

    def _revoke(self, key_id: str, _: object) -> KeyInfo:
        if key_id not in self.keys:
            raise FacesError(ErrorCode.UNKNOWN_KEY)
        gone = self.keys[key_id].model_copy(update={"revoked_at": datetime.now(UTC)})
        self.keys[key_id] = gone
        return gone

    @staticmethod
    def _recent(asked: dict[str, Any]) -> RecentJobs:
        job = RecentJob(
            job_id=new_id(),
            state=JobState.SUCCEEDED,
            submitted_at=NOW,
            finished_at=NOW + timedelta(seconds=0.25),
            kind=JobKind.IDENTIFY,
            file_name="team.jpg",
            faces=2,
            known=1,
        )
        return RecentJobs(jobs=(job,) * min(2, int(asked["limit"])), complete=True)

    def _redrive(self, job_id: str, _: object) -> DeadLetter:
        for number, letter in enumerate(self.letters):
            if letter.job_id == job_id:
                self.letters[number] = letter.model_copy(update={"redriven_at": NOW})
                return self.letters[number]
        raise FacesError(ErrorCode.UNKNOWN_JOB)

    @staticmethod
    def _audit(_: object) -> AuditPage:
        entry = AuditEntry(
            entry_id=new_id(), recorded_at=NOW, key_id="root", action="person.delete", target="p1"
        )
        return AuditPage(entries=(entry,))
