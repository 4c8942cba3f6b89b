"""Structured logs: one JSON object a line on standard output."""

import logging
import sys

import structlog
from structlog.types import EventDict, FilteringBoundLogger, WrappedLogger

from smallmesh.telemetry.traces import current_trace_id

_OTHERS_LEVEL = logging.WARNING


class _Others(logging.Handler):
    """Writes what libraries log as records like our own."""

    def emit(self, record: logging.LogRecord) -> None:
        logger().log(record.levelno, "library", logger=record.name, reason=record.getMessage())


def configure_logs(level: str, **bound: str) -> None:
    """Set up this process's logs once, with values that every line carries (service, replica).

    Libraries' own loggers are heard from warnings up, because theirs may quote input.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _add_trace,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**bound)
    logging.basicConfig(level=_OTHERS_LEVEL, handlers=[_Others()], force=True)


def logger() -> FilteringBoundLogger:
    """Return this process's logger."""
    log: FilteringBoundLogger = structlog.get_logger()
    return log


def _add_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    trace_id = current_trace_id()
    if trace_id is not None:
        event["trace_id"] = trace_id
    return event
