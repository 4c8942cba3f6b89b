"""Limits that every client can rely on."""

from smallmesh_contracts.address import Lane

KIB = 1024
TEXT_BYTES = {Lane.INTERACTIVE: 32 * KIB, Lane.BULK: 512 * KIB}
"""UTF-8 bytes of text a task may carry, by lane. Ask and run are interactive."""
METADATA_BYTES = 8 * KIB
INSTRUCTION_BYTES = 8 * KIB
TIMEOUT_S = {Lane.INTERACTIVE: 30.0, Lane.BULK: 24 * 3600.0}
"""Time budget from the broker's arrival time where the task names none."""
MAX_TIMEOUT_S = 7 * 24 * 3600.0
"""The longest budget a task may ask for: results are kept that long, and an hour more."""
