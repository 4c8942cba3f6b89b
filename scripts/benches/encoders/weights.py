"""The weights of a GGUF encoder as F32 matrices. Runs where the ``gguf`` package is: not in the product's environment."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize
from numpy.typing import NDArray

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Weights:
    """An encoder of the shape ``bert``.

    Attributes:
        tensors: Every tensor by its name in the file, dequantised; a matrix is (outputs, inputs).
        layers: How many layers there are.
        heads: Attention heads of a layer.
        eps: Of the layer norms.
    """

    tensors: dict[str, Matrix]
    layers: int
    heads: int
    eps: float

    def of(self, name: str) -> tuple[Matrix, Matrix]:
        """Return weight and bias of a layer of this name."""
        return self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]

    @property
    def positions(self) -> Matrix:
        """What is added to the vector of a token at each position: position and kind of text."""
        return np.asarray(self.tensors["position_embd.weight"] + self.tensors["token_types.weight"][0], np.float32)


def read(path: str) -> Weights:
    """Return the weights of a GGUF file."""
    reader = GGUFReader(path)

    def number(key: str) -> Any:
        return reader.fields[f"bert.{key}"].parts[-1][0]

    tensors = {tensor.name: np.array(dequantize(tensor.data, tensor.tensor_type), np.float32) for tensor in reader.tensors}
    eps = float(number("attention.layer_norm_epsilon"))
    return Weights(tensors, int(number("block_count")), int(number("attention.head_count")), eps)
