"""Painting with torch on the CPU, and on devices that need no more than a copy."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from livestyle.engines import Done, Look, Ticket, cores
from livestyle.engines.memory import MainMemory, strips_note
from livestyle.engines.painting import paint
from livestyle.engines.strips import paint_in_strips
from livestyle.frame import Image
from livestyle.network import Transformer
from livestyle.style import Body


def cpu_precision() -> torch.dtype:
    """bf16 where the processor multiplies it, which halves the time; elsewhere it would be emulated."""
    has_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return torch.bfloat16 if has_bf16 else torch.float32


class Networks:
    """Each body once on its device, in the engine's precision."""

    def __init__(self, device: str, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self._placed: dict[Body, Transformer] = {}

    def __getitem__(self, body: Body) -> Transformer:
        if body not in self._placed:
            network = Transformer.of(body).to(self.device, self.dtype)
            self._placed[body] = network.to(memory_format=torch.channels_last)
        return self._placed[body]


def on_device(look: Look, device: str) -> tuple[Tensor, Tensor | None]:
    """The look's rows and mixing in fp32."""
    mixing = None if look.mixing is None else torch.from_numpy(look.mixing).to(device)
    return torch.from_numpy(look.rows).to(device), mixing


class PlainEngine:
    """Paints in the caller's thread: for mps."""

    batches: tuple[int, ...] = (1,)
    takes_nv12 = False
    gpu = 0

    def __init__(self, device: str, dtype: torch.dtype = torch.float32) -> None:
        self.name, self.precision = device, str(dtype).removeprefix("torch.")
        self.notes: list[str] = []
        self._memory = MainMemory(self.precision)
        self._networks = Networks(device, dtype)
        self._exact = Networks(device, torch.float32)

    def prepare(self, body: Body) -> None:
        self._networks[body]

    @torch.inference_mode()
    def submit(self, frames: Sequence[Image], look: Look) -> Ticket:
        rows, mixing = on_device(look, self.name)
        if not self.is_whole(frames[0], len(frames), look):
            return Done([paint_in_strips(self._exact[look.body], rows, mixing, frame) for frame in frames])
        batch = torch.from_numpy(np.stack(frames)).to(self.name)  # (N, H, W, 3)
        painted = paint(self._networks[look.body], rows.to(self._networks.dtype), mixing, batch)
        return Done(list(painted.cpu().numpy()))

    def is_whole(self, frame: Image, count: int, look: Look) -> bool:
        """Whether so many frames are painted whole; if not, says so."""
        whole = self._memory.fits_whole(look.body.architecture, frame, count)
        if not whole and (note := strips_note(frame)) not in self.notes:
            self.notes.append(note)
        return whole

    def close(self) -> None:
        pass


_counting = threading.Lock()  # or a thread would take the 1 of another one for the process's count


def compute_alone() -> None:
    """Make this thread compute without others.

    torch.set_num_threads is for the thread that calls it, and also for every one that computes for the first time later: for
    those a thread that does nothing else puts the count back.
    """
    with _counting:
        count = torch.get_num_threads()
        torch.set_num_threads(1)
        restoring = threading.Thread(target=torch.set_num_threads, args=(count,), name="livestyle-restore")
        restoring.start()
        restoring.join()


class Painting:
    """The ticket of frames that the pool paints."""

    def __init__(self, futures: list[Future[Image]]) -> None:
        self._futures = futures

    def result(self) -> list[Image]:
        return [future.result() for future in self._futures]


class PooledEngine(PlainEngine):
    """A core a frame: on two cores a quarter faster than two cores on each frame, for the cores never wait for each other.

    A lone frame gets all the cores.
    """

    def __init__(self) -> None:
        super().__init__("cpu", cpu_precision())
        self.batches = (1, cores())
        self._pool = ThreadPoolExecutor(cores(), "livestyle-paint", initializer=compute_alone)

    def submit(self, frames: Sequence[Image], look: Look) -> Ticket:
        if len(frames) == 1 or not self.is_whole(frames[0], min(len(frames), cores()), look):
            return super().submit(frames, look)
        network = self._networks[look.body]
        return Painting([self._pool.submit(self._paint, network, look, frame) for frame in frames])

    @torch.inference_mode()
    def _paint(self, network: Transformer, look: Look, frame: Image) -> Image:
        rows, mixing = on_device(look, "cpu")
        # copied, since torch warns of arrays that are read-only
        painted: Image = paint(network, rows.to(self._networks.dtype), mixing, torch.tensor(frame)[None])[0].numpy()
        return painted

    def close(self) -> None:
        self._pool.shutdown()
