"""The whole system on one computer, as one object: `with LocalStack(...) as stack:`."""

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx
import psycopg
from botocore.exceptions import BotoCoreError, ClientError

from faces.gallery.database import connect
from faces.gallery.migrations import MigrationError, migrate
from local_stack.credentials import WorkerCredentials
from local_stack.deploy import deploy_app, deploy_infra
from local_stack.ec2 import ec2_client, ec2_service
from local_stack.emulator import (
    ROOT_CREDENTIALS,
    emulator_service,
    root_session,
    worker_credentials,
)
from local_stack.front_door import FrontDoorSettings, front_door_service
from local_stack.instances import InstanceRunner
from local_stack.postgres import PostgresService
from local_stack.progress import Progress, silent, step
from local_stack.service import ChildProcess, LocalStackError
from local_stack.settings import ROOT, LocalSettings, Secrets, api_key_sha256, write_private
from local_stack.signals import deferred_signals
from local_stack.supervisor import Part, Supervisor
from local_stack.valkey import ValkeyService

# The Chalice stage, and the function that it names `<stack>-<stage>-<function>`.
STAGE = "local"
SCALER_FUNCTION = "scale"
# One of the images that the EC2 emulator knows; nothing is ever read from it.
WORKER_IMAGE = "ami-12c6146b"


@dataclass(frozen=True)
class PartReport:
    """One line of `status`."""

    name: str
    state: str
    pid: int | None
    port: int | None = None
    restarts: int = 0


class LocalStack:
    """Starts every part, in order, and stops them in reverse order.

    Parameters
    ----------
    settings : ports, folders and what is handed on; see `LocalSettings`.
    progress : is told each step.
    """

    def __init__(self, settings: LocalSettings, progress: Progress = silent) -> None:
        self.settings = settings
        self._progress = progress
        self._supervisor = Supervisor(progress)
        self._runner: InstanceRunner | None = None
        self._front: Part | None = None
        self._stopping = False
        self._secrets = Secrets.load_or_make(settings.state_dir)
        self._postgres = PostgresService(
            settings.postgres_port,
            settings.state_dir / "postgres",
            self._log("postgres"),
            self._secrets.database_password,
        )
        self._aws = (
            emulator_service(
                settings.emulator_port,
                settings.ec2_endpoint_url,
                settings.state_dir,
                self._log("emulator"),
            ),
            ec2_service(settings.ec2_port, self._log("ec2")),
        )
        self._credentials = WorkerCredentials(
            settings.state_dir, lambda: worker_credentials(settings.endpoint_url, settings.stack)
        )
        self._valkey = ValkeyService(
            settings.valkey_port, settings.state_dir / "valkey", self._log("valkey")
        )

    @property
    def url(self) -> str:
        """Address of the web page and the API."""
        return self.settings.url

    @property
    def api_key(self) -> str:
        """The key that clients send."""
        return self.settings.api_key or self._secrets.api_key

    @property
    def database_url(self) -> str:
        """The gallery's database, embedded or given."""
        return self.settings.database_url if self._external_database else self._postgres.url

    @property
    def _external_database(self) -> bool:
        # A shell that sourced `.local/env` names the embedded database itself.
        return self.settings.database_url not in ("", self._postgres.url)

    def client_environment(self) -> dict[str, str]:
        """Return what a client, a test or the AWS command line needs to talk to this stack."""
        return {
            "FACES_URL": self.url,
            "FACES_API_KEY": self.api_key,
            "FACES_STACK": self.settings.stack,
            "AWS_ENDPOINT_URL": self.settings.endpoint_url,
            "AWS_ENDPOINT_URL_EC2": self.settings.ec2_endpoint_url,
            **ROOT_CREDENTIALS,
            "AWS_REGION": self.settings.region,
            "AWS_DEFAULT_REGION": self.settings.region,
            "DATABASE_URL": self.database_url,
            "CACHE_URL": self._valkey.url,
        }

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything; when a part fails, or on a signal, stop what was started.

        Raises
        ------
        LocalStackError
            Saying which part did not start, and what to do.
        """
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything in reverse order; harmless when called again.

        A second Ctrl-C does not cut it short: nothing may be left running.
        """
        with deferred_signals():
            self._stopping = True
            self._stop()

    def _stop(self) -> None:
        with step(self._progress, "stopping the workers"):
            self._stop_workers()
        with step(self._progress, "stopping the services"):
            self._supervisor.stop()
        self._stop_workers()  # those that a revival may have started meanwhile
        (self.settings.state_dir / "env").unlink(missing_ok=True)

    def parts(self) -> list[PartReport]:
        """Return where every part and every worker stands."""
        reports = [
            PartReport(part.service.name, part.state, part.pid, part.port, part.restarts)
            for part in self._supervisor.parts()
        ]
        workers = self._runner.workers() if self._runner else []
        return reports + [PartReport(f"worker {id_}", phase, pid) for id_, phase, pid in workers]

    def _start(self) -> None:
        settings = self.settings
        settings.require_free_ports()
        settings.log_dir.mkdir(parents=True, exist_ok=True)
        self._supervisor.together(
            self._start_emulator, self._start_ec2, self._start_database, self._start_cache
        )
        api = self.deploy()
        self._scale_now()
        self._start_workers()
        self._front = Part(self._front_door(api), settings.front_door_port)
        self._supervisor.start(self._front)
        with step(self._progress, "first answer of the API"):
            self._require_answer()
        self._supervisor.watch(self._credentials.renew)
        write_private(
            settings.state_dir / "env",
            "".join(
                f"export {name}={shlex.quote(value)}\n"
                for name, value in self.client_environment().items()
            ),
        )

    def _revive_aws(self) -> None:
        """Make the emulated AWS anew around what is left of it: photos, results, gallery.

        A dead emulator took queues, functions and roles with it, and the workers' sessions.
        The deployment puts every photo without a result on its way again.
        """
        assert self._front is not None
        # To an emulator that is not deployed to yet it would pass requests on in vain.
        self._front.service.stop()
        self._stop_workers(at_once=True)
        for service in self._aws:
            service.stop()
        try:
            for service in self._aws:
                service.start()
            api = self.deploy()
            self._credentials.renew(at_once=True)
            self._scale_now()
        except BaseException:
            # Dead again, so that all of it is tried again.
            for service in self._aws:
                service.stop()
            raise
        self._front.service = self._front_door(api)
        self._front.service.start()
        if not self._stopping:
            self._start_workers()

    def _stop_workers(self, *, at_once: bool = False) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.stop(at_once=at_once)

    def deploy(self) -> str:
        """Deploy infrastructure and app, also while both are in use; return the API's address."""
        settings = self.settings
        with step(self._progress, "buckets, queues and roles"):
            deploy_infra(
                endpoint_url=settings.endpoint_url,
                ec2_endpoint_url=settings.ec2_endpoint_url,
                stack=settings.stack,
                parameters={"WorkerImageId": WORKER_IMAGE},
            )
        with step(self._progress, "chalice deploy") as say:
            return deploy_app(
                endpoint_url=settings.endpoint_url,
                stack=settings.stack,
                stage=STAGE,
                state_dir=settings.state_dir,
                environment=self._lambda_environment(),
                say=say,
            )

    def _start_emulator(self) -> None:
        port = self.settings.emulator_port
        self._supervisor.start(Part(self._aws[0], port, self._revive_aws))

    def _start_ec2(self) -> None:
        self._supervisor.start(Part(self._aws[1], self.settings.ec2_port, self._revive_aws))

    def _start_database(self) -> None:
        if not self._external_database:
            self._supervisor.start(Part(self._postgres, self.settings.postgres_port))
        with step(self._progress, "gallery schema"):
            try:
                with connect(self.database_url) as connection:
                    migrate(connection)
            except (psycopg.Error, MigrationError) as error:
                which = "of DATABASE_URL" if self._external_database else "of the gallery"
                reason = " ".join(str(error).split())
                raise LocalStackError(f"The database {which} cannot be used: {reason}") from None

    def _start_cache(self) -> None:
        self._supervisor.start(Part(self._valkey, self.settings.valkey_port))

    def _scale_now(self) -> None:
        """Run the scaler's first minute at once; the schedule takes over after it."""
        functions = root_session(self.settings.region).client(
            "lambda", endpoint_url=self.settings.endpoint_url
        )
        name = f"{self.settings.stack}-{STAGE}-{SCALER_FUNCTION}"
        try:
            functions.invoke(FunctionName=name, InvocationType="Event")
        except (ClientError, BotoCoreError) as error:
            raise LocalStackError(f"The scaler cannot be invoked: {error}") from None

    def _start_workers(self) -> None:
        settings = self.settings
        self._credentials.renew()
        self._runner = InstanceRunner(
            ec2_client(settings.ec2_endpoint_url, settings.region),
            settings.stack,
            self._worker,
            boot_seconds=settings.boot_seconds,
        )
        self._runner.start()

    def _worker(self, instance_id: str) -> ChildProcess:
        settings = self.settings
        kept = ("PATH", "HOME", "LANG", "USER", "LD_LIBRARY_PATH")
        threads = max(1, (os.cpu_count() or 1) // max(1, settings.scaler.max_instances))
        return ChildProcess(
            name=f"worker {instance_id}",
            argv=[sys.executable, "-m", "gpu_worker"],
            env={
                **{name: os.environ[name] for name in kept if name in os.environ},
                "PYTHONPATH": str(ROOT),
                "PYTHONUNBUFFERED": "1",
                # Many workers share few cores.
                "WORKER_THREADS": str(threads),
                **settings.handed_on,
                **self._credentials.environment(),
                "AWS_REGION": settings.region,
                "AWS_DEFAULT_REGION": settings.region,
                "AWS_ENDPOINT_URL": settings.endpoint_url,
                "AWS_ENDPOINT_URL_EC2": settings.ec2_endpoint_url,
                "DATABASE_URL": self.database_url,
                "CACHE_URL": self._valkey.url,
                "WORKER_ID": instance_id,
            },
            cwd=ROOT,
            log=self._log(f"worker-{instance_id}"),
        )

    def _lambda_environment(self) -> dict[str, str]:
        """Return the Lambdas' variables; what only workers read stays out."""
        handed_on = {
            name: value
            for name, value in self.settings.handed_on.items()
            if name.startswith(("FACES_", "SCALER_"))
        }
        return {
            **handed_on,
            "DATABASE_URL": self.database_url,
            "CACHE_URL": self._valkey.url,
            "FACES_API_KEY_SHA256": api_key_sha256(self.api_key),
            "FACES_ID_SECRET": self._secrets.id_secret,
        }

    def _front_door(self, api: str) -> ChildProcess:
        settings = FrontDoorSettings(
            FRONT_DOOR_PORT=self.settings.front_door_port,
            FRONT_DOOR_UPSTREAM=api,
            FRONT_DOOR_CONCURRENCY=self.settings.front_door_concurrency,
            FRONT_DOOR_QUEUE=self.settings.front_door_queue,
        )
        return front_door_service(settings, self._log("front-door"))

    def _require_answer(self) -> None:
        """Ask the API for its health, which also starts its first process."""
        try:
            answer = httpx.get(f"{self.url}/health", timeout=60, trust_env=False)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise LocalStackError(
                f"The API does not work: {error}; see {self._log('emulator')}."
            ) from None

    def _log(self, name: str) -> Path:
        return self.settings.log_dir / f"{name}.log"
