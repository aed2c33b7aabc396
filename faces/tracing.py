"""One trace for each job, from the request to the callback, found by the job's id alone.

A client's upload, S3 and two queues lie between the parts, and none of them carries a trace
id along. So nobody hands one on: it follows from the job id, and every part says under it
when it worked and for how long. Segments go to the X-Ray daemon, as Lambda and the
CloudWatch agent on an instance bring it (X-Ray developer guide, "Segment documents",
"Sending trace data to X-Ray"); where there is none, nothing is sent.

    python -m faces.tracing 01a1fdb5-1254-7bec-9c4d-6cd9f55d53f5
"""

import hashlib
import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from faces.contracts.ids import id_time
from faces.contracts.names import METRICS_NAMESPACE

DAEMON_VARIABLE = "AWS_XRAY_DAEMON_ADDRESS"
_LAMBDA_TRACE = "_X_AMZN_TRACE_ID"
# Segments of more are dropped by the daemon ("Segment documents").
_MAX_BYTES = 64_000
_HEADER = b'{"format": "json", "version": 1}\n'
FIRST = "request"
"""The part that opens the job; the others hang below it."""

Send = Callable[[bytes], None]


def trace_id(job_id: str) -> str:
    """Return the trace id of a job: its second, then 24 hex digits of its hash."""
    seconds = int(id_time(job_id).timestamp())
    return f"1-{seconds:08x}-{_hash(job_id)[:24]}"


def segment(
    job_id: str,
    part: str,
    start: float,
    end: float,
    *,
    stages: Mapping[str, float] | None = None,
    failed: bool = False,
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return what a part did for a job.

    Parameters
    ----------
    part : `request`, `intake`, `worker`, `notify`, `webhook`, ...
    start, end : seconds since 1970.
    stages : seconds by stage, one after the other from `start`.
    annotations : to search by; nothing of the photo, no name of a person.
    """
    root = _hash(job_id, FIRST)[:16]
    document: dict[str, Any] = {
        "name": f"{METRICS_NAMESPACE}-{part}",
        "id": root if part == FIRST else secrets.token_hex(8),
        "trace_id": trace_id(job_id),
        "start_time": start,
        "end_time": max(start, end),
        "annotations": {"job_id": job_id, **(annotations or {})},
    }
    if part != FIRST:
        document["parent_id"] = root
    if failed:
        document["fault"] = True
    if stages:
        document["subsegments"] = list(_subsegments(stages, start))
    return document


def send(document: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> None:
    """Send a segment to the daemon, where there is one; never waits, never fails.

    In a Lambda it also names the trace that Lambda gave the invocation.
    """
    address = environ.get(DAEMON_VARIABLE, "")
    if not address:
        return
    # Also written as "tcp:127.0.0.1:2000 udp:127.0.0.2:2001".
    place = next((part for part in address.split() if not part.startswith("tcp:")), "")
    host, _, port = place.removeprefix("udp:").rpartition(":")
    lambdas_own = environ.get(_LAMBDA_TRACE, "").partition(";")[0].removeprefix("Root=")
    if lambdas_own:
        annotations = {**document.get("annotations", {}), "lambda_trace": lambdas_own}
        document = {**document, "annotations": annotations}
    packet = _HEADER + json.dumps(document).encode()
    if not host or not port.isdecimal() or len(packet) > _MAX_BYTES:
        return
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(packet, (host, int(port)))
    except OSError:
        return  # a trace is never worth a job


@contextmanager
def traced(
    job_id: str, part: str, clock: Callable[[], float] = time.time, **annotations: str
) -> Iterator[None]:
    """Send a segment about the `with` block at its end; a block that raises has failed."""
    start, failed = clock(), True
    try:
        yield
        failed = False
    finally:
        with suppress(ValueError):  # no job's id; a trace is never worth a job
            send(segment(job_id, part, start, clock(), failed=failed, annotations=annotations))


def _subsegments(stages: Mapping[str, float], start: float) -> Iterator[dict[str, Any]]:
    for name, seconds in stages.items():
        end = start + seconds
        yield {"name": name, "id": secrets.token_hex(8), "start_time": start, "end_time": end}
        start = end


def _hash(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()


def main(arguments: list[str]) -> None:
    """Print where everything about a job is found."""
    if len(arguments) != 1:
        sys.exit("usage: python -m faces.tracing JOB_ID")
    (job_id,) = arguments
    try:
        trace = trace_id(job_id)
    except ValueError as error:
        sys.exit(f"not a job id: {error}")
    sys.stdout.write(
        f"X-Ray trace       {trace}\n"
        f'X-Ray search      annotation.job_id = "{job_id}"\n'
        f'Logs Insights     filter job_id = "{job_id}" | sort @timestamp\n'
    )


if __name__ == "__main__":
    main(sys.argv[1:])
