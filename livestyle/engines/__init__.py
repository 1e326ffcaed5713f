"""Engines run the networks. Opening one is the only question asked about devices."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from livestyle.errors import DeviceError
from livestyle.frame import Image
from livestyle.network import Transformer


@dataclass(frozen=True)
class Look:
    """All that decides how a frame is painted. Never changed: a new look takes its place."""

    network: Transformer
    rows: Tensor
    """(2, K) fp32 on the CPU."""
    strength: float = 1.0
    """0 the photo, 1 the painting."""
    keep_colors: bool = False
    """The painting's lightness, the photo's colours."""


class Ticket(Protocol):
    """A batch on its way."""

    def result(self) -> list[Image]:
        """Wait for the painted frames. Call it once."""


class Engine(Protocol):
    """Paints batches on one device."""

    device: torch.device
    batch: int
    """How many frames are best painted together offline."""

    def prepare(self, network: Transformer) -> None:
        """Bring a body to the device, so that a later look with it costs nothing."""

    def submit(self, frames: Sequence[Image], look: Look) -> Ticket:
        """Start painting (H, W, 3) uint8 frames, all of one size. Raises TooLargeError before it would run out of memory."""

    def close(self) -> None:
        """Give everything back."""


def choose_device(name: str) -> torch.device:
    """auto, cpu, cuda, cuda:N or mps -> the device. Raises DeviceError if it is not there."""
    from livestyle.engines.cuda import gpu_count

    if name == "auto":
        name = "cuda" if gpu_count() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"no device {name!r}; use auto, cpu, cuda, cuda:N or mps") from error
    if device.type == "cuda" and not gpu_count():
        raise DeviceError(f"--device {name}: no CUDA GPU is to be seen here; use --device cpu, or install the NVIDIA driver")
    if device.type == "cuda" and device.index is not None and device.index >= gpu_count():
        raise DeviceError(f"--device {name}: the GPUs here are cuda:0 to cuda:{gpu_count() - 1}")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("--device mps: no Apple GPU is to be seen here; use --device cpu")
    if device.type not in ("cpu", "cuda", "mps"):
        raise DeviceError(f"no device {name!r}; use auto, cpu, cuda, cuda:N or mps")
    return device


def open_engine(device: torch.device) -> Engine:
    """The engine for a device."""
    if device.type == "cuda":
        from livestyle.engines.cuda import CudaEngine

        return CudaEngine(device)
    from livestyle.engines.cpu import PlainEngine, PooledEngine

    return PooledEngine() if device.type == "cpu" else PlainEngine(device)
