"""The protocol of engines."""

from collections.abc import Sequence
from typing import Protocol

from livestyle.frame import Image
from livestyle.look import Look
from livestyle.networks.body import Body

Shot = tuple[Image, Look]
"""A frame and the look in which it is painted. The frame: (H, W, 3) uint8 RGB, contiguous; NV12 where `Engine.takes_nv12`."""


class Ticket(Protocol):
    """A submitted batch."""

    def result(self) -> list[Image]:
        """Wait for the painted frames. Call it once."""


class Engine(Protocol):
    """Paints batches on one device. Several threads may use one engine."""

    name: str
    """cpu, openvino, cuda:0 ..."""
    precision: str
    """What it computes in: float32, bfloat16, float16."""
    batches: tuple[int, ...]
    """Batch sizes that may be fastest offline; `Stylizer.best_batch` measures which one is."""
    batches_in_flight: int
    """How many batches to submit before waiting for the first one's result, so that the device is never idle. 1: no overlap."""
    takes_nv12: bool
    """Whether frames may be NV12; the painted frames are then NV12 too."""
    gpu: int
    """Index of the NVIDIA GPU that paints, as CUDA counts, for decoding and encoding on the same one; 0 elsewhere."""
    notes: list[str]
    """Informational notes: painted in strips, no compiler."""

    def prepare(self, body: Body) -> None:
        """Copy a body to the device, so that a later look with it starts without delay."""

    def submit(self, batch: Sequence[Shot]) -> Ticket:
        """Start painting one or more frames, each in its own look. All have one shape and one body.

        Raises TooLargeError, before anything is allocated, for frames that do not fit the memory.
        """

    def close(self) -> None:
        """Free the device's memory."""


class Done:
    """The ticket of a batch that is already painted."""

    def __init__(self, images: list[Image]) -> None:
        self._images = images

    def result(self) -> list[Image]:
        return self._images
