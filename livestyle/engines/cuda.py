"""Engine on CUDA: uploads, computation and downloads of different batches overlap.

Every batch has a slot with pinned host memory and device buffers. Copies are asynchronous, on separate streams ordered by
events. The computation for batches of one shape is captured once as a CUDA graph; all graphs share one memory pool. After the
first batches of a shape, nothing synchronises the whole device, and nothing is allocated on it.
"""

import operator
import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from livestyle.engines.base import Batch, Done, Ticket
from livestyle.engines.cpu import Networks, on_device
from livestyle.engines.memory import fits_whole, strips_note
from livestyle.engines.nv12 import nv12_from_rgb, rgb_from_nv12
from livestyle.engines.strips import paint_in_strips
from livestyle.engines.torch_batch import paint_batch
from livestyle.errors import TooLargeError
from livestyle.frame import Image, size_of
from livestyle.look import Look
from livestyle.networks.body import Body
from livestyle.networks.torch_ops import TransformerNetwork, to_uint8

MOST_GRAPHS = 16  # one per body, batch size, and with or without mixing; the least recently used one is dropped
CAPTURING = threading.Lock()  # one capture at a time per process: a capture fails if another thread synchronises the device
WARM_UPS = 3  # runs before the capture, in which libraries choose their kernels


def gpu_count() -> int:
    """Number of usable GPUs; 0 without a driver."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def gpu_name(device: str) -> str:
    """Product name of a GPU. device: cuda:0, cuda:1 ..."""
    return str(torch.cuda.get_device_name(device))


@cache
def has_triton() -> bool:
    """Whether Triton can compile kernels, which takes a C compiler and Python's headers."""
    try:
        from triton.runtime import driver

        return bool(driver.active.utils)
    except Exception:  # from Triton, the linker or a subprocess
        return False


def fused(network: TransformerNetwork) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a function of photo and rows: the network with fused kernels, or the network itself if they are not supported."""
    if not network.architecture.supports_fused or not has_triton():
        return network
    from livestyle.networks.fused_ops import FusedOps, PendingMap

    convolutions = network.convolutions

    def run(photo: Tensor, rows: Tensor) -> Tensor:
        painted: Tensor = network.architecture.forward(FusedOps(convolutions, rows), PendingMap(photo)).raw
        return painted

    return run


class CapturedGraph:
    """CUDA graph of one body for batches of one shape, with its own input and output buffers.

    shape: (N, H, W, 3), or NV12, (N, H + H/2, W). mixed: whether any look of a batch has a mixing matrix.
    pool: memory pool of another graph, to share the memory for feature maps; None for a new pool. Sharing is safe because
    graphs never run concurrently, and the result of one is copied before the next one runs.
    """

    def __init__(
        self,
        network: TransformerNetwork,
        shape: tuple[int, ...],
        mixed: bool,
        device: str,
        stream: torch.cuda.Stream,
        pool: Any,
    ) -> None:
        run, count, length = fused(network), shape[0], network.architecture.row_length
        dtype = next(network.parameters()).dtype
        self._graph = torch.cuda.CUDAGraph()
        exact = torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)
        with torch.cuda.device(device), torch.cuda.stream(stream), exact:
            self.frames = torch.zeros(shape, dtype=torch.uint8, device=device)
            self.rows = torch.zeros((count, 2, length), dtype=dtype, device=device)
            self.mixing = torch.zeros((count, 3, 3), device=device) if mixed else None

            def paint() -> Tensor:
                rows = self.rows if count > 1 else self.rows[0]  # (2, K): so that group norm can be used
                return paint_batch(run, rows, self.mixing, self.frames)

            for _ in range(WARM_UPS):
                paint()
            with torch.cuda.graph(self._graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
                self.painted = paint()  # same shape as frames
        self._looks: list[Look] = []

    @property
    def pool(self) -> Any:
        """PyTorch's handle of the memory pool for feature maps."""
        return self._graph.pool()

    def set_looks(self, looks: Sequence[Look]) -> None:
        """Copy looks, one per frame of the batch, to the graph's buffers, on the current stream.

        Does nothing if these looks are set already; otherwise copies a few kilobytes. The graph is not captured again.
        """
        if len(looks) <= len(self._looks) and all(map(operator.is_, looks, self._looks)):
            return
        # PyTorch does not reuse the pinned memory before its copies on the current stream have ended
        rows = torch.from_numpy(np.stack([look.rows for look in looks])).to(self.rows.dtype)  # (n, 2, K)
        self.rows[: len(looks)].copy_(rows.pin_memory(), non_blocking=True)
        if self.mixing is not None:
            matrices = np.stack([np.eye(3, dtype=np.float32) if look.mixing is None else look.mixing for look in looks])
            self.mixing[: len(looks)].copy_(torch.from_numpy(matrices).pin_memory(), non_blocking=True)
        self._looks = [*looks, *self._looks[len(looks) :]]

    def replay(self) -> None:
        """Paint `frames` into `painted`, on the current stream."""
        self._graph.replay()


class Slot:
    """Buffers of a batch in flight, (N, H, W, 3) or NV12, and an event that is recorded after its download."""

    def __init__(self, shape: tuple[int, ...], device: str, upload: torch.cuda.Stream, compute: torch.cuda.Stream) -> None:
        self.shape = shape
        self.downloaded = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # blocking: a waiting thread sleeps
        self.host_in = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        # allocated on the stream that writes them; otherwise they could be memory that another stream still reads
        with torch.cuda.stream(upload):
            self.device_in = torch.empty(shape, dtype=torch.uint8, device=device)
        with torch.cuda.stream(compute):
            self.device_out = torch.empty(shape, dtype=torch.uint8, device=device)


class CudaTicket:
    """Ticket of a batch in a slot; fetching the result frees the slot."""

    def __init__(self, slot: Slot, host_out: Tensor, free: list[Slot]) -> None:
        self._slot, self._host_out, self._free = slot, host_out, free

    def result(self) -> list[Image]:
        self._slot.downloaded.synchronize()
        self._free.append(self._slot)
        return list(self._host_out.numpy())  # views of pinned memory, which is freed with the last frame


class CudaEngine:
    """Paints in fp16, channels-last, with norm statistics in fp32. Thread-safe; calls are serialised."""

    precision = "float16"
    batches: tuple[int, ...] = (1, 2, 4, 8)
    batches_in_flight = 3  # one uploading, one painting, one downloading
    takes_nv12 = True

    def __init__(self, device: str) -> None:
        self.name, self.gpu = device, torch.device(device).index or 0
        self.notes: list[str] = []
        self._networks = Networks(device, torch.float16)
        self._exact = Networks(device, torch.float32)  # for strips
        # (body, shape, mixed) -> graph, None if the batch does not fit whole, or the error to raise; most recently used last
        self._graphs: dict[tuple[Body, tuple[int, ...], bool], CapturedGraph | TooLargeError | None] = {}
        self._turn = threading.Lock()  # serialises calls
        self._free: list[Slot] = []
        streams = [torch.cuda.Stream(device) for _ in range(3)]  # type: ignore[no-untyped-call]
        self._upload, self._compute, self._download = streams

    def prepare(self, body: Body) -> None:
        with self._turn, torch.cuda.stream(self._compute):  # so that graphs wait for the copy
            self._networks[body]

    @torch.inference_mode()
    def submit(self, batch: Batch) -> Ticket:
        with self._turn:
            return self._submit(batch)

    def _submit(self, batch: Batch) -> Ticket:
        graph = self._graph_for(batch)
        if graph is not None:
            return self._start(graph, batch)
        if len(batch) > 1:
            return Done([self._submit([pair]).result()[0] for pair in batch])
        return Done([self._paint_in_strips(*batch[0])])

    def _start(self, graph: CapturedGraph, batch: Batch) -> CudaTicket:
        slot, n = self._take_slot(tuple(graph.frames.shape)), len(batch)
        # the last batch of a file may be smaller than the graph's; the remaining frames are ignored
        np.stack([frame for frame, _ in batch], out=slot.host_in[:n].numpy())
        with torch.cuda.stream(self._upload):
            slot.device_in[:n].copy_(slot.host_in[:n], non_blocking=True)
        self._compute.wait_stream(self._upload)
        with torch.cuda.stream(self._compute):
            graph.set_looks([look for _, look in batch])
            graph.frames[:n].copy_(slot.device_in[:n])
            graph.replay()
            slot.device_out[:n].copy_(graph.painted[:n])
        self._download.wait_stream(self._compute)
        with torch.cuda.stream(self._download):
            host_out = torch.empty((n, *slot.shape[1:]), dtype=torch.uint8, pin_memory=True)
            host_out.copy_(slot.device_out[:n], non_blocking=True)
            slot.downloaded.record()
        return CudaTicket(slot, host_out, self._free)

    def _take_slot(self, shape: tuple[int, ...]) -> Slot:
        """Take a free slot of this shape, or create one. Frees the free slots of other shapes, which no stream uses any more."""
        while self._free:
            slot = self._free.pop()
            if slot.shape == shape:
                return slot
        return Slot(shape, self.name, self._upload, self._compute)

    def _graph_for(self, batch: Batch) -> CapturedGraph | None:
        """Return a graph for a batch, which may be for a larger one. None if memory is too small to paint it whole.

        Raises TooLargeError if a frame cannot be painted at all.
        """
        frame, look = batch[0]
        shape, mixed = (len(batch), *frame.shape), any(look.mixing is not None for _, look in batch)
        key = (look.body, shape, mixed)
        if key in self._graphs:
            self._graphs[key] = self._graphs.pop(key)
        else:
            for old in [old for old in self._graphs if old[1][1:] != shape[1:]]:
                del self._graphs[old]  # frees their memory: a folder of pictures has many sizes
            larger = {
                made[0]: graph
                for (body, made, mixes), graph in self._graphs.items()
                if (body, mixes) == (look.body, mixed) and made[0] > len(batch) and isinstance(graph, CapturedGraph)
            }
            if larger and len(batch) > 1:
                return larger[min(larger)]
            while len(self._graphs) >= MOST_GRAPHS:
                del self._graphs[next(iter(self._graphs))]
            with CAPTURING:
                self._graphs[key] = self._capture(frame, shape, look.body, mixed)
        graph = self._graphs[key]
        if isinstance(graph, TooLargeError):
            raise TooLargeError(str(graph), graph.fits)
        return graph

    def _capture(self, frame: Image, shape: tuple[int, ...], body: Body, mixed: bool) -> CapturedGraph | TooLargeError | None:
        """Build a value for `_graphs`. None and errors are cached too, so that the next frame does not try again."""
        torch.cuda.empty_cache()  # so that only graphs in use count as used memory
        free = torch.cuda.mem_get_info(self.name)[0]
        try:
            if not fits_whole(body.architecture, frame, shape[0], free, precision=self.precision):
                return None
            with torch.cuda.stream(self._compute):
                network = self._networks[body]
            pool = next((graph.pool for graph in self._graphs.values() if isinstance(graph, CapturedGraph)), None)
            return CapturedGraph(network, shape, mixed, self.name, self._compute, pool)
        except TooLargeError as error:
            return error.with_traceback(None)  # a traceback would keep the frame in memory
        except RuntimeError as error:  # includes OutOfMemoryError; cuDNN reports lack of memory by a message
            if not isinstance(error, torch.OutOfMemoryError) and "unable to find an engine" not in str(error):
                raise
        torch.cuda.empty_cache()
        if body.architecture.strips is None and shape[0] == 1:
            height, width = size_of(frame)
            return TooLargeError(f"{width}x{height} in the {body.architecture.name} network does not fit in GPU memory")
        return None

    def _paint_in_strips(self, frame: Image, look: Look) -> Image:
        if frame.ndim == 2:  # NV12: converted on the CPU
            photo = to_uint8(rgb_from_nv12(torch.tensor(frame)[None]))[0].numpy()
            painted = torch.from_numpy(self._paint_in_strips(photo, look))[None].permute(0, 3, 1, 2)  # (1, 3, H, W)
            image: Image = nv12_from_rgb(painted / 255)[0].numpy()
            return image
        if (note := strips_note(frame)) not in self.notes:
            self.notes.append(note)
        with torch.cuda.stream(self._compute), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            rows, mixing = on_device(look, self.name)
            return paint_in_strips(self._exact[look.body], rows, mixing, frame)

    def close(self) -> None:
        with self._turn, CAPTURING:
            torch.cuda.synchronize(self.name)
            self._graphs.clear()
            self._free.clear()
            torch.cuda.empty_cache()
