"""How a frame is painted that is large: whole, in strips, or not at all."""

from livestyle.errors import TooLargeError
from livestyle.frame import Image, size_of
from livestyle.memory import free_bytes
from livestyle.networks.architecture import Architecture

CPU_MOST_BYTES = 2 * 2**30  # strips are hardly slower on a CPU, whose memory is wanted for other things too
FP32_BYTES_PER_PIXEL = 40  # of photo and painting while they are mixed, or converted to and from NV12, whatever the precision


def fits_whole(
    architecture: Architecture, frame: Image, count: int, free: int, most: int | None = None, precision: str = "float32"
) -> bool:
    """Whether `count` frames of this size can be painted whole in `free` bytes; if not, they are painted one by one in strips.

    most: limit of the bytes used for painting whole. precision: of painting whole; strips are in fp32.
    Raises TooLargeError, with the size that fits, before anything is allocated.
    """
    height, width = size_of(frame)
    pixels = height * width
    per_pixel = architecture.bytes_per_pixel
    if precision != "float32":
        per_pixel = per_pixel // 2 + FP32_BYTES_PER_PIXEL
    if architecture.strips is None:
        most = None
    if per_pixel * pixels * count <= (free if most is None else min(free, most)):
        return True
    needed = _strips_need(architecture, height, width)
    if needed > free or (architecture.strips is None and count == 1):
        fits = _size_that_fits(architecture, height, width, free)
        raise TooLargeError(
            f"{width}x{height} needs about {_readable(needed)} in the {architecture.name} network"
            + (", even in strips, " if architecture.strips else ", ")
            + f"and {_readable(free)} are free"
            + (f"; {fits[0]}x{fits[1]} would fit" if fits else ""),
            fits,
        )
    return False


def _strips_need(architecture: Architecture, height: int, width: int) -> int:
    """Bytes to paint a picture of this size in strips, or whole if that is less or strips are not supported."""
    whole = architecture.bytes_per_pixel * height * width
    if architecture.strips is None:
        return whole
    strips = architecture.strips.per_pixel * height * width + architecture.strips.fixed * max(4096, width) // 4096
    return min(strips, whole)


def _size_that_fits(architecture: Architecture, height: int, width: int, free: int) -> tuple[int, int] | None:
    """The largest (width, height) of that shape that can be painted, including memory for its pixels; None if none can."""
    factor, free = 1.0, free * 85 // 100  # the free memory varies
    while factor * max(height, width) > 1:
        factor *= 0.98
        fits = max(1, int(width * factor)), max(1, int(height * factor))
        if _strips_need(architecture, fits[1], fits[0]) + 2 * 3 * fits[0] * fits[1] <= free:
            return fits
    return None


def _readable(number: int) -> str:
    return f"{number / 2**30:.1f} GiB" if number >= 2**30 else f"{number / 2**20:.0f} MiB"


def strips_note(frame: Image) -> str:
    """For a person."""
    height, width = size_of(frame)
    return f"{width}x{height} is painted in strips, to save memory"


class MainMemory:
    """Decides how frames are painted in main memory: once for a size, so that all frames of a video are painted alike.

    Asking how much is free takes half a millisecond, and while a network is at work it is less by what that network took.

    has_strips: False: whole as long as there is memory.
    """

    def __init__(self, precision: str, has_strips: bool = True) -> None:
        self._precision, self._has_strips = precision, has_strips
        self._decided: dict[tuple[Architecture, tuple[int, ...], int], bool] = {}

    def fits_whole(self, architecture: Architecture, frame: Image, count: int) -> bool:
        """Whether so many frames of this size are painted whole, else in strips. Raises TooLargeError."""
        key = (architecture, frame.shape, count)
        whole = self._decided.get(key)
        if whole is None:
            most = CPU_MOST_BYTES if self._has_strips else None
            whole = fits_whole(architecture, frame, count, free_bytes(), most, self._precision)
            # a folder of pictures has many sizes; another dictionary, as other threads may read the old one
            self._decided = {old: known for old, known in self._decided.items() if old[1] == frame.shape} | {key: whole}
        return whole
