"""Dead letters as an operator sees them: listed, and put on their way again.

A redrive deletes the failed answer first, since results are written once, forgets how often
workers began the job, and then sends the message; from now on the photo is worked on alone.
What fails in between is mended by asking again: the letter stays.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from chalice_app.attempts import Attempts
from chalice_app.aws import Objects, Queues
from chalice_app.intake import job_message
from chalice_app.jobs import id_secret
from chalice_app.observability import logger
from chalice_app.results import Results
from faces import tracing
from faces.contracts.dead_letters import DeadLetter, DeadLetterPage
from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.ids import check_job_id
from faces.contracts.names import DEAD_LETTER_PREFIX, dead_letter_key, upload_key
from faces.contracts.settings import ApiSettings

_NO_LETTER = "No dead letter is kept of this job."
_NO_PHOTO = "The photo of this job is no longer kept; it must be sent again."


@dataclass(frozen=True)
class Redrive:
    """The dead letters of one tenant.

    Attributes
    ----------
    sees_all : whether letters that speak of no job are seen, which are nobody's.
    clock : returns the present time (aware).
    """

    settings: ApiSettings
    objects: Objects
    queues: Queues
    results: Results
    clock: Callable[[], datetime]
    tenant: str
    sees_all: bool

    def page(self, cursor: str | None, limit: int) -> DeadLetterPage:
        """Return up to `limit` letters after the cursor."""
        names: list[str] = []
        for name in self._names(cursor or ""):
            if len(names) == limit:
                return DeadLetterPage(letters=self._read(names), next_cursor=names[-1])
            names.append(name)
        return DeadLetterPage(letters=self._read(names))

    def redrive(self, text: str) -> DeadLetter:
        """Have a job that was given up worked on once more.

        Raises
        ------
        FacesError
            `unknown_job` when no letter of this tenant's, or no photo, is kept;
            `job_answered` when the job has an answer that is no giving up.
        TransientError
            When S3 or SQS did not answer; asking again does no harm.
        """
        start = time.time()
        job_id = check_job_id(text, id_secret(self.settings), self.tenant)
        letter = self._letter(job_id)
        if letter is None:
            raise FacesError(ErrorCode.UNKNOWN_JOB, _NO_LETTER)
        photo = self.objects.head(self.settings.names.in_bucket, upload_key(job_id))
        if photo is None:
            raise FacesError(ErrorCode.UNKNOWN_JOB, _NO_PHOTO)
        self.results.reopen(job_id)
        Attempts(self.objects, self.settings.names).clear(job_id)
        # To the workers also where the upload's own message was given up: what intake
        # looks at first they look at again.
        message = job_message(job_id, upload_key(job_id), photo.size, rounds=1)
        self.queues.send(self.settings.names.req_queue, message)
        redriven = letter.model_copy(update={"redriven_at": self.clock()})
        self.objects.put(
            self.settings.names.out_bucket,
            dead_letter_key(job_id),
            redriven.model_dump_json().encode(),
        )
        logger.info("dead letter redriven", job_id=job_id)
        tracing.send(tracing.segment(job_id, "redrive", start, time.time()))
        return redriven

    def _names(self, after: str) -> Iterator[str]:
        """Yield the names of this tenant's letters."""
        start = f"{DEAD_LETTER_PREFIX}{after}.json" if after else ""
        listed = self.objects.listing(
            self.settings.names.out_bucket, DEAD_LETTER_PREFIX, after=start
        )
        for each in listed:
            name = each.key.removeprefix(DEAD_LETTER_PREFIX).removesuffix(".json")
            try:
                check_job_id(name, id_secret(self.settings), self.tenant)
            except FacesError:
                if not (self.sees_all and name.startswith("message-")):
                    continue
            yield name

    def _read(self, names: list[str]) -> tuple[DeadLetter, ...]:
        letters = (self._letter(name) for name in names)
        return tuple(letter for letter in letters if letter is not None)

    def _letter(self, name: str) -> DeadLetter | None:
        body = self.objects.read(self.settings.names.out_bucket, dead_letter_key(name))
        return None if body is None else DeadLetter.model_validate_json(body)
