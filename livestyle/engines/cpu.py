"""PyTorch engines: for the CPU, and for devices on which synchronous copies are fast enough."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from livestyle.engines.base import Batch, Done, Ticket
from livestyle.engines.memory import MainMemory, strips_note
from livestyle.engines.strips import paint_in_strips
from livestyle.engines.torch_batch import paint_batch
from livestyle.frame import Image
from livestyle.look import Look
from livestyle.machine import cores
from livestyle.networks.body import Body
from livestyle.networks.torch_ops import TransformerNetwork


def cpu_precision() -> torch.dtype:
    """Return bf16, which halves the time, if the processor has instructions for it; else fp32, as bf16 would be emulated."""
    has_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return torch.bfloat16 if has_bf16 else torch.float32


class Networks:
    """Cache of networks on one device, by body. In `dtype`, or in fp32 if the architecture does not support half precision.

    Thread-safe.
    """

    def __init__(self, device: str, dtype: torch.dtype) -> None:
        self._device, self._dtype = device, dtype
        self._networks: dict[Body, TransformerNetwork] = {}
        self._lock = threading.Lock()

    def __getitem__(self, body: Body) -> TransformerNetwork:
        with self._lock:
            if body not in self._networks:
                network = TransformerNetwork.of(body).to(self._device, self.dtype(body))
                self._networks[body] = network.to(memory_format=torch.channels_last)
            return self._networks[body]

    def dtype(self, body: Body) -> torch.dtype:
        """Data type of a body's network."""
        return self._dtype if body.architecture.supports_half else torch.float32


def on_device(look: Look, device: str) -> tuple[Tensor, Tensor | None]:
    """Copy a look to a device: its rows, (2, K), and its mixing matrix, (1, 3, 3) or None, in fp32."""
    mixing = None if look.mixing is None else torch.from_numpy(look.mixing)[None].to(device)
    return torch.from_numpy(look.rows).to(device), mixing


class TorchEngine:
    """Paints frames one by one in the calling thread. Used for mps."""

    batches: tuple[int, ...] = (1,)
    batches_in_flight = 1
    takes_nv12 = False
    gpu = 0

    def __init__(self, device: str, dtype: torch.dtype = torch.float32) -> None:
        self.name, self.precision = device, str(dtype).removeprefix("torch.")
        self.notes: list[str] = []
        self._memory = MainMemory(self.precision)
        self._networks = Networks(device, dtype)
        self._exact = Networks(device, torch.float32)  # for strips

    def prepare(self, body: Body) -> None:
        self._networks[body]

    def submit(self, batch: Batch) -> Ticket:
        return Done([self._paint(frame, look) for frame, look in batch])

    @torch.inference_mode()
    def _paint(self, frame: Image, look: Look) -> Image:
        if self._memory.fits_whole(look.body.architecture, frame, 1):
            return self._paint_whole(frame, look)
        if (note := strips_note(frame)) not in self.notes:
            self.notes.append(note)
        rows, mixing = on_device(look, self.name)
        return paint_in_strips(self._exact[look.body], rows, mixing, frame)

    @torch.inference_mode()
    def _paint_whole(self, frame: Image, look: Look) -> Image:
        rows, mixing = on_device(look, self.name)
        photo = torch.tensor(frame)[None].to(self.name)  # (1, H, W, 3); a copy, as PyTorch warns about read-only arrays
        painted = paint_batch(self._networks[look.body], rows.to(self._networks.dtype(look.body)), mixing, photo)
        image: Image = painted[0].cpu().numpy()
        return image

    def close(self) -> None:
        pass


_counting = threading.Lock()  # otherwise one thread could read the count of 1 that another thread has just set


def use_one_thread() -> None:
    """Make PyTorch operators use a single thread when they are called in this thread.

    torch.set_num_threads applies to the calling thread, and to each thread that calls PyTorch for the first time afterwards.
    For those, a short-lived thread restores the previous count.
    """
    with _counting:
        count = torch.get_num_threads()
        torch.set_num_threads(1)
        restoring = threading.Thread(target=torch.set_num_threads, args=(count,), name="livestyle-restore")
        restoring.start()
        restoring.join()


class PoolTicket:
    """Ticket of a batch that the thread pool paints."""

    def __init__(self, futures: list[Future[Image]]) -> None:
        self._futures = futures

    def result(self) -> list[Image]:
        return [future.result() for future in self._futures]


class CpuEngine(TorchEngine):
    """Paints a batch with one core per frame, and a single frame on all cores.

    On two cores, one core per frame is 25 % faster than both cores on each frame, as the cores need not synchronise.
    """

    batches_in_flight = 3

    def __init__(self) -> None:
        super().__init__("cpu", cpu_precision())
        self.batches = (1, cores())
        self._pool = ThreadPoolExecutor(cores(), "livestyle-paint", initializer=use_one_thread)

    def submit(self, batch: Batch) -> Ticket:
        frame, look = batch[0]
        if len(batch) == 1 or not self._memory.fits_whole(look.body.architecture, frame, min(len(batch), cores())):
            return super().submit(batch)
        return PoolTicket([self._pool.submit(self._paint_whole, frame, look) for frame, look in batch])

    def close(self) -> None:
        self._pool.shutdown()
