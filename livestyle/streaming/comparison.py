"""Show photo and painting side by side."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from livestyle.frame import Image
from livestyle.streaming.pipeline import Painted

LINE_WIDTH = 2  # pixels; even, as x


def compared(painted: Iterable[Painted]) -> Iterator[Painted]:
    """Show the photo in the left half of each frame, and the painting in the right one."""
    for item in painted:
        image = compare(item.photo, item.frame.image, 0.5)
        yield item._replace(frame=replace(item.frame, image=image))


def with_photos(painted: Iterable[Painted]) -> Iterator[Painted]:
    """Attach to each frame the photo from which it was painted."""
    for item in painted:
        yield item._replace(frame=replace(item.frame, photo=item.photo))


def compare(photo: Image, painting: Image, share: float) -> Image:
    """Join the left part of a photo and the right part of its painting, divided by a white line. Returns a new array.

    Both are (H, W, 3) RGB, or NV12. share: that of the photo in the width, from 0 to 1.
    """
    width = painting.shape[1]
    x = round(share * width) // 2 * 2  # even: the chroma rows of NV12 hold pairs of bytes
    joined = np.concatenate([photo[:, :x], painting[:, x:]], axis=1)
    line = joined[:, x : x + LINE_WIDTH]
    line[:] = 255
    if painting.ndim == 2:
        line[painting.shape[0] * 2 // 3 :] = 128
    return joined
