"""What nats-py 2.16 does not survive, mended: bytes from the network that no well-meaning client sends.

Its read loop ends for good at the first exception, without a word to anybody: one message whose subject, reply address or block
of headers is odd makes a process deaf, and is delivered again to the next one. The broker checks none of these bytes.
"""

import re
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.protocol import parser

from smallmesh_contracts.headers import size_of

_FIELD, _GAP = rb"([^ \t\r\n]+)", rb"[ \t]+"
_OPERATION = rb"\A%b" + _GAP + _FIELD + _GAP + _FIELD + _GAP + rb"(" + _FIELD + _GAP + rb")?"
_MSG = re.compile(_OPERATION % b"MSG" + rb"(\d+)\r\n")
_HMSG = re.compile(_OPERATION % b"HMSG" + rb"(\d+)" + _GAP + rb"(\d+)\r\n")
"""As the library has them, but split where the broker splits: a vertical tab or a form feed may stand in a subject."""
_PLAIN_HEADERS = Client._process_headers  # noqa: SLF001 - what is mended is inside the library
_PLAIN_SEND = Client._send_publish  # noqa: SLF001


def _message(  # noqa: PLR0913, PLR0917 - the form is the library's
    self: Client, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
) -> Any:
    """Make a message; a byte that is no UTF-8 stands in its subject as backslash, x and its number, which no valid address has."""
    written = (subject.decode(errors="backslashreplace"), reply.decode(errors="backslashreplace"))
    return self.msg_class(subject=written[0], reply=written[1], data=data, headers=headers, _client=self, _sid=sid)


async def _headers(self: Client, block: Any) -> dict[str, str] | None:
    """Read a block of headers; one that is none has none."""
    try:
        return await _PLAIN_HEADERS(self, block)
    except Exception:  # noqa: BLE001 - whatever it chokes on, the message is still to be refused under its address
        return None


async def _send(  # noqa: PLR0913, PLR0917 - the form is the library's
    self: Client, subject: str, reply: str, payload: bytes, payload_size: int, headers: dict[str, str] | None
) -> None:
    """Send a message unless the broker would close the connection for its size, in which headers count.

    Raises:
        MaxPayloadError: It would.
    """
    if headers and payload_size + size_of(headers) > self._max_payload:
        raise nats.errors.MaxPayloadError
    await _PLAIN_SEND(self, subject, reply, payload, payload_size, headers)


def mend() -> None:
    """Mend the library, for every connection of this process."""
    parser.MSG_RE, parser.HMSG_RE = _MSG, _HMSG
    Client._build_message = _message  # type: ignore[method-assign]  # noqa: SLF001
    Client._process_headers = _headers  # type: ignore[assignment, method-assign]  # noqa: SLF001
    Client._send_publish = _send  # type: ignore[method-assign]  # noqa: SLF001
