"""Paint nothing while the picture stands still."""

import time
from collections.abc import Callable

import cv2
import numpy as np

from livestyle.engines.base import Batch, Done, Engine, Ticket
from livestyle.frame import Image, size_of
from livestyle.look import Look
from livestyle.networks.body import Body

BLOCK = 8  # pixels: side of the squares whose mean colours are compared, so that the noise of a camera is not a change
SAME_LEVELS = 4.0  # largest change of a mean colour that is no change, in grey levels
LONGEST_SECONDS = 1.0


class StillEngine:
    """An engine that returns the last painting again for a picture that is about the same, in the same look.

    Frames are compared with the last one that was painted, so slow changes add up. After a second the frame is painted in any
    case. For batches of one frame, each fetched before the next is submitted.

    engine: paints the others. clock: the time in seconds.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self.name, self.precision, self.batches, self.gpu = engine.name, engine.precision, engine.batches, engine.gpu
        self.batches_in_flight, self.takes_nv12, self.notes = 1, False, engine.notes
        self.reused = 0
        """Number of paintings that were returned again."""
        self._engine, self._clock = engine, clock
        self._last: _Painting | None = None

    def prepare(self, body: Body) -> None:
        self._engine.prepare(body)

    def submit(self, batch: Batch) -> Ticket:
        ((photo, look),) = batch
        now, blocks = self._clock(), _blocks(photo)
        last = self._last
        if last is not None and last.image is not None and last.matches(photo, blocks, look, now):
            self.reused += 1
            return Done([last.image])
        self._last = _Painting(self._engine.submit(batch), photo.shape, blocks, look, now)
        return self._last

    def close(self) -> None:
        self._engine.close()


class _Painting:
    """Ticket of a painting, which keeps it, with what it was painted from."""

    def __init__(self, ticket: Ticket, shape: tuple[int, ...], blocks: Image, look: Look, painted_at: float) -> None:
        self.image: Image | None = None
        self._ticket, self._shape, self._blocks, self._look, self._painted_at = ticket, shape, blocks, look, painted_at

    def result(self) -> list[Image]:
        images = self._ticket.result()
        (self.image,) = images
        return images

    def matches(self, photo: Image, blocks: Image, look: Look, now: float) -> bool:
        return (
            now - self._painted_at < LONGEST_SECONDS
            and photo.shape == self._shape
            and look == self._look
            and float(np.abs(blocks.astype(np.float32) - self._blocks).max()) <= SAME_LEVELS
        )


def _blocks(photo: Image) -> Image:
    """The mean colours of blocks of a picture: (H, W, 3) -> about (H / 8, W / 8, 3)."""
    height, width = size_of(photo)
    size = max(1, width // BLOCK), max(1, height // BLOCK)
    return np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)
