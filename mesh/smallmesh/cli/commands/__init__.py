"""One module a command: a function ``command`` and its ``EXAMPLES``. The list of them is in :mod:`smallmesh.cli.app`."""
