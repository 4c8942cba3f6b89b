"""What travels on the bus of a smallmesh: the whole contract, with pydantic as its one dependency."""

from smallmesh_contracts import headers, limits, subjects
from smallmesh_contracts._base import Wire
from smallmesh_contracts.address import Address, DataClass, Lane, is_subject_safe
from smallmesh_contracts.agents import (
    AgentRequest,
    AgentResult,
    AnalysisResult,
    ComplexityRequest,
    ComplexityResult,
    EntitiesRequest,
    EntitiesResult,
    Entity,
    EntityType,
    LeftOut,
    SentimentLabel,
    SentimentRequest,
    SentimentResult,
    Span,
    SummaryRequest,
    SummaryResult,
    Verdict,
)
from smallmesh_contracts.answers import Answer, Provenance, Status, StepResult, TaskResult
from smallmesh_contracts.cancel import CancelReply, CancelRequest
from smallmesh_contracts.decode import decode
from smallmesh_contracts.delta import Delta
from smallmesh_contracts.digest import digest_of
from smallmesh_contracts.errors import ContractError, ErrorCode, ErrorInfo
from smallmesh_contracts.steps import EscalationStep, Evidence, Step, StepInput
from smallmesh_contracts.task import DEFAULT_WANTED, Task, check_size, decode_task

__all__ = [
    "DEFAULT_WANTED",
    "Address",
    "AgentRequest",
    "AgentResult",
    "AnalysisResult",
    "Answer",
    "CancelReply",
    "CancelRequest",
    "ComplexityRequest",
    "ComplexityResult",
    "ContractError",
    "DataClass",
    "Delta",
    "EntitiesRequest",
    "EntitiesResult",
    "Entity",
    "EntityType",
    "ErrorCode",
    "ErrorInfo",
    "EscalationStep",
    "Evidence",
    "Lane",
    "LeftOut",
    "Provenance",
    "SentimentLabel",
    "SentimentRequest",
    "SentimentResult",
    "Span",
    "Status",
    "Step",
    "StepInput",
    "StepResult",
    "SummaryRequest",
    "SummaryResult",
    "Task",
    "TaskResult",
    "Verdict",
    "Wire",
    "check_size",
    "decode",
    "decode_task",
    "digest_of",
    "headers",
    "is_subject_safe",
    "limits",
    "subjects",
]
