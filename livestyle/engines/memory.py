"""Decide whether a frame is painted whole, painted in strips, or refused, depending on the free memory."""

from livestyle.errors import TooLargeError
from livestyle.frame import Image, size_of
from livestyle.memory import free_bytes
from livestyle.networks.architecture import Architecture

CPU_MOST_BYTES = 2 * 2**30  # to paint whole in main memory: other programs need it too, and strips are hardly slower on a CPU
FP32_BYTES_PER_PIXEL = 40  # mixing and NV12 conversion are in fp32, whatever the precision of the network
KEPT_DECISIONS = 16  # for threads that paint different sizes; limited, as a folder of pictures has many sizes


def fits_whole(
    architecture: Architecture, frame: Image, count: int, free: int, most: int | None = None, precision: str = "float32"
) -> bool:
    """Whether `count` frames of this size can be painted whole, all at once, in `free` bytes.

    If not, several frames are to be painted one by one, and a single frame in strips.
    most: limit in bytes for painting whole, if the network supports strips. precision: of the engine; strips are in fp32.
    Raises TooLargeError, with a size that fits, if not even a single frame can be painted.
    """
    height, width = size_of(frame)
    limit = free if most is None or architecture.strips is None else min(free, most)
    if count * _whole_bytes(architecture, height, width, precision) <= limit:
        return True
    needed = _least_bytes(architecture, height, width, precision)
    if needed > free:
        fits = _size_that_fits(architecture, height, width, free, precision)
        raise TooLargeError(
            f"{width}x{height} needs about {_readable(needed)} in the {architecture.name} network"
            + (", even in strips, " if architecture.strips else ", ")
            + f"and {_readable(free)} are free"
            + (f"; {fits[0]}x{fits[1]} would fit" if fits else ""),
            fits,
        )
    return False


def _whole_bytes(architecture: Architecture, height: int, width: int, precision: str) -> int:
    """Memory in bytes for painting a frame whole."""
    per_pixel = architecture.bytes_per_pixel
    if precision != "float32" and architecture.supports_half:
        per_pixel = per_pixel // 2 + FP32_BYTES_PER_PIXEL
    return per_pixel * height * width


def _least_bytes(architecture: Architecture, height: int, width: int, precision: str) -> int:
    """Least memory in bytes for painting a frame: in strips if they are supported. A small frame is painted as one strip."""
    if architecture.strips is None:
        return _whole_bytes(architecture, height, width, precision)
    strips = architecture.strips.per_pixel * height * width + architecture.strips.fixed * max(4096, width) // 4096
    return min(strips, _whole_bytes(architecture, height, width, "float32"))


def _size_that_fits(architecture: Architecture, height: int, width: int, free: int, precision: str) -> tuple[int, int] | None:
    """The largest (width, height) with this aspect ratio that fits, including memory for its pixels. None if no size fits."""
    factor, free = 1.0, free * 85 // 100  # a reserve, as the free memory varies
    while factor * max(height, width) > 1:
        factor *= 0.98
        fits = max(1, int(width * factor)), max(1, int(height * factor))
        if _least_bytes(architecture, fits[1], fits[0], precision) + 2 * 3 * fits[0] * fits[1] <= free:
            return fits
    return None


def _readable(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.1f} GiB" if size_bytes >= 2**30 else f"{size_bytes / 2**20:.0f} MiB"


def strips_note(frame: Image) -> str:
    """Note for the user that a frame is painted in strips."""
    height, width = size_of(frame)
    return f"{width}x{height} is painted in strips, to save memory"


class MainMemory:
    """Decides whether frames are painted whole in main memory: once per size, so that all frames of a video are painted alike.

    Deciding again would take half a millisecond, and the free memory is smaller while a network runs.

    has_strips: whether the engine can paint in strips; if not, frames are painted whole as long as they fit in memory.
    """

    def __init__(self, precision: str, has_strips: bool = True) -> None:
        self._precision = precision
        self._most = CPU_MOST_BYTES if has_strips else None
        self._decided: dict[tuple[Architecture, tuple[int, ...], int], bool] = {}

    def fits_whole(self, architecture: Architecture, frame: Image, count: int) -> bool:
        """Whether `count` frames of this size are painted whole, all at once. Raises TooLargeError if not even one fits."""
        key = (architecture, frame.shape, count)
        whole = self._decided.get(key)
        if whole is None:
            whole = fits_whole(architecture, frame, count, free_bytes(), self._most, self._precision)
            # a new dict, as other threads may be reading the old one
            self._decided = dict([*self._decided.items(), (key, whole)][-KEPT_DECISIONS:])
        return whole
