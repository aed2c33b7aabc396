"""What a user does, for Locust: `locust -f tests/load/users.py --headless ...`.

Opens a job, sends the photo by the form, and asks until the job has ended. `whole job` is
the time of all of it; who is answered 429 (`shed`) waits as long as it says, and asks
again. Settings: FACES_URL and FACES_API_KEY as from `.local/env`, LOAD_PHOTO, a file to
send, and LOAD_PATIENCE, the seconds after which a user gives a job up.
"""

import mimetypes
import os
import random
import time
from pathlib import Path
from typing import Any

from locust import HttpUser, constant, task

KEY = {"X-Api-Key": os.environ.get("FACES_API_KEY", "")}
FILE = Path(os.environ.get("LOAD_PHOTO", os.devnull))
PHOTO, KIND = FILE.read_bytes(), mimetypes.guess_type(FILE)[0]
PATIENCE = float(os.environ.get("LOAD_PATIENCE", "60"))


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
        self._count("whole job", began, error)

    def _job(self, began: float) -> None:
        asked = {"content_type": KIND, "params": {"cache": False}}
        job = self._ask(began, "POST", "/v1/jobs", json=asked).json()
        upload = job["upload"]
        # Bytes after the end of a photo make it another one.
        photo = PHOTO + random.randbytes(8)
        sent = self.client.post(
            upload["url"], data=upload["fields"], files={"file": (FILE.name, photo)}, name="upload"
        )
        assert sent.status_code == 204, f"upload answered {sent.status_code}"
        state = "queued"
        while state in ("queued", "awaiting_upload"):
            state = self._ask(began, "GET", f"/v1/jobs/{job['job_id']}?wait=10").json()["state"]
        assert state == "succeeded", f"the job ended as {state}"

    def _ask(self, began: float, method: str, path: str, **content: Any) -> Any:
        """Ask the API until it lets the request in."""
        while True:
            assert time.perf_counter() - began < PATIENCE, "not answered in time"
            asked = time.perf_counter()
            answer = self.client.request(method, path, headers=KEY, name="API", **content)
            if answer.status_code != 429:
                if method == "POST":
                    self._count("let in", asked)
                return answer
            self._count("shed", asked)
            time.sleep(float(answer.headers["Retry-After"]) * random.uniform(1, 2))

    def _count(self, name: str, began: float, error: Exception | None = None) -> None:
        self.environment.events.request.fire(
            request_type="JOB",
            name=name,
            response_time=(time.perf_counter() - began) * 1000,
            response_length=0,
            exception=error,
            context={},
        )
