"""Protocols of engines and of their tickets."""

from collections.abc import Sequence
from typing import Protocol

from livestyle.frame import Image
from livestyle.look import Look
from livestyle.networks.body import Body

Batch = Sequence[tuple[Image, Look]]
"""One or more frames, each with its look. All frames have one shape, all looks one body.

A frame is (H, W, 3) uint8 RGB and C-contiguous, or NV12 if `Engine.takes_nv12`. It must not be modified before the batch's
result is fetched.
"""


class Ticket(Protocol):
    """Handle of a submitted batch."""

    def result(self) -> list[Image]:
        """Wait for the painted frames and return them: in order, same shapes, owned by the caller. Call it once.

        If painting failed, raises the error.
        """


class Engine(Protocol):
    """Paints batches on one device. Several threads may use one engine."""

    name: str
    """The device: cpu, openvino, mps, cuda:0, cuda:1 ..."""
    precision: str
    """Precision of the networks that support half precision: float32, bfloat16 or float16. The others run in float32."""
    batches: tuple[int, ...]
    """Batch sizes that may be fastest offline, ascending; `Stylizer.best_batch` measures which one is."""
    batches_in_flight: int
    """Batches to submit before fetching the first one's result, so that the device is never idle. 1 means no overlap."""
    takes_nv12: bool
    """Whether frames may be NV12; the painted frames are then NV12 too."""
    gpu: int
    """CUDA index of the GPU, so that videos are decoded and encoded on the same GPU. 0 if the engine does not use CUDA."""
    notes: list[str]
    """Messages for the user that are not errors, for example that frames are painted in strips."""

    def prepare(self, body: Body) -> None:
        """Copy a body to the device, so that the first frame painted with it starts without delay."""

    def submit(self, batch: Batch) -> Ticket:
        """Start painting a batch.

        Raises TooLargeError, before anything is allocated, if a frame does not fit in memory.
        """

    def close(self) -> None:
        """Free the device's memory. Idempotent. Tickets remain valid, but no batch may be submitted afterwards."""


class Done:
    """Ticket of a batch that is already painted."""

    def __init__(self, images: list[Image]) -> None:
        self._images = images

    def result(self) -> list[Image]:
        return self._images
