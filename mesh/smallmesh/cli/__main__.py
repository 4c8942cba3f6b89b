"""``python -m smallmesh.cli``: the command line where its script is not on the path."""

from smallmesh.cli.app import main

if __name__ == "__main__":
    main()
