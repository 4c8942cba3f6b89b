"""Keeping a message that is given up."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from smallmesh.bus import Bus, Delivery
from smallmesh.bus.layout import stream_of
from smallmesh_contracts import DataClass, ErrorInfo, headers, subjects

LONGEST_MESSAGE = 500
"""Characters of a reason's message, each at most twelve bytes in a header: all that is added must fit into the room that queues leave."""
LONGEST_ORIGIN = 8 * 1024
"""Bytes of a subject; one that was no UTF-8 may be several times as long as it was on the wire."""
LARGEST_HEADERS = 48 * 1024
"""Bytes of a message's own headers that are kept: the broker takes 64 KiB of them in all, and ours come on top."""
_BROKERS_OWN = "Nats-"
_OF_A_STATUS = frozenset({"Status", "Description"})
"""By these names a client library finds what the broker says, so that a letter with them could not be read."""
_NO_UTF8, _STANDS_IN = "\ufffd", "?"
"""What the client library makes of a byte that is no UTF-8 is three bytes long: it would outgrow the message."""
_ODD_IN_NAME = re.compile(r"[^!#$%&'*+\-.^_`|~0-9A-Za-z]")
"""What a client library neither sends in a header's name nor refuses to receive."""


async def bury(bus: Bus, delivery: Delivery, origin: str, error: ErrorInfo) -> None:
    """Keep a message with the reason why it was given up.

    Payload and headers stay as they were, but for orders to the broker (``Nats-…``) and
    for what no header may be; see :func:`publishable`. The same message buried twice is
    one dead letter, as long as the broker remembers the first.

    Raises:
        ContractError: ``overloaded`` where no more dead letters fit, or ``unavailable``: it was
            not kept, so the message must stay where it is.
    """
    kept = {
        **publishable(delivery.headers),
        headers.REASON: _in_a_header(error),
        headers.ORIGIN: delivery.subject.encode(errors="backslashreplace")[:LONGEST_ORIGIN].decode(errors="ignore"),
        headers.DELIVERIES: str(delivery.deliveries),
        headers.ARRIVED: datetime.fromtimestamp(delivery.arrived_at, UTC).isoformat(timespec="milliseconds"),
    }
    await bus.append(subjects.dead(_class_of(delivery.subject), origin), delivery.body, kept, message_id=_id_of(delivery))


def publishable(carried: Mapping[str, str]) -> dict[str, str]:
    """Return headers as they may be published again, and no longer than they were.

    A name that may not be has ``_`` for what is odd in it, and one that says a status has it in
    front; a byte that is no UTF-8 is a question mark. Of more than the broker takes the longest are left out.
    """
    named = ((_ODD_IN_NAME.sub("_", name.strip()), value.replace(_NO_UTF8, _STANDS_IN)) for name, value in carried.items())
    kept = {f"_{name}" if name in _OF_A_STATUS else name: value for name, value in named if name and not name.startswith(_BROKERS_OWN)}
    size = sum(map(_size, kept.items()))
    for longest in sorted(kept.items(), key=_size, reverse=True):
        if size <= LARGEST_HEADERS:
            break
        del kept[longest[0]]
        size -= _size(longest)
    return kept


def _size(header: tuple[str, str]) -> int:
    return headers.line_size(*header)


def _in_a_header(error: ErrorInfo) -> str:
    message = error.message if len(error.message) <= LONGEST_MESSAGE else f"{error.message[:LONGEST_MESSAGE]}..."
    return json.dumps({**error.model_dump(mode="json"), "message": message}, separators=(",", ":"))


def _class_of(subject: str) -> DataClass:
    try:
        return subjects.address_of(subject).data_class
    except ValueError:
        return DataClass.RESTRICTED


def _id_of(delivery: Delivery) -> str:
    """Return what is the same for every delivery of one message, and for no other one, even in a stream that was made anew."""
    return f"{stream_of(delivery.subject).name}:{delivery.sequence}:{int(delivery.arrived_at)}"
