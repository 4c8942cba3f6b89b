"""The one package that loads llama.cpp. What it makes is used synchronously, by the one thread that owns it."""

from smallmesh.hosting.llama.decoder import Decoder
from smallmesh.hosting.llama.encoder import Encoder, Pooling
from smallmesh.hosting.llama.library import ModelLoadError

__all__ = ["Decoder", "Encoder", "ModelLoadError", "Pooling"]
