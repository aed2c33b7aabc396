"""What a user does, for Locust: `locust -f tests/load/users.py --headless ...`.

Opens a job, sends the photo by the form, and asks until the job has ended. `whole job` is
the time of all of it. Settings: FACES_URL and FACES_API_KEY as from `.local/env`, and
LOAD_PHOTO, a file to send.
"""

import os
import random
import time
from pathlib import Path

from locust import HttpUser, constant, task

KEY = {"X-Api-Key": os.environ.get("FACES_API_KEY", "")}
PHOTO = Path(os.environ["LOAD_PHOTO"]).read_bytes() if "LOAD_PHOTO" in os.environ else b""
SECONDS = 60.0


class Person(HttpUser):
    """Sends one photo after the other."""

    host = os.environ.get("FACES_URL", "http://127.0.0.1:8000")
    wait_time = constant(0)

    @task
    def recognise(self) -> None:
        began = time.perf_counter()
        error: Exception | None = None
        try:
            self._job(began)
        except (AssertionError, KeyError, ValueError) as failed:
            error = failed
        self.environment.events.request.fire(
            request_type="JOB",
            name="whole job",
            response_time=(time.perf_counter() - began) * 1000,
            response_length=0,
            exception=error,
            context={},
        )

    def _job(self, began: float) -> None:
        opened = self.client.post("/v1/jobs", json={"params": {"cache": False}}, headers=KEY)
        job = opened.json()
        upload = job["upload"]
        # Bytes after the end of a JPEG make each photo another one.
        photo = PHOTO + random.randbytes(8)
        sent = self.client.post(
            upload["url"], data=upload["fields"], files={"file": ("a.jpg", photo)}, name="upload"
        )
        assert sent.status_code == 204, f"upload answered {sent.status_code}"
        state = "queued"
        while state in ("queued", "awaiting_upload"):
            assert time.perf_counter() - began < SECONDS, "not answered in time"
            answer = self.client.get(
                f"/v1/jobs/{job['job_id']}?wait=10", headers=KEY, name="/v1/jobs/{job_id}"
            )
            state = answer.json()["state"]
        assert state == "succeeded", f"the job ended as {state}"
