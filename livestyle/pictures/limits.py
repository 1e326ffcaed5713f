"""Limits on the size of pictures, checked before memory is allocated."""

from livestyle.errors import TooLargeError
from livestyle.memory import free_bytes

FILE_CAP_BYTES = 2**30
MOST_PIXELS = 500_000_000
BYTES_PER_PIXEL = 8  # decoding row by row: at most 4 in Pillow, and 4 for the result
PROGRESSIVE_BYTES_PER_PIXEL = 14  # a progressive JPEG: these 8, and the coefficients of the whole picture
WHOLE_BYTES_PER_PIXEL = 24  # other decoders return the picture in one piece: the 8, and their buffers


def check_file_size(size_bytes: int, name: str) -> None:
    """Raise TooLargeError if a file is larger than FILE_CAP_BYTES or than the free memory. name: for the message."""
    if size_bytes > FILE_CAP_BYTES or size_bytes > free_bytes():
        raise TooLargeError(
            f"{name} has {size_bytes / 2**20:,.0f} MiB or more; a picture file may have at most {FILE_CAP_BYTES >> 20} MiB, and "
            "must fit in the free memory"
        )


def check_size(width: int, height: int, name: str, bytes_per_pixel: int = BYTES_PER_PIXEL) -> None:
    """Raise TooLargeError if a picture has more than MOST_PIXELS or does not fit in the free memory.

    bytes_per_pixel: peak memory of decoding it.
    """
    if width * height > MOST_PIXELS:
        raise TooLargeError(
            f"{name} has {width}x{height} pixels, {width * height / 1e6:,.0f} million; "
            f"at most {MOST_PIXELS // 10**6} million are read, so scale it down first"
        )
    needed, free = width * height * bytes_per_pixel, free_bytes()
    if needed > free:
        raise TooLargeError(
            f"{name} has {width}x{height} pixels, which take {needed / 2**30:.1f} GiB to decode, and {free / 2**30:.1f} GiB "
            "of memory are free; scale it down first, or close other programs"
        )
