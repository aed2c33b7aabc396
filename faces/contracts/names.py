"""The names of everything that a stack owns, from the stack's own name.

Several stacks live side by side in one account because every name starts with it.
"""

import re
from dataclasses import dataclass

WORKER_NAME_PREFIX = "app-tier-instance-"
TAG_STACK = "faces:stack"
TAG_ROLE = "faces:role"
ROLE_WORKER = "worker"
# Marks on an instance. The value of the first four is the Unix second at which the mark
# expires: an expired mark counts as none, for whoever reads it.
TAG_DRAIN = "faces:drain"  # by the scaler: receive no more, finish, then set TAG_DRAINED
TAG_KEEP = "faces:keep"  # by the scaler: do not end yourself for being idle
TAG_HOLD = "faces:hold"  # by a person: the scaler must not drain or end this instance
TAG_ORPHAN = "faces:orphan"  # by the scaler: looked dead once; ended if it still does
TAG_READY = "faces:ready"  # by the worker, once it can receive; value: the Unix second
TAG_DRAINED = "faces:drained"  # by the worker, when nothing is in its hands; same value
TAG_LAUNCH = "faces:launch"  # the client token of the launch

UPLOAD_PREFIX = "uploads/"
RESULT_PREFIX = "results/"
DEAD_LETTER_PREFIX = "dead-letters/"
BATCH_PREFIX = "batches/"
ATTEMPT_PREFIX = "attempts/"

METRICS_NAMESPACE = "ElasticFaces"
METRICS_DIMENSION = "Stack"

REQ_MESSAGE_MAX_BYTES = 1024

PLACE_NAME = "[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"
"""Names of tenants and collections, as a regular expression for the whole name."""

_STACK = re.compile(r"[a-z][a-z0-9-]{1,30}[a-z0-9]")


def check_stack_name(name: str) -> str:
    """Return `name` if it can stand at the start of a bucket name, else raise ValueError.

    Bucket names are the strictest that a stack makes: lower-case letters, digits and
    hyphens, at most 63 characters with the suffix (S3 user guide, "Bucket naming rules").
    """
    if not _STACK.fullmatch(name):
        raise ValueError(
            "must be 3 to 32 lower-case letters, digits and hyphens, starting with a letter"
        )
    return name


@dataclass(frozen=True)
class StackNames:
    """Names of one stack's resources."""

    stack: str

    def __post_init__(self) -> None:
        check_stack_name(self.stack)

    @property
    def in_bucket(self) -> str:
        return f"{self.stack}-in-bucket"

    @property
    def out_bucket(self) -> str:
        return f"{self.stack}-out-bucket"

    @property
    def uploads_queue(self) -> str:
        return f"{self.stack}-uploads-queue"

    @property
    def uploads_dlq(self) -> str:
        return f"{self.stack}-uploads-dlq"

    @property
    def req_queue(self) -> str:
        return f"{self.stack}-req-queue"

    @property
    def req_dlq(self) -> str:
        return f"{self.stack}-req-dlq"

    @property
    def resp_queue(self) -> str:
        return f"{self.stack}-resp-queue"

    @property
    def resp_dlq(self) -> str:
        return f"{self.stack}-resp-dlq"

    @property
    def webhooks_queue(self) -> str:
        return f"{self.stack}-webhooks-queue"

    @property
    def webhooks_dlq(self) -> str:
        return f"{self.stack}-webhooks-dlq"

    @property
    def launch_template(self) -> str:
        return f"{self.stack}-worker"

    @property
    def infra_stack(self) -> str:
        """The CloudFormation stack's name."""
        return f"{self.stack}-infra"

    def worker_tags(self, name: str) -> dict[str, str]:
        """Tags that every worker instance carries."""
        return {"Name": name, TAG_STACK: self.stack, TAG_ROLE: ROLE_WORKER}


def upload_key(job_id: str) -> str:
    """Key of a job's photo in the in-bucket."""
    return f"{UPLOAD_PREFIX}{job_id}"


def result_key(job_id: str) -> str:
    """Key of a job's result in the out-bucket."""
    return f"{RESULT_PREFIX}{job_id}.json"


def batch_key(batch_id: str) -> str:
    """Key of a batch's list of jobs in the out-bucket."""
    return f"{BATCH_PREFIX}{batch_id}.json"


def dead_letter_key(job_id: str) -> str:
    """Key under which a job's dead letter is kept in the out-bucket."""
    return f"{DEAD_LETTER_PREFIX}{job_id}.json"


def attempts_prefix(job_id: str) -> str:
    """Key in the out-bucket below which the attempts of a job are recorded."""
    return f"{ATTEMPT_PREFIX}{job_id}/"


def attempt_key(job_id: str, delivery: str) -> str:
    """Key of the record, in the out-bucket, that work on a suspect was begun.

    Parameters
    ----------
    delivery : another one for each delivery of the job's messages.
    """
    return f"{attempts_prefix(job_id)}{delivery}"
