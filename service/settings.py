"""Every setting of the service: those of `gradus.settings`, from the same sources, and more."""

from __future__ import annotations

import functools
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import NoDecode

from gradus.settings import ClientSettings, secrets_dir
from service.errors import BadSettings

if TYPE_CHECKING:
    from experiments.limits import Limits

_IN_ADDRESS = re.compile(r"(?<=://)([^/\s:@]*):[^/\s]+@")  # up to the last @: a password may hold one
LOOPBACK = ("127.0.0.1", "::1", "localhost")

WorkerBackend = Literal["tensorflow", "jax"]
WORKER_BACKENDS: tuple[WorkerBackend, ...] = get_args(WorkerBackend)


class Settings(ClientSettings):
    """What can be set, besides what the client needs. Times are seconds, sizes bytes."""

    # Who may ask, and how much.
    api_host: str = Field("127.0.0.1", description="address the API binds to")
    api_port: int = Field(8642, ge=0, le=65535, description="port the API binds to")
    auth_required: bool | None = Field(
        None, description="whether the API asks for a key; unset: wherever it binds beyond loopback"
    )
    session_seconds: float = Field(
        12 * 3600.0, gt=0, description="how long a browser stays logged in on the pages"
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="host names the API answers to, separated by commas; empty: those of the bind address"
    )
    max_body_bytes: int = Field(1024 * 1024, ge=1024, description="largest request body")
    spec_seconds: float = Field(4.0, ge=0.1, description="seconds of CPU that reading one spec may take")

    # Where state lies.
    data_dir: Path | None = Field(None, description="folder in which mnist.npz is looked for first")
    database_url: SecretStr | None = Field(None, description="SQLAlchemy address; unset: SQLite under home")
    broker_url: SecretStr | None = Field(None, description="Redis-protocol address of the broker")
    otlp_endpoint: str | None = Field(
        None,
        description="address of an OpenTelemetry collector (OTLP over HTTP) that gets a trace of every experiment",
    )
    artifacts_destination: str | None = Field(
        None,
        description="where the MLflow of `gradus up` keeps files, `s3://bucket/folder` say; unset: under home",
    )
    mlflow_url: str = Field("http://127.0.0.1:5642", description="MLflow's address for the service")
    mlflow_public_url: str | None = Field(None, description="MLflow's address for people; unset: mlflow_url")
    mlflow_processes: int = Field(
        1,
        ge=1,
        le=64,
        description="processes of the MLflow server that `gradus up` starts; each takes 0.3 GB",
    )
    spool_dir: Path | None = Field(
        None, description="folder of files on their way to MLflow; unset: home/spool"
    )

    datasets_dir: Path | None = Field(
        None,
        description="folder of people's own files on this host, a cache of MLflow's store; unset: home/datasets",
    )

    # Keeping a run: reliability.
    lease_seconds: float = Field(60.0, gt=0, description="how long a worker holds a run without renewing")
    reap_seconds: float | None = Field(
        None, gt=0, description="how often expired leases are looked for; unset: lease/3"
    )
    poll_seconds: float = Field(2.0, gt=0, description="how often a training asks whether it is to stop")
    checkpoint_seconds: float = Field(30.0, gt=0, description="how often a training run is checkpointed")
    checkpoint_days: float = Field(
        3.0, ge=0, description="how long a finished run can go on from its checkpoint; later from its start"
    )
    redispatch_seconds: float = Field(
        5.0, gt=0, description="after how long an unclaimed message counts as lost"
    )
    max_losses: int = Field(3, ge=1, description="lost leases without progress before a run fails")
    spool_lost_seconds: float = Field(
        6 * 3600.0,
        gt=0,
        description="how long a committed run waits for its spool's host before it runs again",
    )

    drain_seconds: float = Field(
        20.0, gt=0, description="how long a worker that is told to stop may take to bring its tile to safety"
    )

    # A worker.
    worker_name: str | None = Field(None, description="name of this worker; unset: host and process id")
    device: Literal["auto", "cpu", "gpu"] = Field("auto", description="device that this worker trains on")
    backend: WorkerBackend = Field(
        "tensorflow", description="what this worker computes with, from its start to its end"
    )
    threads: int = Field(1, ge=1, description="threads of one training worker")
    only_requests: bool = Field(
        False,
        description="answer what people ask about runs, and train nothing: a worker that is always free",
    )
    warm: bool = Field(
        False,
        description="whether a worker loads its backend at its start, not with its first tile; one that only answers loads"
        " it as soon as any run is accepted",
    )
    max_run_seconds: float = Field(
        24 * 3600.0, gt=0, description="training of a run, its share of its tile's seconds, over all attempts"
    )
    max_worker_memory_bytes: int | None = Field(
        None,
        ge=256 * 1024**2,
        description="memory at which a worker stops its tile; unset: three quarters of the machine's or container's, shared"
        " by the workers of `gradus up`",
    )

    # What is accepted.
    max_runs: int = Field(10_000, ge=1, description="runs of one experiment")
    max_parameters: int = Field(50_000_000, ge=1, description="parameters of one model")
    max_memory_bytes: int = Field(4 * 1024**3, ge=1, description="estimated memory of one training")
    max_flops: float = Field(1e17, gt=0, description="estimated floating point operations of one training")
    max_epochs: int = Field(10_000, ge=1, description="epochs of one training")
    max_dataset_bytes: int = Field(500_000_000, ge=1024, description="largest file that may be uploaded")
    quota_dataset_bytes: int = Field(
        5_000_000_000, ge=1024, description="bytes of files that an owner may have"
    )
    quota_queued_runs: int = Field(
        50_000, ge=1, description="runs an owner may have waiting, unless the key says otherwise"
    )
    quota_open_requests: int = Field(20, ge=1, description="predictions and plots an owner may have waiting")
    rate_per_second: float = Field(
        50.0, gt=0, description="requests a key may send in a second, on average, to each API process"
    )
    rate_burst: int = Field(500, ge=1, description="requests a key may send at once")
    private: bool = Field(
        False, description="whether an owner sees only their own experiments and runs; admins see all"
    )

    # Housekeeping.
    min_free_bytes: int = Field(
        512 * 1024**2, ge=0, description="free disk space below which /readyz and `gradus doctor` complain"
    )
    artifact_retention_days: float | None = Field(
        None, gt=0, description="age after which artifacts go; unset: never"
    )
    maintenance_metrics_host: str = Field(
        "127.0.0.1", description="address at which maintenance answers /metrics"
    )
    maintenance_metrics_port: int | None = Field(
        None, ge=1, le=65535, description="port at which maintenance answers /metrics; unset: it does not"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least level logged")
    log_json: bool = Field(False, description="one JSON object per log line")

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("data_dir", "spool_dir", "datasets_dir")
    @classmethod
    def _expand(cls, value: Path | None) -> Path | None:
        return value.expanduser() if value is not None else None

    @property
    def sql_url(self) -> str:
        """The database's address with its password: never log it, see `masked`."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.home / 'gradus.db'}"

    @property
    def spool(self) -> Path:
        return self.spool_dir or self.home / "spool"

    @property
    def datasets(self) -> Path:
        return self.datasets_dir or self.home / "datasets"

    @property
    def reap_interval(self) -> float:
        return self.reap_seconds or self.lease_seconds / 3

    @property
    def worker(self) -> str:
        return self.worker_name or f"{socket.gethostname()}-{os.getpid()}"

    @property
    def public_mlflow_url(self) -> str:
        """MLflow's address as it is shown to everybody: without the name and password that the service may need."""
        return re.sub(r"(?<=://)[^/?#]*@", "", self.mlflow_public_url or self.mlflow_url)

    @property
    def needs_key(self) -> bool:
        """Whether a request must carry a key: as set, else wherever the bind address is not loopback."""
        return self.api_host not in LOOPBACK if self.auth_required is None else self.auth_required

    def limits(self) -> Limits:
        """How large a spec may be."""
        from experiments.limits import Limits

        names = ("max_runs", "max_parameters", "max_memory_bytes", "max_flops", "max_epochs")
        return Limits(**{name: getattr(self, name) for name in names})

    def masked(self) -> dict[str, str]:
        """Every setting as text for `gradus doctor`, secrets and the passwords of addresses masked."""
        return {name: without_password(str(getattr(self, name))) for name in type(self).model_fields}


def without_password(text: str) -> str:
    """A text with the passwords of addresses in it hidden: `redis://:***@host`."""
    return _IN_ADDRESS.sub(r"\1:***@", text)


def load_settings(**overrides: object) -> Settings:
    """Read the settings now. Arguments win over every other source.

    Raises:
        BadSettings: a value is not allowed.
    """
    try:
        return Settings(_secrets_dir=secrets_dir(), **overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise BadSettings("; ".join(_complaint(entry) for entry in error.errors())) from None


def _complaint(entry: ErrorDetails) -> str:
    """What is wrong with a setting. The value of a secret is not shown."""
    name = str(entry["loc"][0])
    secret = "SecretStr" in str(Settings.model_fields[name].annotation)
    value = "" if secret else f" is {str(entry['input'])[:100]!r}:"
    return f"GRADUS_{name.upper()}{value} {entry['msg'][0].lower()}{entry['msg'][1:]}"


def child_environment(settings: Settings, overrides: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that is to see these settings: this one's own, what was set, the overrides.

    Settings that came from a `.env` or a secret file are handed on as variables, because the child has another
    working directory. Requests to this machine never go through a proxy.
    """
    environment = dict(os.environ)
    for name in sorted(settings.model_fields_set):
        value = getattr(settings, name)
        if value is None:
            continue
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        environment[f"GRADUS_{name.upper()}"] = ",".join(value) if isinstance(value, tuple) else str(value)
    for name in ("NO_PROXY", "no_proxy"):
        direct = [part for part in environment.get(name, "").split(",") if part]
        environment[name] = ",".join(dict.fromkeys([*direct, *LOOPBACK]))
    return {**environment, **overrides}


def visible_gpus() -> str | None:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES lists them; None where it is not set."""
    return os.environ.get("CUDA_VISIBLE_DEVICES")


@functools.cache
def get_settings() -> Settings:
    """The settings of this process, read once."""
    return load_settings()


def markdown_table() -> str:
    """Every setting as a row of a markdown table: name, default, meaning. docs/settings.md is made of it."""
    rows = ["| setting | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = field.default
        if default is None or default == ():
            shown = ""
        elif isinstance(default, bool):
            shown = f"`{str(default).lower()}`"
        elif isinstance(default, float):
            shown = f"`{default:g}`"
        else:
            shown = f"`{default}`"
        rows.append(
            f"| `GRADUS_{name.upper()}` | {shown} | {(field.description or '').replace('|', chr(92) + '|')} |"
        )
    return "\n".join(rows) + "\n"
