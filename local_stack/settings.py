"""Settings of the local stack: what `make up` reads from its environment."""

import hashlib
import json
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from pydantic import Field

from faces.contracts.scaler_settings import ScalerSettings
from faces.contracts.settings import ApiSettings, StackSettings
from faces.contracts.worker_settings import WorkerSettings
from local_stack.service import LocalStackError, require_free_port

ROOT = Path(__file__).resolve().parent.parent
_PREFIXES = ("FACES_", "SCALER_", "WORKER_")
# Of these, what clients, tests and the installer read; no Lambda or worker gets it.
_KEPT_HERE = {"FACES_API_KEY", "FACES_URL", "FACES_TEST_DATA", "FACES_TORCH"}
# The first photo is answered at once; a worker that is told to end does so soon.
_LOCAL_DEFAULTS = {
    "SCALER_MIN_INSTANCES": "1",
    # Nobody but this computer can reach it.
    "FACES_SEED_SCOPE": "default/default",
    "WORKER_IDLE_SECONDS": "300",
    "WORKER_POLL_SECONDS": "2",
    # Nothing is written outside the project's folder.
    "WORKER_CACHE": str(ROOT / ".local" / "networks"),
}


def _port(default: int, alias: str, what: str) -> int:
    field: int = Field(
        default=default, ge=1, le=65_535, alias=alias, description=f"Port of the {what}"
    )
    return field


class LocalSettings(StackSettings):
    """The local stack's settings; everything binds to 127.0.0.1."""

    front_door_port: int = _port(8000, "FRONT_DOOR_PORT", "web page and API")
    emulator_port: int = _port(4566, "EMULATOR_PORT", "AWS emulator")
    ec2_port: int = _port(4567, "EC2_PORT", "EC2 emulator")
    postgres_port: int = _port(54320, "POSTGRES_PORT", "embedded PostgreSQL")
    valkey_port: int = _port(63790, "VALKEY_PORT", "cache (Valkey)")
    state_dir: Path = Field(
        default=ROOT / ".local",
        alias="LOCAL_STATE_DIR",
        description="Folder of everything that the local stack writes",
    )
    boot_seconds: float = Field(
        default=3,
        ge=0,
        alias="LOCAL_BOOT_SECONDS",
        description="From an instance's launch to the start of its worker process",
    )
    front_door_concurrency: int = Field(
        default=16,
        ge=1,
        alias="FRONT_DOOR_CONCURRENCY",
        description="Requests that the front door lets in at once; the rest queues",
    )
    front_door_queue: int = Field(
        default=1000,
        ge=0,
        alias="FRONT_DOOR_QUEUE",
        description="Requests that may queue before the front door; more are answered 429",
    )
    database_url: str = Field(
        default="",
        alias="DATABASE_URL",
        description="A PostgreSQL with pgvector to use instead of the embedded one",
        repr=False,
    )
    api_key: str = Field(
        default="",
        alias="FACES_API_KEY",
        description="API key that the stack accepts; a random one is made when empty",
        repr=False,
    )
    handed_on: dict[str, str] = Field(
        default_factory=dict,
        exclude=True,
        description="FACES_*, SCALER_*, WORKER_* and TORCH_HOME for Lambdas and workers",
    )

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings; also check what is only handed on, so that it fails here.

        Raises
        ------
        SettingsError
            Naming every variable that is missing or wrong.
        """
        # The emulators know one region, whatever the shell's own is.
        ignored = ("AWS_REGION", "handed_on")
        settings = super().load({k: v for k, v in environ.items() if k not in ignored})
        handed_on = dict(_LOCAL_DEFAULTS)
        for name, value in environ.items():
            known = name.startswith(_PREFIXES) and name not in _KEPT_HERE
            if value and (known or name == "TORCH_HOME"):
                handed_on[name] = value
        handed_on["FACES_STACK"] = settings.stack
        handed_on.setdefault("FACES_PUBLIC_URL", settings.url)
        checked = {"DATABASE_URL": "postgresql://", **handed_on}
        for other in (ApiSettings, ScalerSettings, WorkerSettings):
            other.load(checked)
        state_dir = settings.state_dir.absolute()
        return settings.model_copy(update={"handed_on": handed_on, "state_dir": state_dir})

    @classmethod
    def ephemeral(cls, state_dir: Path, environ: Mapping[str, str]) -> Self:
        """Return settings on free ports with a state folder of their own (tests, demo)."""
        names = (field.alias for key, field in cls.model_fields.items() if key.endswith("_port"))
        ports = dict(zip(filter(None, names), map(str, free_ports(5)), strict=True))
        return cls.load({**environ, **ports, "LOCAL_STATE_DIR": str(state_dir)})

    @property
    def url(self) -> str:
        """Address of the web page and the API."""
        return f"http://127.0.0.1:{self.front_door_port}"

    @property
    def endpoint_url(self) -> str:
        """Address of the AWS emulator."""
        return f"http://127.0.0.1:{self.emulator_port}"

    @property
    def ec2_endpoint_url(self) -> str:
        """Address of the EC2 emulator."""
        return f"http://127.0.0.1:{self.ec2_port}"

    @property
    def log_dir(self) -> Path:
        return self.state_dir / "logs"

    @property
    def scaler(self) -> ScalerSettings:
        """What the scaler will read."""
        return ScalerSettings.load(self.handed_on)

    def require_free_ports(self) -> None:
        """Raise LocalStackError, naming port and setting, when one is taken or given twice."""
        seen: dict[int, str] = {}
        for key, field in type(self).model_fields.items():
            if not key.endswith("_port") or field.alias is None:
                continue
            port = getattr(self, key)
            if port in seen:
                raise LocalStackError(f"{field.alias} and {seen[port]} are both {port}.")
            seen[port] = field.alias
            what = (field.description or key).removeprefix("Port of the ")
            require_free_port(port, what, field.alias)


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody holds right now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@dataclass(frozen=True, repr=False)
class Secrets:
    """Random secrets of one state folder, made once and kept with mode 600."""

    api_key: str
    id_secret: str
    database_password: str

    @classmethod
    def load_or_make(cls, state_dir: Path) -> "Secrets":
        """Read `secrets.json` of the folder, or write a new one.

        Raises
        ------
        LocalStackError
            When the file is there but cannot be read.
        """
        path = state_dir / "secrets.json"
        try:
            return cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError):
            raise LocalStackError(f"{path} is damaged; delete it to get new secrets.") from None
        made = cls(
            api_key=secrets.token_urlsafe(24),
            id_secret=secrets.token_urlsafe(36),
            database_password=secrets.token_urlsafe(24),
        )
        write_private(path, json.dumps(asdict(made)))
        return made


def api_key_sha256(key: str) -> str:
    """Return what the API keeps of a key: its SHA-256 in hex."""
    return hashlib.sha256(key.encode()).hexdigest()


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read; replaced in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)
