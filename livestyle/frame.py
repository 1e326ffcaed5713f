"""Frames and stream metadata, and the protocols of sources and sinks.

A source yields frames, an engine paints them, a sink writes them. Times are exact, as fractions of a second.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""Pictures, (H, W, 3) or (N, H, W, 3) sRGB. Between a video file and a GPU also NV12, (H + H/2, W): engines/nv12.py."""

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
    """Whether an object is a uint8 array (H, W, 3) with H, W >= 1 or, if `nv12`, an array (H + H/2, W) with even H and W."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or 0 in image.shape:
        return False
    if image.ndim == 2:
        return nv12 and image.shape[0] % 3 == 0 and image.shape[1] % 2 == 0
    return image.ndim == 3 and image.shape[2] == 3


def is_hd(width: int, height: int) -> bool:
    """Whether players assume BT.709 for a video of this size without colour tags. For smaller ones they assume BT.601."""
    return width >= 1280 or height >= 720


@dataclass(frozen=True, eq=False)
class Frame:
    """An image and its presentation time. Immutable; equal only to itself, as comparing images is expensive."""

    image: Image
    """The pixels, (H, W, 3) uint8 RGB, contiguous; or NV12 if `StreamInfo.is_nv12`. Shared: do not write to it."""
    pts_seconds: Fraction
    """Exact presentation time, in seconds since the beginning of the stream."""
    captured_at: float | None = None
    """time.monotonic() when a live source captured the frame, to measure the delay; None if the source is not live."""
    duration_seconds: Fraction | None = None
    """How long the frame is shown; None if unknown, which means until the next frame. Needed for the last frame."""
    photo: Image | None = None
    """The image from which a frame of a live run was painted, at the size at which it was painted; None for other frames."""
    sound_seconds: Fraction | None = None
    """The frame's time on the clock of its source's sound; None if the source has none. See `livestyle.sound`."""

    def __repr__(self) -> str:
        return f"Frame({kind_of(self.image)}, pts_seconds={self.pts_seconds}, captured_at={self.captured_at})"


@dataclass(frozen=True)
class StreamInfo:
    """Properties of a stream that are known before its first frame."""

    width: int
    """Width of the frames in pixels, after scaling and rotation; likewise the height."""
    height: int
    rate: Fraction | None = None
    """Average frames per second; None if unknown."""
    frame_count: int | None = None
    """Expected number of frames, for progress bars; None if unknown. An estimate: files may declare a wrong number."""
    live: bool = False
    """Whether frames arrive in real time, even while nobody reads them; a frame that is not read in time is lost."""
    time_base: Fraction | None = None
    """Seconds per tick: every presentation time is a multiple of it. None if unknown."""
    origin_seconds: Fraction = Fraction(0)
    """Time in the file at presentation time 0. Not zero if the beginning is skipped, or the file begins later."""
    pixel_aspect: Fraction = Fraction(1)
    """Pixel aspect ratio, width / height."""
    is_nv12: bool = False
    """Whether frames are NV12 instead of RGB."""

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of the image array of a frame: (H, W, 3), or (H + H/2, W) for NV12."""
        return (self.height * 3 // 2, self.width) if self.is_nv12 else (self.height, self.width, 3)


class Source(Protocol):
    """Yields the frames of a stream, in presentation order.

    The constructor opens the source, and raises InputError if there is nothing to read. Afterwards, one thread at a time may use
    the source; the pipeline reads and closes it in a separate thread. Every frame has the size that `info` declares.
    Presentation times begin at 0, or later if the audio of a file begins first. They increase; only a damaged file or a paused
    source may repeat a time or step back. Damage after which reading can continue is not raised, but listed in `damage`.
    """

    info: StreamInfo
    """Properties of the frames, which do not change while the source is open."""
    notes: list[str]
    """Messages for the user about things that are not errors, one line each: other video streams, tone mapping."""
    damage: list[str]
    """What could not be read, one line each; complete once `read` has returned None. If not empty, the exit code is 1."""

    def read(self) -> Frame | None:
        """Wait for the next frame and return it, or None after the last one. Raises InputError if reading fails."""

    def close(self) -> None:
        """Release the file or device. Idempotent; may be called before the last frame was read."""


class Sink(Protocol):
    """Shows, encodes or sends the frames of a stream, in presentation order.

    The constructor opens the sink, and raises OutputError if the output cannot be written. One thread at a time may use a sink.
    """

    notes: list[str]
    """Messages for the user, one line each: what was changed or not kept, for example a repeated row or a subtitle track."""

    def write(self, frame: Frame) -> None:
        """Write a frame without modifying it. Raises OutputError; a sink with its own thread may raise it in a later call."""

    def close(self, error: BaseException | None = None) -> None:
        """Complete the output and release it. Idempotent. Raises OutputError if it cannot be completed.

        error: None if the stream is complete; otherwise the error or KeyboardInterrupt that ended the run early. The output is
        then kept as a playable partial file.
        """
