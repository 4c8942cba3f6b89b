"""Unit tests use no model, whatever they do: the library that would load one cannot be imported here."""

import sys

import pytest

_MODELS = ("llama_cpp", "smallmesh.hosting.llama")


@pytest.fixture(autouse=True)
def _no_model(monkeypatch):
    for module in _MODELS:
        monkeypatch.setitem(sys.modules, module, None)
