"""A whole mesh on one machine: a broker of its own or another's, and every process kept running and stopped in order.

``up``, the demo, the benches and the tests of the mesh stand on :class:`Mesh`;
nothing here knows of a terminal.
"""

from smallmesh.signals import run_until_signalled
from smallmesh.supervise.child import ProcessInfo, ProcessState
from smallmesh.supervise.mesh import Mesh, MeshError

__all__ = ["Mesh", "MeshError", "ProcessInfo", "ProcessState", "run_until_signalled"]
