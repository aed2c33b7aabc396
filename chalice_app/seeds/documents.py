"""What the followed projects' clients send and are answered."""

from datetime import date, datetime
from typing import Any, Literal

from pydantic import Field

from chalice_app.forms import Upload
from faces.contracts.base import Document, StoredDocument
from faces.contracts.errors import CATALOGUE, ErrorCode, FacesError, Problem

_PASSED_ON = {404, 409, 500, 503, 504}


class PhotoForm(Document):
    """A form with a photo; the part needs no Content-Type."""

    inputFile: Upload  # noqa: N815 - the name of the part


class ImageForm(Document):
    """A form with a photo."""

    image: Upload


class WaitQuery(Document):
    """Whether the answer is waited for; with `wait=0` the job's address is answered."""

    wait: int = Field(default=24, ge=0, le=24)


class JobAccepted(StoredDocument):
    """Where the answer can be asked for, with a key of the tenant."""

    job_id: str
    poll_url: str


class UserInfo(StoredDocument):
    """A person who was recognised; `email` is empty where none is known."""

    id: str
    name: str
    email: str = ""


class Recognised(StoredDocument):
    """Who is in a photo, or that nobody known is, with an id to add the person by."""

    status: Literal["success", "failure"]
    message: Literal["Match found", "no_match"]
    user_info: UserInfo | None = None
    req_id: str | None = None
    expiresAt: datetime | None = None  # noqa: N815
    metadata: dict[str, Any]


class NewUser(Document):
    """A person to be made of the unknown face of an earlier answer.

    Attributes
    ----------
    force : store the face though a check advises against it.
    """

    name: str = Field(min_length=1, max_length=200)
    birthdate: date
    email: str | None = Field(default=None, max_length=254)
    req_id: str = Field(min_length=1, max_length=36)
    force: bool = False


class UserAdded(StoredDocument):
    """The person who was made."""

    status: Literal["success"] = "success"
    message: Literal["User added successfully"] = "User added successfully"
    user_id: str


class SeedError(StoredDocument):
    """An error; `requestId` finds the log lines."""

    status: Literal["error"] = "error"
    error_code: ErrorCode
    message: str
    requestId: str  # noqa: N815


class _Statuses:
    """400 for whatever is wrong with the request, else a few statuses of the catalogue."""

    def status(self, code: ErrorCode) -> int:
        """Return the status that a code is answered with."""
        status = CATALOGUE[code].status
        return status if status in _PASSED_ON else 400


class SeedRefusal(_Statuses):
    """Errors of `/api/v1`."""

    model = SeedError
    media_type = "application/json"

    def body(self, error: FacesError, request_id: str) -> SeedError:
        """Return the answer's body."""
        return SeedError(error_code=error.code, message=error.detail, requestId=request_id)


class ProblemRefusal(_Statuses):
    """Errors of `POST /`: problem documents."""

    model = Problem
    media_type = "application/problem+json"

    def body(self, error: FacesError, request_id: str) -> Problem:
        """Return the answer's body."""
        problem = error.problem(request_id)
        return problem.model_copy(update={"status": self.status(error.code)})
