"""Logs and traces: what every process says of its work. Texts and secrets are in neither."""

from smallmesh.telemetry.logs import configure_logs, logger
from smallmesh.telemetry.traces import Span, configure_traces, current_trace_id, inject, span, stop_traces

__all__ = ["Span", "configure_logs", "configure_traces", "current_trace_id", "inject", "logger", "span", "stop_traces"]
