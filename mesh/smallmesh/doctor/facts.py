"""What is known when checks look: a broker, the processes on it, and this machine. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from smallmesh.bus import ServiceInfo
from smallmesh.doctor.inventory import ModelFacts


@dataclass(frozen=True, slots=True)
class Permissions:
    """What the broker lets this connection do, as it says itself. None: whatever is not denied.

    Attributes:
        may_publish: Patterns of subjects.
        never_publish: Patterns that win over those.
        may_subscribe: Likewise.
        never_subscribe: Likewise.
    """

    may_publish: tuple[str, ...] | None = None
    never_publish: tuple[str, ...] = ()
    may_subscribe: tuple[str, ...] | None = None
    never_subscribe: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """One stream of the layout as the broker has it.

    Attributes:
        name: Its name.
        expected: How it should be.
        config: How it is; None where it is not there.
        state: What it holds, as the broker says it.
        cluster: Which brokers keep it, and how they are, as the broker says it; empty where there is one.
    """

    name: str
    expected: Mapping[str, Any]
    config: Mapping[str, Any] | None = None
    state: Mapping[str, Any] = field(default_factory=dict)
    cluster: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConsumerFacts:
    """One durable consumer of the layout as the broker has it.

    Attributes:
        stream: Its queue.
        name: Its name.
        expected: How it should be.
        config: How it is; None where it is not there.
        pending: Messages that nobody has taken yet.
        in_hand: Messages that somebody has taken.
        waiting: Requests for work that are open: somebody is there to take it.
    """

    stream: str
    name: str
    expected: Mapping[str, Any]
    config: Mapping[str, Any] | None = None
    pending: int = 0
    in_hand: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Broker:
    """What the broker says.

    Attributes:
        version: Of nats-server; empty where it does not say.
        user: Who this connection is; empty where nobody has to be anyone.
        round_trip_ms: How long it took to say so.
        max_payload: Bytes it takes in one message.
        jetstream: Whether JetStream is on for this account; None where it does not say.
        permissions: What this connection may do; None where it does not say.
        denied: What the broker refused while facts were gathered, in its own words.
        streams: Those of the layout; None where they may not be looked at.
        consumers: Likewise.
        dead_letters: How many, by data class; None where they may not be looked at.
        replicas: Every process that answers.
    """

    version: str = ""
    user: str = ""
    round_trip_ms: float = 0.0
    max_payload: int = 0
    jetstream: bool | None = None
    permissions: Permissions | None = None
    denied: tuple[str, ...] = ()
    streams: tuple[StreamFacts, ...] | None = None
    consumers: tuple[ConsumerFacts, ...] | None = None
    dead_letters: Mapping[str, int] | None = None
    replicas: tuple[ServiceInfo, ...] = ()


@dataclass(frozen=True, slots=True)
class Extra:
    """One of the distribution's extras.

    Attributes:
        name: Its name.
        missing: Distributions it wants and that are not here.
        own_present: Whether one is here that no other extra wants.
    """

    name: str
    missing: tuple[str, ...]
    own_present: bool


@dataclass(frozen=True, slots=True)
class Host:
    """This machine and what is installed on it.

    Attributes:
        version: Of this smallmesh.
        python: Of the interpreter.
        agents: Answers by the names of the agents on the agent path.
        services: Likewise of services that are not agents.
        catalogue_error: Why the agent path cannot be loaded; empty where it can.
        models: Every agent's models, those that are chosen to serve.
        memory_free: Bytes that processes may still take; None where it cannot be told.
        running_here: Process ids of the mesh that `up` runs here, by name.
        state_dir: Where that mesh keeps its store.
        disk_free: Bytes free there.
        extras: What is installed of the distribution's extras.
    """

    version: str = ""
    python: str = ""
    agents: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, str] = field(default_factory=dict)
    catalogue_error: str = ""
    models: tuple[ModelFacts, ...] = ()
    memory_free: int | None = None
    running_here: Mapping[str, int] = field(default_factory=dict)
    state_dir: str = ""
    disk_free: int = 0
    extras: tuple[Extra, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known.

    Attributes:
        url: The broker's address, without its password.
        host: This machine.
        broker: What the broker says; None where there is none.
        unreachable: Why there is none.
    """

    url: str
    host: Host
    broker: Broker | None = None
    unreachable: str = ""
