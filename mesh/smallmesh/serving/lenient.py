"""What can be read of a body that may be broken, or of another kind: whose task it is about, and how much time it has."""

from smallmesh_contracts import ContractError, ErrorCode, Wire, decode, digest_of, limits


class _Lenient(Wire):
    digest: str | None = None
    timeout_s: float = limits.MAX_TIMEOUT_S


def read_leniently(body: bytes) -> tuple[str, float]:
    """Return digest and budget in seconds, where they can be read; else the body's own digest and the longest budget."""
    try:
        read = decode(_Lenient, body)
    except ContractError:
        read = _Lenient()
    return read.digest or digest_of(body), read.timeout_s


def check_digest(found: bytes, digest: str) -> None:
    """See that what is stored under a task's subject is about the same text.

    Raises:
        ContractError: ``id_conflict``.
    """
    if read_leniently(found)[0] != digest:
        raise ContractError(ErrorCode.ID_CONFLICT, "what is stored under this id is about another text")
