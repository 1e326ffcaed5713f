"""Options for reading a video."""

from collections.abc import Callable
from fractions import Fraction
from typing import TypedDict


class VideoOptions(TypedDict, total=False):
    """Which part of a video to read, and in which form."""

    start_seconds: Fraction | int
    """Skip frames before this time, counted from the file's beginning; 0 by default. The first frame read becomes pts 0. If no
    frame follows within 0.1 s, the frame that is on the screen at this time is read first."""
    duration_seconds: Fraction | int | None
    """How many seconds to read, counted from the first frame that is read; None, the default, for everything."""
    size: Callable[[int, int], tuple[int, int]]
    """(width, height) of the upright frames -> (width, height) to scale them to. Called once; it may raise to refuse the file."""
    for_gpu: bool
    """Decode on an NVIDIA GPU if it has a decoder for the file, and give NV12 frames if that loses nothing. False by default."""
    gpu: int
    """CUDA index of that GPU; 0 by default."""
    deinterlace: bool
    """Deinterlace interlaced frames; True by default."""
