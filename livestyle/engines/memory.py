"""How a frame is painted that is large: whole, in strips, or not at all."""

from livestyle.architecture import Architecture
from livestyle.errors import TooLargeError
from livestyle.frame import Image

CPU_MOST_BYTES = 2 * 2**30  # strips are hardly slower on a CPU, whose memory is wanted for other things too


def fits_whole(architecture: Architecture, frame: Image, count: int, free_bytes: int, most_bytes: int | None = None) -> bool:
    """Whether `count` frames of this size can be painted whole, else in strips, in the free memory.

    most_bytes: what may be used for that at all. Raises TooLargeError, with the --size that fits, before anything is allocated.
    """
    height, width = frame.shape[:2]
    pixels = height * width
    if architecture.bytes_per_pixel * pixels * count <= min(free_bytes, most_bytes or free_bytes):
        return True
    needed = architecture.strip_bytes_per_pixel * pixels
    if needed > free_bytes:
        factor = (free_bytes / needed) ** 0.5 * 0.95
        fits = f"{max(1, int(width * factor))}x{max(1, int(height * factor))}"
        raise TooLargeError(
            f"{width}x{height} needs about {needed / 2**30:.1f} GiB in the {architecture.name} network, "
            f"even in strips, and {free_bytes / 2**30:.1f} GiB are free; use --size {fits}"
        )
    return False


def strips_note(frame: Image) -> str:
    """For a person."""
    return f"{frame.shape[1]}x{frame.shape[0]} is painted in strips, to save memory"
