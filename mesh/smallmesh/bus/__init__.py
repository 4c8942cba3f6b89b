"""The bus seam: the one surface through which the mesh touches a broker.

``port`` says what a bus is, ``layout`` which streams and consumers there are,
``memory`` is the double for tests; ``nats`` is the real one and is imported by
name, so that nobody loads an SDK by accident.
"""

from smallmesh.bus.layout import STREAMS, Consumer, Stream, stream_of
from smallmesh.bus.port import Bus, Call, Delivery, Endpoint, Entry, Message, Reply, ServiceInfo, ServiceSpec, Subscription

__all__ = [
    "STREAMS",
    "Bus",
    "Call",
    "Consumer",
    "Delivery",
    "Endpoint",
    "Entry",
    "Message",
    "Reply",
    "ServiceInfo",
    "ServiceSpec",
    "Stream",
    "Subscription",
    "stream_of",
]
