"""Frames and stream metadata, and the protocols of sources and sinks.

A source gives frames, an engine paints them, a sink takes them. Times are exact, as fractions of a second.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""(H, W, 3) RGB in sRGB, or (N, H, W, 3). Between a file and a GPU also NV12, (H + H/2, W); see engines/nv12.py."""

FloatArray = NDArray[np.float32]


def size_of(image: Image) -> tuple[int, int]:
    """Height and width in pixels of an RGB or NV12 image."""
    rows, width = image.shape[:2]
    return (rows * 2 // 3 if image.ndim == 2 else rows), width


def kind_of(image: Any) -> str:
    """Describe an array by its shape and dtype, or any other object by its type; for error messages."""
    if not isinstance(image, np.ndarray):
        return type(image).__name__
    return f"{image.shape} {image.dtype}"


def is_picture(image: Any, nv12: bool = False) -> bool:
    """Whether it is an array (H, W, 3) uint8 with H, W >= 1; with nv12, also an array (H + H/2, W) with even H and W."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or 0 in image.shape:
        return False
    if image.ndim == 2:
        return nv12 and image.shape[0] % 3 == 0 and image.shape[1] % 2 == 0
    return image.ndim == 3 and image.shape[2] == 3


def is_hd(width: int, height: int) -> bool:
    """Whether players assume BT.709 for an untagged video of this size; below it they assume BT.601."""
    return width >= 1280 or height >= 720


@dataclass(frozen=True, eq=False)
class Frame:
    """An image and its presentation time. Immutable; equal only to itself, as comparing images is expensive."""

    image: Image
    """(H, W, 3) uint8 RGB, contiguous; or NV12, if StreamInfo.is_nv12. Whoever receives a frame must not write to its image."""
    pts_seconds: Fraction
    """Presentation time, exact: seconds since the beginning of the stream."""
    captured_at: float | None = None
    """time.monotonic() seconds at which a camera captured it; None for frames that are not live."""
    duration_seconds: Fraction | None = None
    """How long it is shown; None if unknown, which means until the next frame. Used for the last frame."""

    def __repr__(self) -> str:
        return f"Frame({kind_of(self.image)}, pts_seconds={self.pts_seconds}, captured_at={self.captured_at})"


@dataclass(frozen=True)
class StreamInfo:
    """What a source declares before its first frame."""

    width: int
    """Of the frames as they are given: scaled and upright, in pixels."""
    height: int
    rate: Fraction | None = None
    """Average frames per second; None if unknown."""
    frame_count: int | None = None
    """Expected number of frames; None if unknown. Only an estimate, for progress bars: files can be wrong about it."""
    live: bool = False
    """Whether frames arrive in real time, read or not; a frame that is not read in time is lost."""
    time_base: Fraction | None = None
    """Seconds per tick: every pts_seconds is a multiple of it. None if unknown."""
    origin_seconds: Fraction = Fraction(0)
    """The time in the file that became pts 0. Not zero if the beginning is left out, or the file begins late."""
    pixel_aspect: Fraction = Fraction(1)
    """Width / height of a pixel."""
    is_nv12: bool = False
    """Whether frames are NV12 instead of RGB."""

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of a frame's image."""
        return (self.height * 3 // 2, self.width) if self.is_nv12 else (self.height, self.width, 3)


class Source(Protocol):
    """Gives the frames of a stream, in presentation order.

    A source is opened by its constructor, which raises InputError if there is nothing to read. Afterwards one thread at a time
    may use it; the pipeline reads and closes it in a thread of its own. Every frame has the size that `info` declares.
    Presentation times begin at 0, or later if a file's audio begins first, and increase; only a damaged file or a paused source
    may repeat one or step back. Damage that can be read past raises no error: it is listed in `damage`.
    """

    info: StreamInfo
    """Constant once the source is open."""
    notes: list[str]
    """Informational notes, one line each; nothing was lost. Examples: other video streams, tone mapping."""
    damage: list[str]
    """What could not be read, one line each; complete when `read` has returned None. If not empty, the exit code is 1."""

    def read(self) -> Frame | None:
        """Wait for the next frame; None after the last one. Raises InputError if reading fails."""

    def close(self) -> None:
        """Release the file or the device. Idempotent; allowed before the last frame was read."""


class Sink(Protocol):
    """Takes the frames of a stream, in presentation order.

    A sink is opened by its constructor, which raises OutputError if it cannot be written. One thread at a time may use it.
    """

    notes: list[str]
    """Informational notes, one line each: what was changed or could not be kept, such as a repeated row or a subtitle track."""

    def write(self, frame: Frame) -> None:
        """Show, encode or send a frame. Does not modify its image, which other sinks may share. Raises OutputError."""

    def close(self, error: BaseException | None = None) -> None:
        """Complete the output and release it. Idempotent. Raises OutputError if it cannot be completed.

        error: what ended the run early, KeyboardInterrupt included; the output is then kept as a playable partial file. None if
        the stream is complete.
        """
