"""OpenVINO engine for the CPU. PyTorch is imported only to paint in strips."""

import importlib.util
import threading
from functools import cache
from typing import Any

import numpy as np

from livestyle.engines.base import Batch, Done, Ticket
from livestyle.engines.memory import MainMemory, strips_note
from livestyle.errors import TooLargeError
from livestyle.frame import Image
from livestyle.look import Look
from livestyle.machine import cores
from livestyle.networks.body import Body
from livestyle.networks.openvino_graph import build_graph, ov

MOST_COMPILED = 8  # compiled graphs to keep, each with its own feature maps; the oldest is dropped first
# graphs for other frame sizes are dropped if all graphs take more: enough for threads that paint several sizes, but a folder of
# pictures has many large ones
OTHER_SIZES_BYTES = 2**29


@cache
def core() -> ov.Core:
    """Return the only OpenVINO core of this process.

    A core installs its own signal stack and restores the previous one when it is destroyed. If two cores are not destroyed in
    reverse order, a freed signal stack stays installed, and the next signal crashes the process.
    """
    return ov.Core()


class RequestTicket:
    """Ticket of a batch. requests: (inference request, array (1, H, W, 3) that it writes to) of each frame."""

    def __init__(self, requests: list[tuple[ov.InferRequest, Image]]) -> None:
        self._requests = requests

    def result(self) -> list[Image]:
        for request, _ in self._requests:
            request.wait()
        return [image[0] for _, image in self._requests]


class OpenVinoEngine:
    """Paints in bf16 if the processor has instructions for it, else in fp32.

    A single frame is painted on all cores, a batch with one core per frame, as the cores then need not synchronise.
    """

    name = "openvino"
    batches_in_flight = 3
    takes_nv12 = False
    gpu = 0

    def __init__(self) -> None:
        self._core = core()
        self.precision = "bfloat16" if "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "float32"
        self.batches: tuple[int, ...] = (1, cores())
        self.notes: list[str] = []
        self._memory = MainMemory(self.precision, has_strips=importlib.util.find_spec("torch") is not None)
        self._compiled: dict[tuple[Body, int, int, bool, int], ov.CompiledModel] = {}
        self._strips: Any = None  # a CpuEngine, which paints in strips, once it is needed
        self._lock = threading.Lock()  # guards _compiled and _strips

    def prepare(self, body: Body) -> None:
        """Do nothing: a graph is compiled for a frame size, in a tenth of a second, when the first frame of that size arrives."""

    def _compile(self, look: Look, frame: Image, streams: int) -> ov.CompiledModel:
        """Return the cached or newly compiled graph. streams: number of frames that it paints in parallel."""
        height, width = frame.shape[:2]
        mixed = look.mixing is not None
        key = (look.body, height, width, mixed, streams)
        with self._lock:
            compiled = self._compiled.get(key)
            if compiled is None:
                old = list(self._compiled)[1 - MOST_COMPILED :]
                sizes = [body.architecture.bytes_per_pixel * h * w * parallel for body, h, w, _, parallel in old]  # at most
                if sum(sizes) > OTHER_SIZES_BYTES:
                    old = [each for each in old if each[1:3] == key[1:3]]
                self._compiled = {each: self._compiled[each] for each in old}  # before compiling, to free memory
                precision = self.precision if look.body.architecture.supports_half else "float32"
                settings = {
                    "NUM_STREAMS": streams,
                    "INFERENCE_NUM_THREADS": cores(),
                    "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
                }
                compiled = self._core.compile_model(build_graph(look.body, height, width, mixed), "CPU", settings)
                self._compiled[key] = compiled
        return compiled

    def submit(self, batch: Batch) -> Ticket:
        frame, look = batch[0]
        streams = min(len(batch), cores())
        if self._memory.fits_whole(look.body.architecture, frame, streams):
            return RequestTicket([self._start(frame, look, streams) for frame, look in batch])
        if len(batch) > 1:
            return Done([self.submit([pair]).result()[0] for pair in batch])
        return self._submit_in_strips(batch)

    def _start(self, frame: Image, look: Look, streams: int) -> tuple[ov.InferRequest, Image]:
        """Start an inference request. Returns it, and the array for its result, (1, H, W, 3)."""
        request, painted = self._compile(look, frame, streams).create_infer_request(), np.empty((1, *frame.shape), np.uint8)
        request.set_output_tensor(ov.Tensor(painted, shared_memory=True))
        inputs = [frame[None], look.rows] if look.mixing is None else [frame[None], look.rows, look.mixing]
        request.start_async(inputs, share_inputs=True)
        return request, painted

    def _submit_in_strips(self, batch: Batch) -> Ticket:
        """Paint a single frame in strips with PyTorch. Raises TooLargeError if PyTorch is not installed."""
        try:
            from livestyle.engines.cpu import CpuEngine
        except ImportError:
            raise TooLargeError(
                f"{strips_note(batch[0][0])}, which needs PyTorch; pip install torch, or use a smaller size"
            ) from None
        with self._lock:
            if self._strips is None:
                self._strips = CpuEngine()
                self.notes = self._strips.notes
        ticket: Ticket = self._strips.submit(batch)
        return ticket

    def close(self) -> None:
        with self._lock:
            self._compiled.clear()
            if self._strips is not None:
                self._strips.close()
