"""OpenVINO backend of the transformer networks: graphs from uint8 frames to uint8 frames, without PyTorch.

The style's rows are an input of the graph, so that a change of style needs no compilation.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from livestyle.frame import FloatArray
from livestyle.networks.body import Body
from livestyle.networks.ops import Border, mirrored


@contextmanager
def _no_telemetry() -> Iterator[None]:
    """Hide the telemetry module while OpenVINO is imported. Otherwise the import forks a process that sends usage data.

    The module is restored afterwards, as the embedding program may use it.
    """
    name = "openvino_telemetry"
    before = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]  # importing it raises ImportError
    try:
        yield
    finally:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before


with _no_telemetry():
    import openvino as ov
    from openvino import opset13 as op

__all__ = ["GraphOps", "build_graph", "ov"]  # other modules import `ov` from here, without telemetry
Node = Any  # OpenVINO's nodes are untyped


class GraphOps:
    """Interpreter that builds an OpenVINO graph. Feature maps are its nodes, (1, C, H, W). rows: a node, (2, K)."""

    def __init__(self, parameters: dict[str, FloatArray], rows: Node) -> None:
        self._parameters = parameters
        self._rows = rows
        self._taken = 0

    def size(self, x: Node) -> tuple[int, int]:
        _, _, height, width = x.get_output_shape(0)
        return height, width

    def centre(self, x: Node) -> Node:
        return op.subtract(x, op.reduce_mean(x, [2, 3], keep_dims=True))

    def scale(self, x: Node, factor: float, shift: float = 0.0) -> Node:
        x = op.multiply(x, np.float32(factor))
        return op.add(x, np.float32(shift)) if shift else x

    def reflect(self, x: Node, left: int, right: int, top: int, bottom: int) -> Node:
        # op.pad requires a pad smaller than the side; otherwise gather rows and columns
        height, width = self.size(x)
        if max(top, bottom) < height and max(left, right) < width:
            return op.pad(x, [0, 0, top, left], [0, 0, bottom, right], "reflect")
        x = op.gather(x, np.array(mirrored(height, top, bottom)), np.int64(2))
        return op.gather(x, np.array(mirrored(width, left, right)), np.int64(3))

    def conv(self, name: str, x: Node, channels: int, size: int, stride: int = 1, border: Border = "reflect") -> Node:
        rim = size // 2
        if border == "reflect":
            x = self.reflect(x, rim, rim, rim, rim)
        elif border == "repeat":
            x = op.pad(x, [0, 0, rim, rim], [0, 0, rim, rim], "edge")
        weight, bias = self._parameters[f"{name}.weight"], self._parameters[f"{name}.bias"]
        return op.add(op.convolution(x, weight, [stride] * 2, [0, 0], [0, 0], [1, 1]), bias[None, :, None, None])

    def norm(self, x: Node) -> Node:
        channels = x.get_output_shape(0)[1]
        first, self._taken = self._taken, self._taken + channels
        scale, shift = (
            op.reshape(op.slice(self._rows, [row, first], [row + 1, first + channels], [1, 1]), [1, channels, 1, 1], False)
            for row in (0, 1)
        )
        normal = op.mvn(x, [2, 3], normalize_variance=True, eps=1e-5, eps_mode="inside_sqrt")
        return op.add(op.multiply(normal, scale), shift)

    def relu(self, x: Node) -> Node:
        return op.relu(x)

    def tanh(self, x: Node) -> Node:
        return op.tanh(x)

    def sigmoid(self, x: Node) -> Node:
        return op.sigmoid(x)

    def add(self, x: Node, y: Node) -> Node:
        return op.add(x, y)

    def blur(self, x: Node) -> Node:
        channels = x.get_output_shape(0)[1]
        line = np.array([1, 2, 1], np.float32) / 4
        weights = np.tile(np.outer(line, line), (channels, 1, 1, 1, 1))  # (groups, 1, 1, 3, 3)
        return op.group_convolution(op.pad(x, [0, 0, 1, 1], [0, 0, 1, 1], "edge"), weights, [1, 1], [0, 0], [0, 0], [1, 1])

    def upsample(self, x: Node) -> Node:
        size = np.array(self.size(x), np.int64) * 2
        return op.interpolate(x, size, "linear_onnx", "sizes", axes=[2, 3], coordinate_transformation_mode="half_pixel")

    def painted(self, x: Node) -> Node:
        """Quantise to uint8, so that `shuffle` and `crop` move a quarter of the bytes."""
        return op.convert(op.round(op.multiply(x, np.float32(255)), "half_to_even"), "u8")

    def shuffle(self, x: Node, factor: int) -> Node:
        n, channels, height, width = x.get_output_shape(0)
        x = op.reshape(op.transpose(x, [0, 2, 3, 1]), [n, height, width, factor, channels // factor], False)
        x = op.reshape(op.transpose(x, [0, 1, 3, 2, 4]), [n, height * factor, width * factor, channels // factor**2], False)
        return op.transpose(x, [0, 3, 1, 2])

    def crop(self, x: Node, top: int, left: int, height: int, width: int) -> Node:
        return op.slice(x, [top, left], [top + height, left + width], [1, 1], [2, 3])


def build_graph(body: Body, height: int, width: int, mixed: bool) -> ov.Model:
    """Build the graph of a body for frames of one size.

    Inputs: frame (1, H, W, 3) uint8, rows (2, K) fp32 and, if `mixed`, the mixing matrix (3, 3) fp32.
    Output: the painted frame, (1, H, W, 3) uint8.
    """
    frame = op.parameter([1, height, width, 3], np.uint8, name="frame")
    rows = op.parameter([2, body.architecture.row_length], np.float32, name="rows")
    photo = op.transpose(op.convert(frame, "f32"), [0, 3, 1, 2])  # (1, 3, H, W), 0..255
    painted = body.architecture.forward(GraphOps(body.parameters, rows), op.multiply(photo, np.float32(1 / 255)))
    if not mixed:
        return ov.Model([op.transpose(painted, [0, 2, 3, 1])], [frame, rows], body.architecture.name)
    mixing = op.parameter([3, 3], np.float32, name="mixing")
    weights = op.reshape(mixing, [3, 3, 1, 1], False)
    difference = op.convolution(op.subtract(op.convert(painted, "f32"), photo), weights, [1, 1], [0, 0], [0, 0], [1, 1])
    shown = op.clamp(op.round(op.add(photo, difference), "half_to_even"), 0, 255)
    return ov.Model([op.transpose(op.convert(shown, "u8"), [0, 2, 3, 1])], [frame, rows, mixing], body.architecture.name)
