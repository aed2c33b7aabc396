"""A service in memory that answers the client by the contract, and misbehaves on demand."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx

from faces.contracts.batches import BatchCreated, BatchJob, BatchView
from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.ids import new_id
from faces.contracts.jobs import JobCreated, JobState, JobView, UploadForm
from faces.contracts.people import Person, PersonDeleted, PersonPage
from faces.contracts.results import Enrolment, JobResult

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
API = "http://faces.test"
S3 = "http://s3.test/in-bucket"
Handler = Callable[[httpx.Request], httpx.Response]


class FakeService:
    """Answers by route; `faults` are answered (or raised) first, one a request.

    Attributes
    ----------
    requests : everything that was received, in order.
    views : what successive polls answer; the last one is repeated.
    batch : the states of a batch's jobs in successive polls; the last ones are repeated.
    """

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.faults: list[httpx.Response | httpx.TransportError] = []
        self.job_id = new_id()
        self.views = [self.view(JobState.QUEUED), self.view(JobState.SUCCEEDED, faces=True)]
        self.batch = [[JobState.QUEUED] * 2, [JobState.SUCCEEDED] * 2]
        self.people = [
            Person(person_id=new_id(), name=name, faces=1, created_at=NOW)
            for name in ("Ann", "Bob", "Zoë")
        ]
        self.s3_answer = httpx.Response(204)

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def view(self, state: JobState, *, faces: bool = False) -> JobView:
        result = None
        if faces:
            result = JobResult(
                job_id=self.job_id,
                kind="identify",
                tenant="default",
                collection="default",
                state="succeeded",
                code_version="test",
                submitted_at=NOW,
                finished_at=NOW,
            )
        return JobView(job_id=self.job_id, state=state, submitted_at=NOW, result=result)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        if self.faults:
            fault = self.faults.pop(0)
            if isinstance(fault, httpx.Response):
                return fault
            raise fault
        route = (request.method, request.url.path)
        if request.url.host == "s3.test":
            return self.s3_answer
        if route == ("POST", "/v1/jobs"):
            return self._created()
        if route == ("GET", f"/v1/jobs/{self.job_id}"):
            view = self.views.pop(0) if len(self.views) > 1 else self.views[0]
            return httpx.Response(200, text=view.model_dump_json())
        if route == ("POST", "/v1/batches"):
            jobs = tuple(self._job() for _ in json.loads(request.content)["photos"])
            created = BatchCreated(batch_id="b", jobs=jobs, poll_url=f"{API}/v1/batches/b")
            return httpx.Response(201, text=created.model_dump_json())
        if route == ("GET", "/v1/batches/b"):
            states = self.batch.pop(0) if len(self.batch) > 1 else self.batch[0]
            return httpx.Response(200, text=self._batch_view(states).model_dump_json())
        if route == ("POST", "/v1/people"):
            name = json.loads(request.content)["name"]
            enrolment = Enrolment(person_id=new_id(), face_id=new_id(), name=name)
            return httpx.Response(201, text=enrolment.model_dump_json())
        if route == ("GET", "/v1/people"):
            return self._page(request)
        if route == ("DELETE", f"/v1/people/{self.people[0].person_id}"):
            deleted = PersonDeleted(person_id=self.people.pop(0).person_id, faces=1)
            return httpx.Response(200, text=deleted.model_dump_json())
        if request.url.path.startswith("/v1/people/"):
            return self._person(request)
        if route == ("GET", "/health"):
            return httpx.Response(200, json={"status": "ok"})
        return problem(ErrorCode.UNKNOWN_ROUTE)

    def _page(self, request: httpx.Request) -> httpx.Response:
        """Answer one person a page."""
        start = int(request.url.params.get("cursor", "0"))
        more = start + 1 < len(self.people)
        page = PersonPage(
            people=tuple(self.people[start : start + 1]),
            next_cursor=str(start + 1) if more else None,
        )
        return httpx.Response(200, text=page.model_dump_json())

    def _person(self, request: httpx.Request) -> httpx.Response:
        for person in self.people:
            if request.url.path.endswith(person.person_id):
                return httpx.Response(200, text=person.model_dump_json())
        return problem(ErrorCode.UNKNOWN_PERSON)

    @staticmethod
    def _batch_view(states: list[JobState]) -> BatchView:
        return BatchView(
            batch_id="b",
            total=len(states),
            counts={state: states.count(state) for state in JobState},
            finished=all(state.final for state in states),
            submitted_at=NOW,
            jobs=tuple(BatchJob(job_id=new_id(), state=state) for state in states),
        )

    def _created(self) -> httpx.Response:
        return httpx.Response(201, text=self._job().model_dump_json())

    def _job(self) -> JobCreated:
        form = UploadForm(
            url=S3,
            fields={"key": f"uploads/{self.job_id}", "policy": "p"},
            max_bytes=1024,
            expires_at=NOW + timedelta(minutes=15),
        )
        return JobCreated(job_id=self.job_id, upload=form, poll_url=f"{API}/v1/jobs/{self.job_id}")


def problem(code: ErrorCode, **headers: str) -> httpx.Response:
    """Return the answer that the service gives for `code`."""
    document = FacesError(code).problem("req-1")
    return httpx.Response(
        document.status,
        text=document.model_dump_json(),
        headers={"Content-Type": "application/problem+json", **headers},
    )
