"""Announce: tell the front end, then delete the messages. The last stage."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from faces import tracing
from faces.contracts.errors import TransientError
from gpu_worker.logs import log_scope
from gpu_worker.protocol import Task
from gpu_worker.publish import Announcer, done_message
from gpu_worker.queue import JobQueue, Received

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Announce:
    """Announces results, and deletes their messages.

    Attributes
    ----------
    drop : stops the heartbeat of messages, which must come before their deletion.
    """

    announcer: Announcer
    queue: JobQueue
    drop: Callable[[Sequence[Received]], None]

    def __call__(self, tasks: Sequence[Task]) -> None:
        """Announce each task once; delete only what was announced.

        Raises
        ------
        TransientError
            When not all could be announced.
        """
        open_tasks = [task for task in tasks if not task.announced]
        done = [done_message(task.result, task.request) for task in open_tasks if task.result]
        if done:
            for task, taken in zip(open_tasks, self.announcer.announce(done), strict=True):
                task.announced = taken
        if not all(task.announced for task in tasks):
            raise TransientError("not every result was announced")
        messages = [task.message for task in tasks]
        self.drop(messages)
        try:
            self.queue.delete(messages)
        except TransientError as error:
            log.warning("messages come again, harmlessly: %s", error.detail)
        for task in tasks:
            _log_end(task)


def _log_end(task: Task) -> None:
    result = task.result
    assert result is not None
    stages = {name: each / 1000 for name, each in result.timings_ms.items()}
    end = result.finished_at.timestamp()
    tracing.send(
        tracing.segment(
            task.job.job_id,
            "worker",
            end - sum(stages.values()),
            end,
            stages=stages,
            annotations={"state": result.state, "worker_id": result.worker_id or ""},
        )
    )
    with log_scope(job_id=task.job.job_id, request_id=task.job.trace_id):
        log.info(
            "job ended",
            extra={
                "kind": result.kind,
                "state": result.state,
                "error_code": result.error.code if result.error else None,
                "faces": len(result.faces),
                "receives": task.message.receive_count,
                "timings_ms": result.timings_ms,
            },
        )
