"""The predictor: maps the statistics of a style picture to a style's rows.

Ghiasi et al., "Exploring the structure of a real-time, arbitrary neural artistic stylization network", 2017. Training is in
livestyle.train.predictor.
"""

from collections.abc import Mapping

import numpy as np

from livestyle.frame import FloatArray
from livestyle.prediction.statistics import STATISTICS

HIDDEN = (384, 256)


class Predictor:
    """A network of two hidden layers, (1920,) -> 384 -> 256 -> (2, K).

    tensors: as `tensor_shapes` lists them, fp32.
    """

    def __init__(self, tensors: Mapping[str, FloatArray]) -> None:
        self.tensors = tensors

    def __call__(self, statistics: FloatArray) -> FloatArray:
        """Predict rows, (2, K) fp32, from statistics as `style_statistics` returns them, (1920,)."""
        tensors = self.tensors
        x = (statistics - tensors["mean"]) / tensors["scale"]
        for layer in ("hidden.0", "hidden.1"):
            x = np.maximum(tensors[f"{layer}.weight"] @ x + tensors[f"{layer}.bias"], 0)
        rows: FloatArray = (tensors["rows.weight"] @ x + tensors["rows.bias"]).reshape(2, -1)
        return rows


def tensor_shapes(row_length: int) -> dict[str, tuple[int, ...]]:
    """The tensors of a predictor's file: name -> shape. row_length: K of the architecture."""
    sizes = {"hidden.0": (HIDDEN[0], STATISTICS), "hidden.1": (HIDDEN[1], HIDDEN[0]), "rows": (2 * row_length, HIDDEN[1])}
    shapes: dict[str, tuple[int, ...]] = {"mean": (STATISTICS,), "scale": (STATISTICS,)}
    for name, (outputs, inputs) in sizes.items():
        shapes |= {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
    return shapes
