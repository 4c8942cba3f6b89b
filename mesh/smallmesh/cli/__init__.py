"""The command line, ``smallmesh``: starting a mesh, asking it, and looking at it.

Each command is one module of :mod:`smallmesh.cli.commands`, loaded only when it
is called, because ``smallmesh serve`` must not carry the tables of ``smallmesh agents``.
"""

from smallmesh.cli.app import main

__all__ = ["main"]
