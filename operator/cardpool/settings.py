"""How one operator process runs: one frozen value from flags and ``CARDPOOL_*`` variables, flags first.

What users tune about their cards and jobs lives in the CardPool spec; only what belongs to the process stands here.
A wrong value never starts a half-configured operator: it is a SettingsError that names the variable and the remedy.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cardpool import __version__, errors
from cardpool.kube import identity as identities

PREFIX: Final = "CARDPOOL_"


class Settings(BaseModel):
    """Every knob of the process; each field is also the environment variable ``CARDPOOL_<FIELD>``."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    kubeconfig: str = Field(default="", description="Path of a kubeconfig; empty: KUBECONFIG, else in-cluster.")
    context: str = Field(default="", description="Context of the kubeconfig; empty: its current one.")
    namespace: str = Field(
        default="",
        max_length=63,
        description="Namespace of the Lease; empty: the pod's own, the context's, else default.",
    )
    vendors_namespace: str = Field(
        default="",
        max_length=63,
        description="Namespace of the ConfigMaps labelled cardpool.dev/vendors=true; empty: that of the Lease.",
    )
    identity: str = Field(
        default_factory=identities.default_identity,
        min_length=1,
        max_length=200,
        description="Holder name in the Lease; default host, boot and process, which no other process has.",
    )
    http_host: str = Field(default="0.0.0.0", description="Address that probes and metrics listen on.")  # noqa: S104 (probes come to the pod's address)
    http_port: int = Field(default=8080, ge=0, le=65535, description="Port of probes and metrics; 0: any free port.")
    port_file: str = Field(default="", description="File that the port in use is written to once it listens.")
    log_format: Literal["json", "text"] = Field(
        default="json", description="json: one object a line; text: for people."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="Least level logged.")
    debounce_seconds: float = Field(
        default=0.03,
        ge=0.0,
        le=1.0,
        description="How long a change waits for more changes before a cycle starts.",
    )
    resync_seconds: float = Field(
        default=30.0, gt=0.0, le=3600.0, description="A cycle runs at least this often, changes or not."
    )
    liveness_seconds: float = Field(
        default=120.0, gt=0.0, le=3600.0, description="/healthz fails once cycles have failed or hung for this long."
    )
    leader_election: bool = Field(default=True, description="Hold a Lease before writing; off only for one process.")
    lease_name: str = Field(default="cardpool-operator", min_length=1, max_length=253, description="Name of the Lease.")
    lease_seconds: float = Field(
        default=15.0, ge=3.0, le=300.0, description="How long a silent holder keeps the Lease (whole seconds)."
    )
    renew_seconds: float = Field(
        default=10.0, ge=1.0, le=200.0, description="A holder that could not renew for this long gives up."
    )
    retry_seconds: float = Field(default=2.0, ge=0.1, le=60.0, description="Time between two tries at the Lease.")
    max_in_flight: int = Field(default=48, ge=1, le=512, description="Requests under way at once.")
    request_seconds: float = Field(default=15.0, ge=1.0, le=120.0, description="Longest wait for one answer.")
    status_seconds: float = Field(
        default=2.0, ge=0.0, le=60.0, description="Least time between two non-urgent status writes of one object."
    )
    resolver_image: str = Field(
        default=f"cardpool/operator:{__version__}",
        min_length=1,
        description="Image of the pod that verifies checkpoints.",
    )

    @field_validator("port_file", "kubeconfig")
    @classmethod
    def _expand(cls, value: str) -> str:
        return str(Path(value).expanduser()) if value else value

    @model_validator(mode="after")
    def _lease_times(self) -> Settings:
        if not self.retry_seconds < self.renew_seconds < self.lease_seconds - 1:
            msg = "retry_seconds < renew_seconds < lease_seconds - 1 must hold"
            raise ValueError(msg)
        return self

    def shown(self) -> dict[str, Any]:
        """The settings as printed at start; none of them is a secret."""
        return self.model_dump()


def load(flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from flags (None = not given) over the environment over defaults; raises SettingsError."""
    environ = os.environ if environ is None else environ
    given: dict[str, Any] = {
        name: environ[variable(name)] for name in Settings.model_fields if environ.get(variable(name), "") != ""
    }
    given |= {name: value for name, value in (flags or {}).items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise errors.SettingsError(_explain(error)) from None


def variable(field: str) -> str:
    """The environment variable of a field."""
    return f"{PREFIX}{field.upper()}"


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_context=False):
        field = str(problem["loc"][0]) if problem["loc"] else ""
        if field in Settings.model_fields:
            about = Settings.model_fields[field].description or ""
            lines.append(
                f"{variable(field)} (--{field.replace('_', '-')}) is {problem['input']!r}: {problem['msg']}. {about}"
            )
        elif field:
            lines.append(f"unknown setting {field!r}")
        else:
            lines.append(f"{PREFIX}RETRY_SECONDS, {PREFIX}RENEW_SECONDS, {PREFIX}LEASE_SECONDS: {problem['msg']}")
    return "; ".join(lines)
