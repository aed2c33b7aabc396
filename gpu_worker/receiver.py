"""Long polls of the req-queue, several at once, each in its thread."""

import logging
import threading
from collections.abc import Callable

from faces.contracts.errors import TransientError
from gpu_worker.breaker import Breaker
from gpu_worker.hands import Hands
from gpu_worker.logs import log_scope
from gpu_worker.protocol import Task
from gpu_worker.queue import JobQueue, MalformedMessageError, Received

log = logging.getLogger(__name__)


class Receiver:
    """Takes messages from the queue as long as there is room for them.

    Parameters
    ----------
    submit : puts a task before the pipeline; may wait.
    breaker : of the queue.
    batch : messages of one receive.
    poll_seconds : the longest wait of one receive.
    """

    def __init__(
        self,
        queue: JobQueue,
        hands: Hands,
        submit: Callable[[Task], None],
        breaker: Breaker,
        batch: int,
        poll_seconds: int,
    ) -> None:
        self._queue = queue
        self._hands = hands
        self._submit = submit
        self._breaker = breaker
        self._batch = batch
        self._poll_seconds = poll_seconds

    def run(self, stop: threading.Event) -> None:
        """Receive until `stop` is set."""
        while not stop.is_set():
            try:
                self.receive_once()
            except Exception:
                log.exception("receiving failed unexpectedly")
                stop.wait(1)

    def receive_once(self) -> None:
        """Receive once, where there is room, and begin what came."""
        with self._hands.reserve(self._batch) as room:
            if room == 0 or not self._breaker.admit():
                return
            try:
                with self._breaker.watched():
                    messages = self._queue.receive(room, self._poll_seconds)
            except TransientError as error:
                log.warning("nothing was received: %s", error.detail)
                return
            self._hands.keep(messages)
        for message in sorted(messages, key=lambda each: (each.redelivered, each.receive_count)):
            self._begin(message)

    def _begin(self, message: Received) -> None:
        try:
            job = message.job()
        except MalformedMessageError as error:
            # Nobody waits for it; after the last delivery it is kept as a dead letter.
            log.error("malformed message %s: %s", message.message_id, error)
            self._hands.give_back([message], 0)
            return
        with log_scope(job_id=job.job_id, request_id=job.trace_id):
            log.debug("received", extra={"receive_count": message.receive_count})
            if not self._hands.begin(Task(message, job), self._submit):
                self._hands.give_back([message], 0)
