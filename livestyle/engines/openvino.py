"""Painting on the CPU with OpenVINO: the network as one compiled graph, bytes in and bytes out, without torch.

The style's rows are an input of the graph, so that a style change costs nothing.
"""

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from livestyle.architecture import Border, mirrored
from livestyle.engines import Done, Look, Ticket, cores
from livestyle.engines.memory import MainMemory, strips_note
from livestyle.errors import TooLargeError
from livestyle.frame import Image
from livestyle.style import Body, Floats


@contextmanager
def _no_telemetry() -> Iterator[None]:
    """OpenVINO, when it is imported, forks a process that sends usage data; it does without where the module is not there.

    Only meanwhile: the program that uses livestyle may want it.
    """
    name = "openvino_telemetry"
    before = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]  # as if it were not installed
    try:
        yield
    finally:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before


with _no_telemetry():
    import openvino as ov
    from openvino import opset13 as op

MOST_COMPILED = 8  # graphs of one size, each with feature maps of its own: the one compiled first goes
Node = Any  # OpenVINO's nodes carry no types


@cache
def core() -> ov.Core:
    """One for the whole process: each changes the stack on which signals are handled and puts the former back when it goes,
    so that two which do not end in turn leave a stack that is freed, and the next signal ends the process."""
    return ov.Core()


class GraphOps:
    """Feature maps are nodes of a graph that is being built, (N, C, H, W)."""

    def __init__(self, parameters: dict[str, Floats], rows: Node) -> None:
        self._parameters = parameters
        self._rows = rows  # (2, K)
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
        # the reflecting pad refuses pads that are not smaller than the side: those go by the numbers of rows and columns
        height, width = self.size(x)
        if max(top, bottom) < height and max(left, right) < width:
            return op.pad(x, [0, 0, top, left], [0, 0, bottom, right], "reflect")
        x = op.gather(x, mirrored(height, top, bottom), np.int64(2))
        return op.gather(x, mirrored(width, left, right), np.int64(3))

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

    def upsample(self, x: Node) -> Node:
        size = np.array(self.size(x), np.int64) * 2
        return op.interpolate(
            x, size, "nearest", "sizes", axes=[2, 3], coordinate_transformation_mode="asymmetric", nearest_mode="floor"
        )

    def painted(self, x: Node) -> Node:
        """As bytes: pixels are moved four times as fast."""
        return op.convert(op.round(op.multiply(x, np.float32(255)), "half_to_even"), "u8")

    def shuffle(self, x: Node, factor: int) -> Node:
        n, channels, height, width = x.get_output_shape(0)
        x = op.reshape(op.transpose(x, [0, 2, 3, 1]), [n, height, width, factor, channels // factor], False)
        x = op.reshape(op.transpose(x, [0, 1, 3, 2, 4]), [n, height * factor, width * factor, channels // factor**2], False)
        return op.transpose(x, [0, 3, 1, 2])

    def crop(self, x: Node, top: int, left: int, height: int, width: int) -> Node:
        return op.slice(x, [top, left], [top + height, left + width], [1, 1], [2, 3])


def build(body: Body, height: int, width: int, mixed: bool) -> ov.Model:
    """frame (1, H, W, 3) uint8, rows (2, K) and, if mixed, the look's mixing (3, 3) -> painted (1, H, W, 3) uint8."""
    frame = op.parameter([1, height, width, 3], np.uint8, name="frame")
    rows = op.parameter([2, body.architecture.row_length], np.float32, name="rows")
    photo = op.transpose(op.convert(frame, "f32"), [0, 3, 1, 2])  # (1, 3, H, W), 0..255
    painted = body.architecture.paint(GraphOps(body.parameters, rows), op.multiply(photo, np.float32(1 / 255)))
    if not mixed:
        return ov.Model([op.transpose(painted, [0, 2, 3, 1])], [frame, rows], body.architecture.name)
    mixing = op.parameter([3, 3], np.float32, name="mixing")
    weights = op.reshape(mixing, [3, 3, 1, 1], False)
    difference = op.convolution(op.subtract(op.convert(painted, "f32"), photo), weights, [1, 1], [0, 0], [0, 0], [1, 1])
    shown = op.clamp(op.round(op.add(photo, difference), "half_to_even"), 0, 255)
    return ov.Model([op.transpose(op.convert(shown, "u8"), [0, 2, 3, 1])], [frame, rows, mixing], body.architecture.name)


class Requests:
    """The ticket of frames that OpenVINO paints."""

    def __init__(self, requests: list[tuple[ov.InferRequest, Image]]) -> None:
        self._requests = requests

    def result(self) -> list[Image]:
        for request, _ in self._requests:
            request.wait()
        return [image[0] for _, image in self._requests]


class OpenVinoEngine:
    """bf16 where the processor multiplies it, fp32 elsewhere.

    A lone frame gets all the cores; frames of a batch a core each, which wait for each other less.
    """

    name = "openvino"
    takes_nv12 = False
    gpu = 0

    def __init__(self) -> None:
        self._core = core()
        self.precision = "bfloat16" if "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "float32"
        self.batches: tuple[int, ...] = (1, cores())
        self.notes: list[str] = []
        self._memory = MainMemory(self.precision, has_strips=importlib.util.find_spec("torch") is not None)
        self._compiled: dict[tuple[Any, ...], ov.CompiledModel] = {}
        self._strips: Any = None

    def prepare(self, body: Body) -> None:
        """Nothing: compiling is for a size, and takes a tenth of a second."""

    def _compile(self, look: Look, frame: Image, streams: int) -> ov.CompiledModel:
        height, width = frame.shape[:2]
        mixed = look.mixing is not None
        key = (look.body, height, width, mixed, streams)
        compiled = self._compiled.get(key)
        if compiled is None:
            # a folder of pictures has many sizes; another dictionary, as other threads may read the old one
            kept = [(old, model) for old, model in self._compiled.items() if old[1:3] == key[1:3]][1 - MOST_COMPILED :]
            self._compiled = dict(kept)  # their memory is wanted
            settings = {"NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": cores(), "INFERENCE_PRECISION_HINT": self._hint}
            compiled = self._core.compile_model(build(look.body, height, width, mixed), "CPU", settings)
            self._compiled = {**self._compiled, key: compiled}
        return compiled

    @property
    def _hint(self) -> str:
        return "bf16" if self.precision == "bfloat16" else "f32"

    def submit(self, frames: Sequence[Image], look: Look) -> Ticket:
        together = min(len(frames), cores())
        if not self._memory.fits_whole(look.body.architecture, frames[0], together):
            return self._submit_strips(frames, look)
        compiled = self._compile(look, frames[0], together)
        shared = [look.rows] if look.mixing is None else [look.rows, look.mixing]
        requests = []
        for frame in frames:
            request, painted = compiled.create_infer_request(), np.empty((1, *frame.shape), np.uint8)
            request.set_output_tensor(ov.Tensor(painted, shared_memory=True))
            request.start_async([np.ascontiguousarray(frame[None]), *shared], share_inputs=True)
            requests.append((request, painted))
        return Requests(requests)

    def _submit_strips(self, frames: Sequence[Image], look: Look) -> Done:
        """By torch, which is imported for that alone. Without it one by one, or raises TooLargeError."""
        if self._strips is None:
            try:
                from livestyle.engines.cpu import PooledEngine
            except ImportError:
                if len(frames) > 1:
                    return Done([self.submit([frame], look).result()[0] for frame in frames])
                raise TooLargeError(
                    f"{strips_note(frames[0])}, by PyTorch, which is not installed; pip install torch, or take a smaller size"
                ) from None
            self._strips = PooledEngine()
            self.notes = self._strips.notes
        return Done(self._strips.submit(frames, look).result())

    def close(self) -> None:
        self._compiled.clear()
        if self._strips is not None:
            self._strips.close()
