"""Painting on a CUDA GPU: uploads, network and downloads of different batches overlap.

Batches go through a ring of slots. Each slot has page-locked host buffers and device buffers,
allocated when the frame size changes and never in between; copies are asynchronous, on streams of
their own, ordered by events. Nothing waits for the whole device.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from livestyle.engines import Look
from livestyle.engines.cpu import Networks
from livestyle.engines.painting import check_memory, paint
from livestyle.frame import Image
from livestyle.network import Transformer

SLOTS = 3  # one uploading, one being painted, one downloading


def gpu_count() -> int:
    """The GPUs that can be used; none without a driver."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def gpu_name(device: torch.device) -> str:
    """As its maker calls it."""
    return str(torch.cuda.get_device_name(device))


class Slot:
    """The buffers of one batch, and the event that says it is back."""

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = ()
        self.downloaded = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self.taken = False

    def fit(self, shape: tuple[int, ...], device: torch.device) -> None:
        """(N, H, W, 3): allocate, if the shape is a new one."""
        if shape == self.shape:
            return
        self.shape = shape
        self.host_in = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        self.host_out = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        self.device_in = torch.empty(shape, dtype=torch.uint8, device=device)
        self.device_out = torch.empty(shape, dtype=torch.uint8, device=device)


class CudaTicket:
    """A batch in a slot."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot

    def result(self) -> list[Image]:
        self._slot.downloaded.synchronize()
        images = list(self._slot.host_out.numpy().copy())  # the slot is used again
        self._slot.taken = False
        return images


class CudaEngine:
    """Half precision, channels-last; norm statistics are in fp32 inside torch's group norm."""

    batch = 4

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._networks = Networks(device, torch.float16)
        self._slots = [Slot() for _ in range(SLOTS)]
        self._next = 0
        streams = [torch.cuda.Stream(device) for _ in range(3)]  # type: ignore[no-untyped-call]
        self._upload, self._compute, self._download = streams
        self._rows: tuple[Tensor, Tensor] | None = None  # the look's own rows, and their copy on the device

    def prepare(self, network: Transformer) -> None:
        with torch.cuda.stream(self._compute):  # so that painting waits for it
            self._networks[network]

    @torch.inference_mode()
    def submit(self, frames: Sequence[Image], look: Look) -> CudaTicket:
        slot = self._slots[self._next]
        if slot.taken:
            raise RuntimeError(f"at most {SLOTS} batches at a time: fetch a result first")
        shape = (len(frames), *frames[0].shape)
        if shape != slot.shape:
            cached_bytes = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
            free_bytes = torch.cuda.mem_get_info(self.device)[0] + cached_bytes
            check_memory(look.network, frames[0], len(frames), free_bytes)
        slot.fit(shape, self.device)
        np.stack(frames, out=slot.host_in.numpy())
        with torch.cuda.stream(self._upload):
            slot.device_in.copy_(slot.host_in, non_blocking=True)
        self._compute.wait_stream(self._upload)
        with torch.cuda.stream(self._compute):
            network, rows = self._networks[look.network], self._place(look.rows)
            slot.device_out.copy_(paint(network, rows, look, slot.device_in))
        self._download.wait_stream(self._compute)
        with torch.cuda.stream(self._download):
            slot.host_out.copy_(slot.device_out, non_blocking=True)
            slot.downloaded.record()
        slot.taken = True
        self._next = (self._next + 1) % SLOTS
        return CudaTicket(slot)

    def _place(self, rows: Tensor) -> Tensor:
        """The rows on the device: a few kilobytes, copied when the look changes."""
        if self._rows is None or self._rows[0] is not rows:
            self._rows = rows, rows.to(self.device, torch.float16)
        return self._rows[1]

    def close(self) -> None:
        torch.cuda.synchronize(self.device)
        self._slots.clear()
