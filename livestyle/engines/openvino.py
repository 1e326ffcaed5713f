"""Painting on the CPU with OpenVINO, without torch."""

import importlib.util
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from livestyle.engines.base import Done, Shot, Ticket
from livestyle.engines.memory import MainMemory, strips_note
from livestyle.errors import TooLargeError
from livestyle.frame import Image
from livestyle.look import Look
from livestyle.machine import cores
from livestyle.networks.body import Body
from livestyle.networks.openvino_graph import build_graph, ov

MOST_COMPILED = 8  # graphs of one size, each with its own feature maps; the oldest is dropped first


@cache
def core() -> ov.Core:
    """The one OpenVINO core of this process.

    Each core replaces the stack on which signals are handled and restores the former one when it is destroyed. Two cores
    that are not destroyed in reverse order leave a freed stack, and the next signal ends the process.
    """
    return ov.Core()


class RequestTicket:
    """A batch of frames, each with its OpenVINO request."""

    def __init__(self, requests: list[tuple[ov.InferRequest, Image]]) -> None:
        self._requests = requests

    def result(self) -> list[Image]:
        for request, _ in self._requests:
            request.wait()
        return [image[0] for _, image in self._requests]


class OpenVinoEngine:
    """Paints in bf16 where the processor has instructions for it, else in fp32.

    A single frame is painted on all cores; each frame of a batch on one core, which synchronises less.
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
        self._compiled: dict[tuple[Any, ...], ov.CompiledModel] = {}
        self._strips: Any = None
        self._lock = threading.Lock()  # of _compiled and _strips

    def prepare(self, body: Body) -> None:
        """Do nothing: a graph is compiled for a size, in a tenth of a second."""

    def _compile(self, look: Look, frame: Image, streams: int) -> ov.CompiledModel:
        height, width = frame.shape[:2]
        mixed = look.mixing is not None
        key = (look.body, height, width, mixed, streams)
        with self._lock:
            compiled = self._compiled.get(key)
            if compiled is None:
                # graphs of other sizes are dropped, as a folder of pictures has many sizes
                kept = [(old, model) for old, model in self._compiled.items() if old[1:3] == key[1:3]][1 - MOST_COMPILED :]
                self._compiled = dict(kept)  # before compiling, to free their memory
                precision = self.precision if look.body.architecture.supports_half else "float32"
                settings = {
                    "NUM_STREAMS": streams,
                    "INFERENCE_NUM_THREADS": cores(),
                    "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
                }
                compiled = self._core.compile_model(build_graph(look.body, height, width, mixed), "CPU", settings)
                self._compiled[key] = compiled
        return compiled

    def submit(self, batch: Sequence[Shot]) -> Ticket:
        frame, look = batch[0]
        streams = min(len(batch), cores())
        if not self._memory.fits_whole(look.body.architecture, frame, streams):
            return self._submit_strips(batch)
        requests = []
        for frame, look in batch:
            request, painted = self._compile(look, frame, streams).create_infer_request(), np.empty((1, *frame.shape), np.uint8)
            request.set_output_tensor(ov.Tensor(painted, shared_memory=True))
            inputs = [frame[None], look.rows] if look.mixing is None else [frame[None], look.rows, look.mixing]
            request.start_async(inputs, share_inputs=True)
            requests.append((request, painted))
        return RequestTicket(requests)

    def _submit_strips(self, batch: Sequence[Shot]) -> Done:
        """Paint in strips with PyTorch, which is imported only for that. Without PyTorch one by one; raises TooLargeError."""
        try:
            from livestyle.engines.cpu import CpuEngine
        except ImportError:
            if len(batch) > 1:
                return Done([self.submit([shot]).result()[0] for shot in batch])
            raise TooLargeError(
                f"{strips_note(batch[0][0])}, by PyTorch, which is not installed; pip install torch, or take a smaller size"
            ) from None
        with self._lock:
            if self._strips is None:
                self._strips = CpuEngine()
                self.notes = self._strips.notes
        return Done(self._strips.submit(batch).result())

    def close(self) -> None:
        with self._lock:
            self._compiled.clear()
            if self._strips is not None:
                self._strips.close()
