"""SigLIP-B/16-512 (the tower of SmolVLM-256M) as ONNX, random weights, for onnxruntime-web.

    python tower_onnx.py tower.onnx         pixels [1, 3, 512, 512] → features [1, 1024, 768]

LayerNormalization and Gelu are operators of their own, as exporters write them.
"""

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH, MLP, HEADS, LAYERS, SIZE, PATCH = 768, 3072, 12, 12, 512, 16
TOKENS = (SIZE // PATCH) ** 2
HEAD = WIDTH // HEADS


class Graph:
    """Nodes and weights, in the order in which they are added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.random = np.random.default_rng(1)

    def constant(self, values: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def weight(self, *shape: int) -> str:
        return self.constant(self.random.standard_normal(shape, np.float32) * np.float32(0.02))

    def shape(self, *shape: int) -> str:
        return self.constant(np.array(shape, np.int64))

    def add(self, kind: str, *inputs: str, **attributes: object) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def linear(self, x: str, rows: int, columns: int) -> str:
        return self.add("Add", self.add("MatMul", x, self.weight(rows, columns)), self.weight(columns))

    def norm(self, x: str) -> str:
        ones = self.constant(np.ones(WIDTH, np.float32))
        return self.add("LayerNormalization", x, ones, self.weight(WIDTH), axis=-1, epsilon=1e-6)

    def heads(self, x: str, order: list[int]) -> str:
        split = self.add("Reshape", x, self.shape(1, TOKENS, HEADS, HEAD))
        return self.add("Transpose", split, perm=order)

    def layer(self, x: str) -> str:
        normed = self.norm(x)
        q, k, v = (self.linear(normed, WIDTH, WIDTH) for _ in range(3))
        scale = self.constant(np.array(HEAD**-0.5, np.float32))
        scores = self.add("MatMul", self.heads(q, [0, 2, 1, 3]), self.heads(k, [0, 2, 3, 1]))
        shares = self.add("Softmax", self.add("Mul", scores, scale), axis=-1)
        mixed = self.add("MatMul", shares, self.heads(v, [0, 2, 1, 3]))
        together = self.add("Transpose", mixed, perm=[0, 2, 1, 3])
        flat = self.add("Reshape", together, self.shape(1, TOKENS, WIDTH))
        x = self.add("Add", x, self.linear(flat, WIDTH, WIDTH))
        wide = self.add("Gelu", self.linear(self.norm(x), WIDTH, MLP), approximate="tanh")
        return self.add("Add", x, self.linear(wide, MLP, WIDTH))


def main() -> None:
    graph = Graph()
    size = {"kernel_shape": [PATCH, PATCH], "strides": [PATCH, PATCH]}
    x = graph.add("Conv", "pixels", graph.weight(WIDTH, 3, PATCH, PATCH), graph.weight(WIDTH), **size)
    x = graph.add("Reshape", x, graph.shape(1, WIDTH, TOKENS))
    x = graph.add("Transpose", x, perm=[0, 2, 1])
    x = graph.add("Add", x, graph.weight(1, TOKENS, WIDTH))
    for _ in range(LAYERS):
        x = graph.layer(x)
    graph.nodes.append(
        helper.make_node(
            "LayerNormalization",
            [x, graph.constant(np.ones(WIDTH, np.float32)), graph.weight(WIDTH)],
            ["features"],
            axis=-1,
            epsilon=1e-6,
        )
    )
    made = helper.make_graph(
        graph.nodes,
        "siglip",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, TOKENS, WIDTH])],
        graph.weights,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, sys.argv[1])


if __name__ == "__main__":
    main()
