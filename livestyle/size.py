"""Sizes to paint at: boxes that a picture is scaled to fit, keeping its aspect ratio."""

from numbers import Integral

from livestyle.errors import LivestyleError, OutputError

Size = tuple[int | None, int]
"""Width and height of the box to fit inside, in pixels. A width of None does not limit the width."""

LARGEST_SIDE = 65_535
"""The largest width or height of a picture, in pixels: the limit of JPEG."""
LARGEST_VIDEO_SIDE = 16_384
"""The largest width or height of a video, in pixels: the limit of video encoders."""


def as_size(size: Size | int | None) -> Size | None:
    """Convert (width, height), or a height alone, to a Size. None stays None. Raises LivestyleError for anything else."""
    if size is None:
        return None
    width, height = size if isinstance(size, tuple) and len(size) == 2 else (None, size)
    for side in (height,) if width is None else (width, height):
        if not isinstance(side, Integral) or not 1 <= side <= LARGEST_SIDE:
            raise LivestyleError(f"{size!r} is not a size: pass (width, height) or a height, from 1 to {LARGEST_SIDE} pixels")
    assert isinstance(height, Integral)
    return (None if width is None else int(width), int(height))


def fit_size(width: int, height: int, size: Size | None, multiple: int = 1) -> tuple[int, int]:
    """Scale (width, height) to fit inside `size`, keeping the aspect ratio. Both sides are rounded to a multiple of `multiple`.

    Smaller pictures are scaled up. If `size` is None, returns (width, height) unchanged, without rounding.
    """
    if size is None:
        return width, height
    factor = size[1] / height if size[0] is None else min(size[0] / width, size[1] / height)

    def rounded(side: float, most: int | None) -> int:
        nearest = round(side / multiple) * multiple
        return max(multiple, nearest if most is None or nearest <= most else nearest - multiple)

    return rounded(width * factor, size[0]), rounded(height * factor, size[1])


def video_size(width: int, height: int, size: Size | None) -> tuple[int, int]:
    """Like `fit_size`, with even sides, as 4:2:0 video requires. Raises OutputError if a side is too large for encoders."""
    width, height = fit_size(width, height, size, multiple=2)
    if max(width, height) > LARGEST_VIDEO_SIDE:
        raise OutputError(
            f"{width}x{height} is too large for a video: encoders accept at most {LARGEST_VIDEO_SIDE} pixels a side",
            advice="use a smaller --size",
        )
    return width, height
