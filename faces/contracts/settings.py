"""Settings: one typed object a process, read once from the environment.

A wrong value stops the process at its start with an error that names the variable.
`docs/settings.md` lists them all; a test compares it with this module.
"""

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from faces.contracts.names import PLACE_NAME, StackNames, check_stack_name

MIB = 1024 * 1024


def _networks(text: str) -> str:
    for part in filter(None, text.split(",")):
        ipaddress.ip_network(part.strip())
    return text


class SettingsError(ValueError):
    """A process cannot start because its environment is wrong; says which variable."""


class Settings(BaseModel):
    """Base: each field is read from the variable that its alias names."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings from `environ`; an empty variable counts as not set.

        Raises
        ------
        SettingsError
            Naming every variable that is missing or wrong.
        """
        try:
            return cls.model_validate({key: value for key, value in environ.items() if value})
        except ValidationError as error:
            lines = []
            for problem in error.errors():
                where = ".".join(str(part) for part in problem["loc"])
                lines.append(f"{where}: {problem['msg']}" if where else problem["msg"])
            raise SettingsError("wrong settings: " + "; ".join(lines)) from None


class StackSettings(Settings):
    """What every process of a stack needs."""

    stack: Annotated[str, AfterValidator(check_stack_name)] = Field(
        default="faces-local",
        alias="FACES_STACK",
        description="Name of the stack; prefixes every bucket, queue and instance tag",
    )
    region: str = Field(
        default="us-east-1", alias="AWS_REGION", description="AWS region of the stack"
    )
    log_level: str = Field(
        default="INFO",
        alias="FACES_LOG_LEVEL",
        description="Least severe level that is logged",
        pattern="^(DEBUG|INFO|WARNING|ERROR)$",
    )

    @property
    def names(self) -> StackNames:
        """Names of the stack's resources."""
        return StackNames(self.stack)


class DatabaseSettings(StackSettings):
    """What a process that reads the gallery needs."""

    database_url: str = Field(
        alias="DATABASE_URL",
        description="PostgreSQL with pgvector, as a libpq URL; with `postgresql+iam://` the "
        "process logs in by its IAM role; where the local stack finds none it starts its own",
        repr=False,
    )
    unmatched_seconds: int = Field(
        default=600,
        ge=10,
        le=86_400,
        alias="FACES_UNMATCHED_SECONDS",
        description="How long an unknown face can be enrolled by its req_id",
    )
    cache_url: str = Field(
        default="",
        alias="CACHE_URL",
        description="Valkey or Redis that keeps results and wakes waiting requests, with "
        "`rediss+iam://<user>@<host>:<port>/<cluster>` logged in to by IAM role; everything "
        "works without one, more slowly (the local stack starts its own)",
        pattern=r"^((rediss?|rediss\+iam|unix)://.+)?$",
        repr=False,
    )
    cache_seconds: int = Field(
        default=3600,
        ge=1,
        le=604_800,
        alias="FACES_CACHE_SECONDS",
        description="How long the cache keeps a result",
    )
    cache_answers: bool = Field(
        default=True,
        alias="FACES_CACHE_ANSWERS",
        description="Whether a photo that was answered before is answered the same again, "
        "without a worker, while its collection has not changed",
    )


class PhotoSettings(DatabaseSettings):
    """What a process that takes photos in needs: the limits are the same at the form, at
    intake and in the worker.
    """

    max_upload_bytes: int = Field(
        default=10 * MIB,
        ge=1024,
        le=100 * MIB,
        alias="FACES_MAX_UPLOAD_BYTES",
        description="Largest photo file that the upload form lets in, in bytes",
    )
    max_pixels: int = Field(
        default=100_000_000,
        ge=10_000,
        alias="FACES_MAX_PIXELS",
        description="Photos of more pixels are refused before they are decoded",
    )


class ApiSettings(PhotoSettings):
    """The front end's settings (every Lambda but the scaler)."""

    api_key_sha256: str = Field(
        default="",
        alias="FACES_API_KEY_SHA256",
        description="SHA-256 (hex) of the key that clients send as X-Api-Key; "
        "without it every request that needs a key is refused",
        pattern="^([0-9a-f]{64})?$",
        repr=False,
    )
    id_secret: str = Field(
        default="",
        alias="FACES_ID_SECRET",
        description="Secret (32 characters or more) from which job ids are signed; "
        "made at deployment, changing it makes open job ids unknown",
        pattern="^(.{32,})?$",
        repr=False,
    )
    upload_seconds: int = Field(
        default=900,
        ge=10,
        le=3600,
        alias="FACES_UPLOAD_SECONDS",
        description="How long an upload form is valid",
    )
    public_url: str = Field(
        default="",
        alias="FACES_PUBLIC_URL",
        description="Address under which clients reach the API; the request's own when empty",
    )
    job_timeout_seconds: int = Field(
        default=345_600,
        ge=60,
        le=1_209_600,
        alias="FACES_JOB_TIMEOUT_SECONDS",
        description="A queued job without a result is answered as failed after this time "
        "(the retention of the queues)",
    )
    webhook_secret: str = Field(
        default="",
        alias="FACES_WEBHOOK_SECRET",
        description="Secret (32 characters or more) from which each tenant's key for signed "
        "callbacks is made; FACES_ID_SECRET when empty",
        pattern="^(.{32,})?$",
        repr=False,
    )
    callback_allow: Annotated[str, AfterValidator(_networks)] = Field(
        default="",
        alias="FACES_CALLBACK_ALLOW",
        description="Networks (CIDR, separated by commas) that callbacks may reach though "
        "they are not public, such as 127.0.0.1/32",
    )
    seed_scope: str = Field(
        default="",
        alias="FACES_SEED_SCOPE",
        description="`<tenant>/<collection>` that requests without a key act for at POST / and "
        "/api/v1; these addresses answer 404 when empty (the local stack sets default/default)",
        pattern=f"^({PLACE_NAME}/{PLACE_NAME})?$",
    )
