"""How many parts a JSON text has, told without reading it: many small ones cost a reader far more than one long one."""

MOST_PARTS = 8192
"""Elements of all lists and objects together: metadata of 8 KiB, a task's own fields and 64 answers wanted have half of it."""


def too_many_parts(body: bytes) -> bool:
    """Tell whether a body has more strings, or more elements beside them, than a task can have.

    What stands between quotes is text, whatever it holds: escaped backslashes go first, in pairs from
    the left, then escaped quotes, and every quote that is left begins or ends a string.
    """
    if len(body) <= MOST_PARTS:
        return False
    flat = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if flat.count(b'"') > 2 * MOST_PARTS:
        return True
    outside = b"".join(flat.split(b'"')[::2])
    return outside.count(b",") > MOST_PARTS
