"""Whether a photo that came to the dead letters had its turns.

SQS counts a receive for every photo that a dying worker held, also for those that merely
waited in its hands. Workers record which suspects they began (`gpu_worker.attempts`); a
photo that was hardly begun is put back on the queue instead of being given up.
"""

from dataclasses import dataclass

from chalice_app.attempts import Attempts
from chalice_app.aws import Objects, Queues
from chalice_app.intake import message_body
from chalice_app.observability import logger
from chalice_app.results import Results
from faces.contracts.jobs import JobMessage
from faces.contracts.names import StackNames, upload_key

ENOUGH_ATTEMPTS = 3
"""A photo on which workers died so often is at fault; twice may be chance.

The first delivery of a job is not recorded, so a photo that kills every worker has four of
its five receives on record, even where it waited during one of them still three.
"""

MOST_ROUNDS = 3
"""So often a message is put back; whoever waits in vain must hear of it at some time."""


def deserves_another_round(attempts: int, rounds: int, enough: int = ENOUGH_ATTEMPTS) -> bool:
    """Return whether a photo is to be tried again rather than given up.

    Parameters
    ----------
    attempts : how often a worker began it, as a suspect, and did not come to an end.
    rounds : how often it was put back before.
    enough : with so many attempts a photo is at fault.
    """
    return attempts < enough and rounds < MOST_ROUNDS


@dataclass(frozen=True)
class Rounds:
    """Puts those back that only waited in the hands of dying workers.

    Attributes
    ----------
    enough : with so many attempts a photo is at fault.
    """

    objects: Objects
    queues: Queues
    results: Results
    names: StackNames
    enough: int = ENOUGH_ATTEMPTS

    @property
    def attempts(self) -> Attempts:
        """What workers recorded."""
        return Attempts(self.objects, self.names)

    def another(self, body: str, job_id: str) -> bool:
        """Put the job back on the req-queue if it is to be tried again; return whether.

        It is sent before the dead letter is let go of: what fails in between sends it
        twice, and a job that has its answer is not answered again.

        Raises
        ------
        TransientError
            When S3 or SQS did not answer.
        """
        job = JobMessage.model_validate_json(body)
        attempts = self.attempts.count(job_id)
        if not deserves_another_round(attempts, job.rounds, self.enough):
            return False
        # A worker can do nothing for the others.
        if job.key != upload_key(job_id) or self.results.exists(job_id):
            return False
        if self.objects.head(self.names.in_bucket, job.key) is None:
            return False
        again = job.model_copy(update={"rounds": job.rounds + 1})
        self.queues.send(self.names.req_queue, message_body(again))
        logger.warning(
            "a photo that hardly had its turn is put back", attempts=attempts, rounds=again.rounds
        )
        return True
