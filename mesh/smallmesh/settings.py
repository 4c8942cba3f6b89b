"""Settings: the only module that reads the environment."""

import os
from functools import cache
from pathlib import Path
from typing import Annotated, TypeVar

import platformdirs
from pydantic import AliasChoices, BaseModel, ByteSize, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

import smallmesh
from smallmesh.bus.keeping import LEAST_STORE_BYTES, STORE_BYTES, Keeping
from smallmesh.bus.layout import DAY_S, DEAD

M = TypeVar("M", bound=BaseModel)
SECRETS = frozenset({"ANTHROPIC_API_KEY"})
"""Variables that only the process that needs them may be handed."""
HUB_SECRETS = frozenset({"HF_TOKEN"})
"""Variables that no child has a use for: only `smallmesh models pull` asks the hub, and it has none."""
_TRUE = frozenset({"1", "ON", "YES", "TRUE"})
"""What the hub's own client takes for yes."""

LEAST_KEPT_S = 60.0
"""A result outlasts the redelivery of its task, so that it is found and the task is not done twice."""


def _shipped_agents() -> Path:
    package = Path(smallmesh.__file__).parent
    installed = package / "_services"
    return installed if installed.is_dir() else package.parents[1] / "services"


class Settings(BaseSettings):
    """Everything that can be set from outside, as ``SMALLMESH_…`` variables; an empty one counts as not set.

    Attributes:
        nats_url: The broker, or several of a cluster separated by commas. User and password may be part of each address.
        stream_replicas: Brokers of a cluster that keep each stream: 1, or 3 so that one may be lost.
        store_size: What all streams may take together on each broker, as ``20GB`` or ``512MiB``; full, they refuse more.
        done_kept_s: How long a result is kept, and its id is taken.
        dead_kept_s: How long a dead letter is kept.
        broker_sync: When the broker of ``up`` writes to the disk: ``always`` before it acknowledges, or how often, as ``1s``.
        agent_path: Folders that hold agent folders, separated like ``PATH``.
        log_level: ``debug``, ``info``, ``warning`` or ``error``.
        health_host: Address of ``/livez`` and ``/readyz``; loopback unless set.
        health_port: Their port; 0 takes a free one, told in ``$SRV.INFO``.
        state_dir: Where ``up`` keeps its broker's store, logs and process ids.
        in_flight: Tasks that one orchestrator replica holds at once, a lane and class.
        step_slots: Steps that one agent's replica holds at once at most, a lane; fewer where each takes long.
        step_ack_wait_s: Silence after which a step goes to another replica.
        lease_ack_wait_s: The same for a whole task.
        max_deliveries: Deliveries after which a step is given up; well under those after which the broker stops delivering.
        retry_base_s: Wait before the first retry; doubles each time.
        frontier_model: Which frontier model escalation calls.
        frontier_base_url: Its address, where it is not the vendor's.
        anthropic_api_key: Without it every escalation ends as ``unavailable``.
        otlp_endpoint: Standard variable; where it is set, spans are exported.
        models_dir: Where pulled models lie, with their lock file and what `models use` chose.
        hub_endpoint: Standard variable of the hub's client, HF_ENDPOINT: a mirror to pull from.
        hub_token: Likewise, HF_TOKEN: for repositories that are not public. It is sent to the hub and told to nobody else.
        hub_offline: Likewise, HF_HUB_OFFLINE: nothing is pulled, what lies here is used.
    """

    model_config = SettingsConfigDict(env_prefix="SMALLMESH_", env_ignore_empty=True, frozen=True, extra="ignore")

    nats_url: str = "nats://127.0.0.1:4222"
    stream_replicas: int = Field(default=1, ge=1, le=5)
    store_size: Annotated[ByteSize, Field(ge=LEAST_STORE_BYTES)] | None = None
    done_kept_s: float = Field(default=DAY_S, ge=LEAST_KEPT_S)
    dead_kept_s: float = Field(default=DEAD.max_age_s, ge=LEAST_KEPT_S)
    broker_sync: str = Field(default="2m", pattern="^(always|[1-9][0-9]*(ms|s|m))$")
    agent_path: Annotated[tuple[Path, ...], NoDecode] = ()
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    health_host: str = "127.0.0.1"
    health_port: int = Field(default=0, ge=0, le=65535)
    state_dir: Path = Field(default_factory=lambda: platformdirs.user_state_path("smallmesh"))
    in_flight: int = Field(default=500, ge=1)
    step_slots: int = Field(default=16, ge=1)
    step_ack_wait_s: float = Field(default=10.0, gt=0)
    lease_ack_wait_s: float = Field(default=30.0, gt=0)
    max_deliveries: int = Field(default=5, ge=1, le=50)
    retry_base_s: float = Field(default=0.5, gt=0)
    frontier_model: str = "claude-sonnet-5-5"
    frontier_base_url: str | None = None
    anthropic_api_key: SecretStr | None = Field(default=None, validation_alias=AliasChoices("ANTHROPIC_API_KEY"))
    otlp_endpoint: str | None = Field(
        default=None, validation_alias=AliasChoices("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    )
    models_dir: Path = Field(default_factory=lambda: platformdirs.user_cache_path("smallmesh") / "models")
    hub_endpoint: str | None = Field(default=None, validation_alias=AliasChoices("HF_ENDPOINT"))
    hub_token: SecretStr | None = Field(default=None, validation_alias=AliasChoices("HF_TOKEN"))
    hub_offline: bool = Field(default=False, validation_alias=AliasChoices("HF_HUB_OFFLINE"))

    @field_validator("agent_path", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(Path(part) for part in value.split(os.pathsep) if part) if isinstance(value, str) else value

    @field_validator("hub_offline", mode="before")
    @classmethod
    def _as_the_hubs_client_reads_it(cls, value: object) -> object:
        return value.upper() in _TRUE if isinstance(value, str) else value

    @property
    def agent_folders(self) -> tuple[Path, ...]:
        """Where agents are looked for: what was set, else the shipped ones."""
        return self.agent_path or (_shipped_agents(),)

    @property
    def keeping(self) -> Keeping:
        """How streams are to be kept."""
        return Keeping(self.stream_replicas, self.store_size or STORE_BYTES, self.done_kept_s, self.dead_kept_s)


@cache
def settings() -> Settings:
    """Return this process's settings, read once."""
    return Settings()


def settings_with(**changed: str) -> Settings:
    """Return this process's settings with some changed, as a child has them.

    Raises:
        ValidationError: A value is not what the field takes.
    """
    return Settings.model_validate({**settings().model_dump(by_alias=True), **changed})


def agent_settings(agent: str, defaults: M) -> M:
    """Return an agent's settings: what ``SMALLMESH_<AGENT>_<FIELD>`` says, else its defaults.

    Raises:
        ValidationError: A value is not what the field takes.
    """
    named = {field: os.environ.get(f"SMALLMESH_{agent}_{field}".upper(), "") for field in type(defaults).model_fields}
    return type(defaults).model_validate({**defaults.model_dump(), **{field: text for field, text in named.items() if text}})


def agent_tier(agent: str) -> str | None:
    """Return the tier of model that ``SMALLMESH_<AGENT>_TIER`` names for an agent; None where it names none."""
    return os.environ.get(f"SMALLMESH_{agent}_TIER".upper()) or None


def for_child(*, secrets: bool = True, **changed: str) -> dict[str, str]:
    """Return the environment for a child process, with ``SMALLMESH_…`` values changed.

    Without ``secrets`` the frontier's key is left out: only escalation has a use for it. The hub's token always is.
    """
    kept_back = HUB_SECRETS if secrets else HUB_SECRETS | SECRETS
    inherited = {name: value for name, value in os.environ.items() if name not in kept_back}
    return {**inherited, "PYTHONUNBUFFERED": "1", **{f"SMALLMESH_{k.upper()}": v for k, v in changed.items()}}
