"""What a process that cannot start says."""

import errno

import pytest

from smallmesh.serving import __main__ as serving
from smallmesh.serving.__main__ import is_out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        ImportError("libblas.so: failed to map segment from shared object"),
        RuntimeError("can't start new thread"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_process_that_is_given_no_memory_says_so_in_one_line(error, monkeypatch, capsys):
    def fail(*_):
        raise error

    monkeypatch.setattr(serving, "serve", fail)
    monkeypatch.setattr("sys.argv", ["serving", "agent", "echo"])

    assert serving.main() == 1
    assert capsys.readouterr().err == "smallmesh: echo: there is too little memory for it: give it more, or run fewer processes beside it\n"


@pytest.mark.parametrize("error", [OSError(errno.EADDRINUSE, "in use"), ImportError("no module named numpy"), RuntimeError("else")])
def test_another_failure_is_not_taken_for_a_lack_of_memory(error):
    assert not is_out_of_memory(error)


def test_a_mistake_in_the_code_keeps_its_traceback(monkeypatch):
    def fail(*_):
        raise ImportError("no module named numpy")

    monkeypatch.setattr(serving, "serve", fail)
    monkeypatch.setattr("sys.argv", ["serving", "agent", "echo"])

    with pytest.raises(ImportError, match="numpy"):
        serving.main()
