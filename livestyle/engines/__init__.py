"""Engines run the networks. Opening one is the only question asked about devices."""

import ctypes
import importlib.util
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from livestyle.errors import DeviceError
from livestyle.frame import Image
from livestyle.style import Body, Floats

LUMA = (0.299, 0.587, 0.114)  # BT.601
KNOWN = "auto, cpu, openvino, cuda, cuda:N or mps"


@dataclass(frozen=True, eq=False, repr=False)
class Look:
    """All that decides how a frame is painted. Never changed: a new look takes its place. Equal to one that paints the same."""

    body: Body
    rows: Floats
    """(2, K)."""
    strength: float = 1.0
    """0 the photo, 1 the painting."""
    keep_colors: bool = False
    """The painting's lightness, the photo's colours."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Look):
            return NotImplemented
        same_mix = (self.strength, self.keep_colors) == (other.strength, other.keep_colors)
        return same_mix and np.array_equal(self.rows, other.rows) and self.body == other.body

    def __hash__(self) -> int:
        return hash((self.strength, self.keep_colors, self.body, float(self.rows.sum())))

    def __repr__(self) -> str:
        return f"Look({self.body!r}, strength={self.strength}, keep_colors={self.keep_colors})"

    @cached_property
    def mixing(self) -> Floats | None:
        """M, (3, 3), of photo + M (painting - photo), which is what is shown; None where that is the painting."""
        if self.strength == 1 and not self.keep_colors:
            return None
        unmixed = np.tile(LUMA, (3, 1)) if self.keep_colors else np.eye(3)
        return (self.strength * unmixed).astype(np.float32)


class Ticket(Protocol):
    """A batch on its way."""

    def result(self) -> list[Image]:
        """Wait for the painted frames. Call it once."""


class Engine(Protocol):
    """Paints batches on one device."""

    name: str
    """cpu, openvino, cuda:0 ..."""
    precision: str
    """What it computes in: float32, bfloat16, float16."""
    batches: tuple[int, ...]
    """How many frames may be worth painting together offline; which one is best is for measurement to say."""
    takes_nv12: bool
    """Whether frames may be NV12 too: painted, they come back as such."""
    gpu: int
    """Which NVIDIA GPU paints, as CUDA counts, so that it decodes and encodes too; 0 elsewhere."""
    notes: list[str]
    """What a person should know: painted in strips, no compiler."""

    def prepare(self, body: Body) -> None:
        """Bring a body to the device, so that a later look with it costs nothing."""

    def submit(self, frames: Sequence[Image], look: Look) -> Ticket:
        """Start painting (H, W, 3) uint8 frames, all of one size. Raises TooLargeError before it would run out of memory."""

    def close(self) -> None:
        """Give everything back."""


class Done:
    """The ticket of a batch that was painted at once."""

    def __init__(self, images: list[Image]) -> None:
        self._images = images

    def result(self) -> list[Image]:
        return self._images


def cores() -> int:
    """The CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose_device(name: str) -> str:
    """The device behind a name; auto is a GPU if there is one, else OpenVINO where it is installed, else PyTorch on the CPU.

    Raises DeviceError if it is not there. torch is asked only where it can know more: importing it takes seconds.
    """
    kind, _, index = name.partition(":")
    if kind not in ("auto", "cpu", "openvino", "cuda", "mps") or (index and (kind != "cuda" or not index.isdecimal())):
        raise DeviceError(f"no device {name!r}; use {KNOWN}")
    if kind == "auto":
        if _gpus():
            return "cuda:0"
        return "mps" if _has_mps() else "openvino" if _has_openvino() else "cpu"
    if kind == "openvino" and not _has_openvino():
        raise DeviceError(f"device {name}: OpenVINO is not installed; pip install openvino, or use the device cpu")
    if kind == "mps" and not _has_mps():
        raise DeviceError("device mps: no Apple GPU is to be seen here; use the device cpu")
    if kind == "cuda":
        count = _gpus()
        if not count:
            raise DeviceError(f"device {name}: no CUDA GPU is to be seen here; use the device cpu, or install the NVIDIA driver")
        if int(index or 0) >= count:
            raise DeviceError(f"device {name}: the GPUs here are cuda:0 to cuda:{count - 1}")
        return f"cuda:{int(index or 0)}"
    return kind


def _gpus() -> int:
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")  # the driver's: without it there is no GPU
    except OSError:
        return 0
    try:
        from livestyle.engines.cuda import gpu_count
    except ImportError:  # no torch: OpenVINO paints
        return 0
    return gpu_count()


def _has_mps() -> bool:
    if sys.platform != "darwin":
        return False
    try:
        import torch
    except ImportError:
        return False
    return torch.backends.mps.is_available()


def _has_openvino() -> bool:
    return importlib.util.find_spec("openvino") is not None


def open_engine(device: str) -> Engine:
    """The engine for a device, as choose_device names it."""
    if device.startswith("cuda"):
        from livestyle.engines.cuda import CudaEngine

        return CudaEngine(device)
    if device == "openvino":
        from livestyle.engines.openvino import OpenVinoEngine

        return OpenVinoEngine()
    try:
        from livestyle.engines.cpu import PlainEngine, PooledEngine
    except ImportError as error:
        raise DeviceError(f"device {device}: PyTorch cannot be imported ({error}); pip install torch") from error
    return PooledEngine() if device == "cpu" else PlainEngine(device)
