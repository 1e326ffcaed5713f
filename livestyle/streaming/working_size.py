"""Paint frames at another size than that of the source, which may change during a run."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import cv2
import numpy as np

from livestyle.frame import Frame, Image, Source
from livestyle.streaming.pipeline import Painted

FACTORS = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0)
SMALLEST, LARGEST = 64, 4096
"""Limits of the working size, in pixels, which a source itself may exceed."""


class WorkingSize:
    """A source that scales the frames of another one to the working size, which any thread may change.

    Its frames have the working size, while `info` has the size of the other source, to which `restore` scales the paintings.
    """

    def __init__(self, source: Source) -> None:
        self.info, self.notes, self.damage = source.info, source.notes, source.damage
        self._source = source
        self._factor = 1.0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels of the frames that are painted."""
        return self._size_for(self._factor)

    def _size_for(self, factor: float) -> tuple[int, int]:
        return max(1, round(self.info.width * factor)), max(1, round(self.info.height * factor))

    def step(self, steps: int) -> bool:
        """Change the working size by steps: 1 for the next larger one. Returns whether there is such a size."""
        place = FACTORS.index(self._factor) + steps
        if not 0 <= place < len(FACTORS):
            return False
        size = self._size_for(FACTORS[place])
        if FACTORS[place] != 1 and (min(size) < SMALLEST or max(size) > LARGEST):
            return False
        self._factor = FACTORS[place]
        return True

    def read(self) -> Frame | None:
        frame = self._source.read()
        return None if frame is None else replace(frame, image=_scaled(frame.image, self.size))

    def close(self) -> None:
        self._source.close()

    def restore(self, painted: Iterable[Painted]) -> Iterator[Painted]:
        """A stage that scales paintings to the size of the source."""
        for item in painted:
            image = _scaled(item.frame.image, (self.info.width, self.info.height))
            yield item if image is item.frame.image else item._replace(frame=replace(item.frame, image=image))


def _scaled(image: Image, size: tuple[int, int]) -> Image:
    """Scale a picture, (H, W, 3), to (height, width, 3). Returns the same array if it has that size. size: width, height."""
    if image.shape[1::-1] == size:
        return image
    smaller = size[0] < image.shape[1]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC), np.uint8)
