"""Painting on the CPU, and on devices that need no more than a copy."""

import copy
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import psutil
import torch

from livestyle.engines import Look
from livestyle.engines.painting import check_memory, paint
from livestyle.frame import Image
from livestyle.network import Transformer


def cores() -> int:
    """The CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_precision() -> torch.dtype:
    """bf16 where the processor multiplies it, which halves the time; elsewhere it would be emulated."""
    has_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return torch.bfloat16 if has_bf16 else torch.float32


class Networks:
    """Each body once on its device, in the engine's precision."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self._copies: dict[Transformer, Transformer] = {}

    def __getitem__(self, network: Transformer) -> Transformer:
        if network not in self._copies:
            placed = copy.deepcopy(network).to(self.device, self.dtype)
            self._copies[network] = placed.to(memory_format=torch.channels_last)
        return self._copies[network]


class Done:
    """The ticket of a batch that was painted at once."""

    def __init__(self, images: list[Image]) -> None:
        self._images = images

    def result(self) -> list[Image]:
        return self._images


class PlainEngine:
    """Paints in the caller's thread: for mps."""

    batch = 1

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._networks = Networks(device, torch.float32)

    def prepare(self, network: Transformer) -> None:
        self._networks[network]

    @torch.inference_mode()
    def submit(self, frames: Sequence[Image], look: Look) -> Done:
        check_memory(look.network, frames[0], len(frames), psutil.virtual_memory().available)
        batch = torch.from_numpy(np.stack(frames)).to(self.device)  # (N, H, W, 3)
        painted = paint(self._networks[look.network], look.rows.to(self.device), look, batch)
        return Done(list(painted.cpu().numpy()))

    def close(self) -> None:
        pass


class Painting:
    """The ticket of frames that the pool paints."""

    def __init__(self, futures: list[Future[Image]]) -> None:
        self._futures = futures

    def result(self) -> list[Image]:
        return [future.result() for future in self._futures]


class PooledEngine:
    """A core a frame: on two cores a quarter faster than two cores on each frame, for the cores never wait for each other.

    A lone frame gets all the cores.
    """

    def __init__(self) -> None:
        self.device = torch.device("cpu")
        self.batch = cores()
        self._networks = Networks(self.device, cpu_precision())
        self._pool = ThreadPoolExecutor(self.batch, "livestyle-paint", initializer=torch.set_num_threads, initargs=(1,))

    def prepare(self, network: Transformer) -> None:
        self._networks[network]

    def submit(self, frames: Sequence[Image], look: Look) -> Painting | Done:
        check_memory(look.network, frames[0], min(len(frames), self.batch), psutil.virtual_memory().available)
        network = self._networks[look.network]
        if len(frames) == 1:
            return Done([self._paint(network, look, frames[0])])
        return Painting([self._pool.submit(self._paint, network, look, frame) for frame in frames])

    @torch.inference_mode()
    def _paint(self, network: Transformer, look: Look, frame: Image) -> Image:
        rows = look.rows.to(next(network.parameters()).dtype)
        # copied, since torch warns of arrays that are read-only
        painted: Image = paint(network, rows, look, torch.tensor(frame)[None])[0].numpy()
        return painted

    def close(self) -> None:
        self._pool.shutdown()
