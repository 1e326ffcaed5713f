"""The protocol of engines."""

from collections.abc import Sequence
from typing import Protocol

from livestyle.frame import Image
from livestyle.look import Look
from livestyle.networks.body import Body

Batch = Sequence[tuple[Image, Look]]
"""One or more frames, each with its look. All frames have one shape, all looks one body.

A frame is (H, W, 3) uint8 RGB and C-contiguous, or NV12 if `Engine.takes_nv12`. It must not change before the batch's result
is fetched.
"""


class Ticket(Protocol):
    """Handle of a submitted batch."""

    def result(self) -> list[Image]:
        """Wait for the painted frames: in order, in the frames' shape, owned by the caller. Call it once.

        Raises the error if painting failed.
        """


class Engine(Protocol):
    """Paints batches on one device. Several threads may use one engine."""

    name: str
    """cpu, openvino, cuda:0 ..."""
    precision: str
    """Precision of the networks that support half precision: float32, bfloat16 or float16. The others run in float32."""
    batches: tuple[int, ...]
    """Batch sizes that may be fastest offline, ascending; `Stylizer.best_batch` measures which one is."""
    batches_in_flight: int
    """How many batches to submit before waiting for the first one's result, so that the device is never idle. 1: no overlap."""
    takes_nv12: bool
    """Whether frames may be NV12; the painted frames are then NV12 too."""
    gpu: int
    """CUDA's index of the GPU, so that videos are decoded and encoded on the same one; 0 if the engine does not use CUDA."""
    notes: list[str]
    """Informational notes, for example that frames are painted in strips."""

    def prepare(self, body: Body) -> None:
        """Copy a body to the device, so that its first look starts without delay."""

    def submit(self, batch: Batch) -> Ticket:
        """Start painting.

        Raises TooLargeError, before anything is allocated, if a frame does not fit the memory.
        """

    def close(self) -> None:
        """Free the device's memory. Idempotent. Tickets stay valid; nothing may be submitted afterwards."""


class Done:
    """Ticket of a batch that is already painted."""

    def __init__(self, images: list[Image]) -> None:
        self._images = images

    def result(self) -> list[Image]:
        return self._images
