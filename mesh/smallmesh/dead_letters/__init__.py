"""Dead letters: what could not be done, kept whole for operators.

``keeping`` is all that the mesh's processes need, and all that this package loads by
itself; ``reading`` and ``replaying`` are for operators' tools.
"""

from smallmesh.dead_letters.keeping import bury

__all__ = ["bury"]
