"""Frames, and what is known about their stream: what sources, painters and sinks exchange."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""(H, W, 3) RGB, or (N, H, W, 3). Between a file and a GPU also NV12, (H + H/2, W): see engines/nv12.py."""

FloatArray = NDArray[np.float32]


def size_of(image: Image) -> tuple[int, int]:
    """Height and width of the picture that is shown, in RGB or NV12."""
    rows, width = image.shape[:2]
    return (rows * 2 // 3 if image.ndim == 2 else rows), width


def kind_of(image: Any) -> str:
    """What an array, or another object, is, in a few words: for messages."""
    if not isinstance(image, np.ndarray):
        return type(image).__name__
    return f"{image.shape} {image.dtype}"


def is_picture(image: Any, nv12: bool = False) -> bool:
    """Whether it is an array (H, W, 3) uint8 with H, W >= 1; nv12: or one of NV12, of even sides."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or 0 in image.shape:
        return False
    if image.ndim == 2:
        return nv12 and image.shape[0] % 3 == 0 and image.shape[1] % 2 == 0
    return image.ndim == 3 and image.shape[2] == 3


def is_hd(width: int, height: int) -> bool:
    """Whether players take a video that does not say for BT.709, else for BT.601."""
    return width >= 1280 or height >= 720


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture and when it is shown. Equal to itself alone: comparing pictures is for who wants it."""

    image: Image
    """(H, W, 3) uint8 RGB, contiguous; or NV12 where it was asked for."""
    pts_seconds: Fraction
    """Exact presentation time."""
    captured_at: float | None = None
    """time.monotonic() seconds when a camera gave it; None where nobody waits for it."""
    duration_seconds: Fraction | None = None
    """How long it is shown, None if unknown: until the next one. It counts for the last one."""

    def __repr__(self) -> str:
        return f"Frame({kind_of(self.image)}, pts_seconds={self.pts_seconds}, captured_at={self.captured_at})"


@dataclass(frozen=True)
class StreamInfo:
    """What a source knows before its first frame. Sizes are of the frames as given, rotation applied."""

    width: int
    height: int
    rate: Fraction | None = None
    """Average frames a second, None if unknown."""
    frame_count: int | None = None
    """None if unknown; files can be wrong about it."""
    live: bool = False
    """Frames come in their own time, whether anyone reads them or not."""
    time_base: Fraction | None = None
    """Every pts is a whole multiple of this, None if unknown."""
    origin_seconds: Fraction = Fraction(0)
    """The time in the file that became pts 0: not zero after --start."""
    pixel_aspect: Fraction = Fraction(1)
    """Width over height of one pixel."""
    is_nv12: bool = False
    """Frames are NV12, not RGB."""

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Of a frame's image."""
        return (self.height * 3 // 2, self.width) if self.is_nv12 else (self.height, self.width, 3)


class Source(Protocol):
    """Gives frames, one after another. Belongs to one thread at a time."""

    info: StreamInfo
    notes: list[str]
    """What a person should know although nothing was lost: other streams, HDR."""
    damage: list[str]
    """What could not be read; complete once read() has returned None. Not empty: exit code 1."""

    def read(self) -> Frame | None:
        """The next frame, None after the last one. Raises InputError."""

    def close(self) -> None:
        """May be called twice, and before the end."""


class Sink(Protocol):
    """Takes frames, one after another."""

    notes: list[str]
    """What a person should know: rows repeated, streams that could not be kept."""

    def write(self, frame: Frame) -> None:
        """Raises OutputError."""

    def close(self, error: BaseException | None = None) -> None:
        """End. None: complete. An error, or KeyboardInterrupt: keep what was written, playable, under another name."""
