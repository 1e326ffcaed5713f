"""Painting on a CUDA GPU: uploads, network and downloads of different batches overlap.

Batches go through slots with page-locked host buffers and device buffers; copies are asynchronous, on
streams of their own, ordered by events. What is done to a batch of one shape is recorded once as a
CUDA graph; all graphs share one pool of memory. Nothing waits for the whole device, and once a shape
is known nothing is allocated on it.
"""

import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from livestyle.engines import Done, Look, Ticket
from livestyle.engines.cpu import Networks, on_device
from livestyle.engines.memory import fits_whole, strips_note
from livestyle.engines.nv12 import nv12_from_rgb, rgb_from_nv12
from livestyle.engines.painting import levels, paint
from livestyle.engines.strips import paint_in_strips
from livestyle.errors import TooLargeError
from livestyle.frame import Image
from livestyle.network import Transformer
from livestyle.style import Body, Floats

MOST_PROGRAMS = 16  # two for each of some bodies, or one for each of some batch sizes: the one used longest ago goes
RECORDING = threading.Lock()  # one at a time in a process: a recording ends if another thread waits for the device
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
    """One body for batches of one shape, recorded as a graph on buffers of its own.

    pool: another program's, to share its memory for feature maps, or None. Programs never run at once, and what one has
    painted is copied away before the next one runs.
    """

    def __init__(
        self,
        network: Transformer,
        shape: tuple[int, ...],
        mixed: bool,
        device: str,
        stream: torch.cuda.Stream,
        pool: Any,
    ) -> None:
        run = fused(network)
        self._graph = torch.cuda.CUDAGraph()
        exact = torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)
        with torch.cuda.device(device), torch.cuda.stream(stream), exact:
            self.frames = torch.zeros(shape, dtype=torch.uint8, device=device)  # (N, H, W, 3), or NV12
            self.rows = torch.zeros((2, network.architecture.row_length), dtype=torch.float16, device=device)
            self.mixing = torch.eye(3, device=device) if mixed else None
            for _ in range(WARM_UPS):
                paint(run, self.rows, self.mixing, self.frames)
            with torch.cuda.graph(self._graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
                self.painted = paint(run, self.rows, self.mixing, self.frames)  # as frames
        self._set: tuple[Floats | None, Floats | None] = None, None

    @property
    def pool(self) -> Any:
        """Torch's handle of its feature maps' memory."""
        return self._graph.pool()

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
    """The buffers of one batch on its way, (N, H, W, 3) or NV12, and the event that says it is back."""

    def __init__(self, shape: tuple[int, ...], device: str, upload: torch.cuda.Stream, compute: torch.cuda.Stream) -> None:
        self.shape = shape
        self.downloaded = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # who waits leaves its core to others
        self.host_in = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        # each on the stream that writes it, or it might be memory that another stream still reads
        with torch.cuda.stream(upload):
            self.device_in = torch.empty(shape, dtype=torch.uint8, device=device)
        with torch.cuda.stream(compute):
            self.device_out = torch.empty(shape, dtype=torch.uint8, device=device)


class CudaTicket:
    """A batch in a slot, which goes back to the free ones with the result."""

    def __init__(self, slot: Slot, host_out: Tensor, free: list[Slot]) -> None:
        self._slot, self._host_out, self._free = slot, host_out, free

    def result(self) -> list[Image]:
        self._slot.downloaded.synchronize()
        self._free.append(self._slot)
        return list(self._host_out.numpy())  # page-locked memory that torch takes back when the last frame has gone


class CudaEngine:
    """Half precision, channels-last, norm statistics in fp32. Several threads may use it: they take turns."""

    precision = "float16"
    batches: tuple[int, ...] = (1, 2, 4, 8)
    takes_nv12 = True

    def __init__(self, device: str) -> None:
        self.name, self.gpu = device, torch.device(device).index or 0
        self.notes: list[str] = []
        self._networks = Networks(device, torch.float16)
        self._exact = Networks(device, torch.float32)
        # the last used is the last; None: painted in strips; an error: not even that
        self._programs: dict[tuple[Body, tuple[int, ...], bool], Program | TooLargeError | None] = {}
        self._turn = threading.Lock()
        self._free: list[Slot] = []
        streams = [torch.cuda.Stream(device) for _ in range(3)]  # type: ignore[no-untyped-call]
        self._upload, self._compute, self._download = streams

    def prepare(self, body: Body) -> None:
        with self._turn, torch.cuda.stream(self._compute):  # so that painting waits for it
            self._networks[body]

    @torch.inference_mode()
    def submit(self, frames: Sequence[Image], look: Look) -> Ticket:
        with self._turn:
            program = self._program(frames, look)
            return self._start(program, frames, look) if program is not None else self._paint_in_strips(frames, look)

    def _start(self, program: Program, frames: Sequence[Image], look: Look) -> CudaTicket:
        slot, n = self._take_slot(tuple(program.frames.shape)), len(frames)
        # a file's last batch may be smaller than the program's: the rest is painted, and left
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
        return CudaTicket(slot, host_out, self._free)

    def _take_slot(self, shape: tuple[int, ...]) -> Slot:
        """A free one of that shape; a new one if there is none. Other shapes' are given up: all that read them is done."""
        while self._free:
            slot = self._free.pop()
            if slot.shape == shape:
                return slot
        return Slot(shape, self.name, self._upload, self._compute)

    def _program(self, frames: Sequence[Image], look: Look) -> Program | None:
        """The program for such a batch; None if it is to be painted in strips, by its size or for want of memory."""
        shape, mixed = (len(frames), *frames[0].shape), look.mixing is not None
        key = (look.body, shape, mixed)
        if key in self._programs:
            self._programs[key] = self._programs.pop(key)
        else:
            for old in [old for old in self._programs if old[1][1:] != shape[1:]]:
                del self._programs[old]  # a folder of pictures has many sizes
            larger = {
                made[0]: program
                for (body, made, mixes), program in self._programs.items()
                if (body, mixes) == (look.body, mixed) and made[0] > len(frames) and isinstance(program, Program)
            }
            if larger and len(frames) > 1:
                return larger[min(larger)]
            while len(self._programs) >= MOST_PROGRAMS:
                del self._programs[next(iter(self._programs))]
            with RECORDING:
                self._programs[key] = self._record(frames[0], shape, look)
        program = self._programs[key]
        if isinstance(program, TooLargeError):
            raise TooLargeError(str(program), program.fits)
        return program

    def _record(self, frame: Image, shape: tuple[int, ...], look: Look) -> Program | TooLargeError | None:
        """The new program; None or the error, which are kept like it, so that they cost nothing at the next frame."""
        torch.cuda.empty_cache()  # so that what is free is known: the rest belongs to programs
        free, architecture = torch.cuda.mem_get_info(self.name)[0], look.body.architecture
        try:
            if not fits_whole(architecture, frame, shape[0], free, precision=self.precision):
                return None
            with torch.cuda.stream(self._compute):
                network = self._networks[look.body]
            pool = next((program.pool for program in self._programs.values() if isinstance(program, Program)), None)
            return Program(network, shape, look.mixing is not None, self.name, self._compute, pool)
        except TooLargeError as error:
            return error.with_traceback(None)  # which would hold on to the frame
        except RuntimeError as error:  # OutOfMemoryError is one; cuDNN says it in its own way
            if not isinstance(error, torch.OutOfMemoryError) and "unable to find an engine" not in str(error):
                raise
        torch.cuda.empty_cache()
        return None

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
        with self._turn:
            self._programs.clear()
            self._free.clear()
        torch.cuda.empty_cache()
