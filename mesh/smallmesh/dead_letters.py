"""Dead letters: what could not be done, kept whole for operators."""

from smallmesh.bus import Bus, Delivery
from smallmesh.bus.layout import stream_of
from smallmesh_contracts import DataClass, ErrorInfo, headers, subjects


async def bury(bus: Bus, delivery: Delivery, origin: str, error: ErrorInfo) -> None:
    """Keep a message with the reason why it was given up.

    Payload and headers stay as they were. The same message buried twice is one
    dead letter.

    Raises:
        ContractError: ``unavailable``: it was not kept, so the message must stay where it is.
    """
    reason = error.model_copy(update={"message": ascii(error.message)[1:-1]}).model_dump_json()
    kept = {
        **{name: value for name, value in delivery.headers.items() if not name.startswith("Nats-")},
        headers.REASON: reason,
        headers.ORIGIN: delivery.subject,
        headers.DELIVERIES: str(delivery.deliveries),
    }
    try:
        data_class = subjects.address_of(delivery.subject).data_class
    except ValueError:
        data_class = DataClass.RESTRICTED
    message_id = f"{stream_of(delivery.subject).name}:{delivery.sequence}"
    await bus.append(subjects.dead(data_class, origin), delivery.body, kept, message_id=message_id)
