"""Painting on a CUDA GPU: uploads, network and downloads of different batches overlap.

Batches go through a ring of slots with page-locked host buffers and device buffers; copies are
asynchronous, on streams of their own, ordered by events. What is done to a batch of one shape is
recorded once as a CUDA graph. Nothing waits for the whole device, and once a shape is known nothing
is allocated on it.
"""

import threading
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor

from livestyle.engines import Done, Look, Ticket
from livestyle.engines.cpu import Networks, on_device
from livestyle.engines.memory import fits_whole, strips_note
from livestyle.engines.nv12 import nv12_from_rgb, rgb_from_nv12
from livestyle.engines.painting import levels, paint
from livestyle.engines.strips import paint_in_strips
from livestyle.frame import Image
from livestyle.network import Transformer
from livestyle.style import Body, Floats

SLOTS = 3  # one uploading, one being painted, one downloading
WARM_UPS = 3  # libraries choose their kernels in the first runs


def gpu_count() -> int:
    """The GPUs that can be used; none without a driver."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def gpu_name(device: str) -> str:
    """As its maker calls it."""
    return str(torch.cuda.get_device_name(device))


@cache
def has_triton() -> bool:
    """Whether kernels can be compiled: Triton is there, and what it needs, a C compiler and Python's headers."""
    try:
        from triton.runtime import driver

        return bool(driver.active.utils)
    except Exception:  # its own, the linker's, or a subprocess's
        return False


def fused(network: Transformer) -> Callable[[Tensor, Tensor], Tensor]:
    """The network with fused kernels, as a function of photo and rows; as it is where they cannot be compiled."""
    if not has_triton():
        return network
    from livestyle.engines.fused import FusedOps, Lazy

    convolutions = network.convolutions

    def run(photo: Tensor, rows: Tensor) -> Tensor:
        painted: Tensor = network.architecture.paint(FusedOps(convolutions, rows), Lazy(photo)).raw
        return painted

    return run


class Program:
    """One body for batches of one shape, recorded as a graph on buffers of its own."""

    def __init__(self, network: Transformer, shape: tuple[int, ...], mixed: bool, device: str, stream: torch.cuda.Stream) -> None:
        run = fused(network)
        self._graph = torch.cuda.CUDAGraph()
        exact = torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)
        with torch.cuda.device(device), torch.cuda.stream(stream), exact:
            self.frames = torch.zeros(shape, dtype=torch.uint8, device=device)  # (N, H, W, 3), or NV12
            self.rows = torch.zeros((2, network.architecture.row_length), dtype=torch.float16, device=device)
            self.mixing = torch.eye(3, device=device) if mixed else None
            for _ in range(WARM_UPS):
                paint(run, self.rows, self.mixing, self.frames)
            with torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
                self.painted = paint(run, self.rows, self.mixing, self.frames)  # as frames
        self._set: tuple[Floats | None, Floats | None] = None, None

    def set_look(self, look: Look) -> None:
        """Copy what changed into the graph's buffers: a few kilobytes. Nothing is compiled or recorded again."""
        if self._set[0] is not look.rows:
            self.rows.copy_(torch.from_numpy(look.rows).half().pin_memory(), non_blocking=True)
        if self.mixing is not None and look.mixing is not None and self._set[1] is not look.mixing:
            self.mixing.copy_(torch.from_numpy(look.mixing).pin_memory(), non_blocking=True)
        self._set = look.rows, look.mixing

    def replay(self) -> None:
        self._graph.replay()


class Slot:
    """The buffers of one batch on its way, and the event that says it is back."""

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = ()
        self.downloaded = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # who waits leaves its core to others
        self.taken = False

    def fit(self, shape: tuple[int, ...], device: str) -> None:
        """(N, H, W, 3): allocate, if the shape is a new one."""
        if shape == self.shape:
            return
        self.host_in = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        self.device_in = torch.empty(shape, dtype=torch.uint8, device=device)
        self.device_out = torch.empty(shape, dtype=torch.uint8, device=device)
        self.shape = shape


class CudaTicket:
    """A batch in a slot."""

    def __init__(self, slot: Slot, host_out: Tensor) -> None:
        self._slot, self._host_out = slot, host_out

    def result(self) -> list[Image]:
        self._slot.downloaded.synchronize()
        self._slot.taken = False
        return list(self._host_out.numpy())  # page-locked memory that torch takes back when the last frame has gone


class CudaEngine:
    """Half precision, channels-last, norm statistics in fp32."""

    precision = "float16"
    batches: tuple[int, ...] = (1, 2, 4, 8)
    takes_nv12 = True

    def __init__(self, device: str) -> None:
        self.name = device
        self.notes: list[str] = []
        self._networks = Networks(device, torch.float16)
        self._exact = Networks(device, torch.float32)
        self._programs: dict[tuple[Body, tuple[int, ...], bool], Program | None] = {}  # None: there was no memory for it
        self._recording = threading.Lock()  # a body must not be copied onto a stream that is being recorded
        self._slots = [Slot() for _ in range(SLOTS)]
        self._next = 0
        streams = [torch.cuda.Stream(device) for _ in range(3)]  # type: ignore[no-untyped-call]
        self._upload, self._compute, self._download = streams

    def prepare(self, body: Body) -> None:
        with self._recording, torch.cuda.stream(self._compute):  # so that painting waits for it
            self._networks[body]

    @torch.inference_mode()
    def submit(self, frames: Sequence[Image], look: Look) -> Ticket:
        slot = self._slots[self._next]
        if slot.taken:
            raise RuntimeError(f"at most {SLOTS} batches at a time: fetch a result first")
        with self._recording:
            program = self._program(frames, look)
        if program is None:
            return self._paint_in_strips(frames, look)
        slot.fit(tuple(program.frames.shape), self.name)
        n = len(frames)  # a file's last batch may be smaller than the program's: the rest is painted, and left
        np.stack(frames, out=slot.host_in[:n].numpy())
        with torch.cuda.stream(self._upload):
            slot.device_in[:n].copy_(slot.host_in[:n], non_blocking=True)
        self._compute.wait_stream(self._upload)
        with torch.cuda.stream(self._compute):
            program.set_look(look)
            program.frames[:n].copy_(slot.device_in[:n])
            program.replay()
            slot.device_out[:n].copy_(program.painted[:n])
        self._download.wait_stream(self._compute)
        with torch.cuda.stream(self._download):
            host_out = torch.empty((n, *slot.shape[1:]), dtype=torch.uint8, pin_memory=True)
            host_out.copy_(slot.device_out[:n], non_blocking=True)
            slot.downloaded.record()
        slot.taken = True
        self._next = (self._next + 1) % SLOTS
        return CudaTicket(slot, host_out)

    def _program(self, frames: Sequence[Image], look: Look) -> Program | None:
        """The program for such a batch; None if it is to be painted in strips, by its size or for want of memory."""
        shape, mixed = (len(frames), *frames[0].shape), look.mixing is not None
        key = (look.body, shape, mixed)
        if key in self._programs:
            return self._programs[key]
        for old in [old for old in self._programs if old[1][1:] != shape[1:]]:
            del self._programs[old]  # a folder of pictures has many sizes
        same = {
            made[0]: program for (body, made, mixes), program in self._programs.items() if (body, mixes) == (look.body, mixed)
        }
        larger = [count for count, program in same.items() if count > len(frames) and program is not None]
        if larger and len(frames) > 1:
            return same[min(larger)]
        torch.cuda.empty_cache()  # so that what is free is known: the rest belongs to programs
        if not fits_whole(look.body.architecture, frames[0], len(frames), torch.cuda.mem_get_info(self.name)[0]):
            return None
        try:
            self._programs[key] = Program(self._networks[look.body], shape, mixed, self.name, self._compute)
        except RuntimeError as error:  # OutOfMemoryError is one; cuDNN says it in its own way
            if not isinstance(error, torch.OutOfMemoryError) and "unable to find an engine" not in str(error):
                raise
            self._programs[key] = None
        if self._programs[key] is None:
            torch.cuda.empty_cache()
        return self._programs[key]

    def _paint_in_strips(self, frames: Sequence[Image], look: Look) -> Done:
        if frames[0].ndim == 2:  # NV12, by way of the CPU
            photos = [levels(rgb_from_nv12(torch.tensor(frame)[None]))[0].numpy() for frame in frames]
            paintings = torch.from_numpy(np.stack(self._paint_in_strips(photos, look).result()))  # (N, H, W, 3)
            return Done(list(nv12_from_rgb(paintings.permute(0, 3, 1, 2) / 255).numpy()))
        if (note := strips_note(frames[0])) not in self.notes:
            self.notes.append(note)
        with torch.cuda.stream(self._compute), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            network, (rows, mixing) = self._exact[look.body], on_device(look, self.name)
            return Done([paint_in_strips(network, rows, mixing, frame) for frame in frames])

    def close(self) -> None:
        torch.cuda.synchronize(self.name)
        self._programs.clear()
        self._slots.clear()
        torch.cuda.empty_cache()
