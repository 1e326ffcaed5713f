"""The options of reading a video."""

from collections.abc import Callable
from fractions import Fraction
from typing import TypedDict


class VideoOptions(TypedDict, total=False):
    """What to read of a video, and in which form."""

    start_seconds: Fraction | int
    """Leave out earlier frames; counted from the file's beginning, and 0 by default. The first frame left becomes pts 0; in a
    still stretch that is the frame on the screen at this time."""
    duration_seconds: Fraction | int | None
    """How much to read, counted from the first frame that is read; None, the default, for everything."""
    size: Callable[[int, int], tuple[int, int]]
    """(width, height) of the upright frames -> (width, height) to scale them to. Called once; it may raise to refuse the file."""
    for_gpu: bool
    """Decode on an NVIDIA GPU where it can, and give NV12 where that is what the file has. False by default."""
    gpu: int
    """The index of that GPU, as CUDA counts; 0 by default."""
    deinterlace: bool
    """Deinterlace interlaced frames; True by default."""
