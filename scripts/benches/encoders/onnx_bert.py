"""The encoder as an ONNX graph of the operators that onnxruntime has fused kernels for; it is written out, not exported."""

import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from scripts.benches.encoders.weights import Weights

_FUSED = "com.microsoft"
_OPSETS = (helper.make_opsetid("", 17), helper.make_opsetid(_FUSED, 1))
_IR_VERSION = 8


class _Graph:
    """Nodes and constants, and a name for whatever comes next."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, values: NDArray[Any]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def linear(self, x: str, weights: Weights, name: str) -> str:
        weight, bias = weights.of(name)
        return self.node("Add", self.node("MatMul", x, self.constant(weight.T)), self.constant(bias))

    def norm(self, x: str, weights: Weights, name: str) -> str:
        weight, bias = weights.of(name)
        return self.node("LayerNormalization", x, self.constant(weight), self.constant(bias), axis=-1, epsilon=weights.eps)

    def layer(self, x: str, weights: Weights, index: int) -> str:
        name = f"blk.{index}"
        parts = [self.linear(x, weights, f"{name}.attn_{part}") for part in "qkv"]
        seen = self.node("MultiHeadAttention", *parts, domain=_FUSED, num_heads=weights.heads)
        x = self.norm(self.node("Add", x, self.linear(seen, weights, f"{name}.attn_output")), weights, f"{name}.attn_output_norm")
        inner = self.node("FastGelu", self.linear(x, weights, f"{name}.ffn_up"), domain=_FUSED)
        return self.norm(self.node("Add", x, self.linear(inner, weights, f"{name}.ffn_down")), weights, f"{name}.layer_output_norm")


def _encoder(weights: Weights) -> Any:
    """Return the model: token ids in, (1, tokens, width) out."""
    graph, nought = _Graph(), np.array([0])
    words = graph.node("Gather", graph.constant(weights.tensors["token_embd.weight"]), "ids")
    first, axis = graph.constant(nought), graph.constant(nought)
    places = graph.node("Slice", graph.constant(weights.positions), first, graph.node("Shape", "ids"), axis)
    x = graph.norm(graph.node("Add", words, places), weights, "token_embd_norm")
    x = graph.node("Unsqueeze", x, axis)
    for index in range(weights.layers):
        x = graph.layer(x, weights, index)
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["tokens"])
    out = helper.make_tensor_value_info(x, TensorProto.FLOAT, None)
    model = helper.make_model(helper.make_graph(graph.nodes, "encoder", [ids], [out], graph.constants), opset_imports=_OPSETS)
    model.ir_version = _IR_VERSION
    return model


def _session(model: Any, *, int8: bool) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory(prefix="smallmesh-bench-") as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(model, path)
        if int8:
            logging.disable()  # it recommends a pass over the graph that fuses nothing here
            extra = {"DefaultTensorType": TensorProto.FLOAT}
            quantize_dynamic(
                path, path, op_types_to_quantize=["MatMul"], per_channel=True, weight_type=QuantType.QUInt8, extra_options=extra
            )
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def runner(weights: Weights, pooling: str, *, int8: bool) -> Callable[[Sequence[int]], NDArray[np.float32]]:
    """Return what makes of a text's tokens, special ones included, what our encoder makes of them; on one thread."""
    session = _session(_encoder(weights), int8=int8)
    pooler, scores = (weights.of("cls"), weights.of("cls.output")) if pooling == "rank" else (None, None)

    def run(ids: Sequence[int]) -> NDArray[np.float32]:
        vectors = session.run(None, {"ids": np.array(ids, np.int64)})[0][0]
        if pooler is not None and scores is not None:
            first = np.tanh(pooler[0] @ vectors[0] + pooler[1])
            return np.asarray(scores[0] @ first + scores[1], np.float32)
        mean = vectors.mean(0)
        return np.asarray(vectors[1:-1] if pooling == "none" else mean / np.linalg.norm(mean), np.float32)

    return run
