"""The digest of a submitted body, which ties results to the text they are about."""

import hashlib
import json

from smallmesh_contracts.parts import too_many_parts


def digest_of(body: bytes) -> str:
    """Return the SHA-256 of a body's canonical form, as hex.

    Two bodies that differ only in white space or in the order of keys have one
    digest. A body that is not JSON in UTF-8, or has more parts than a task can have, is digested as it is.
    """
    if too_many_parts(body):
        return hashlib.sha256(body).hexdigest()
    try:
        value = json.loads(body.decode())
        canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        canonical = body
    return hashlib.sha256(canonical).hexdigest()
