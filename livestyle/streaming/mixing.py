"""Paint batches of looks, and of mixes of two looks."""

from collections.abc import Sequence

import cv2
import numpy as np

from livestyle.engines.base import Engine, Ticket
from livestyle.frame import Image
from livestyle.look import Look, Mix


def submit(engine: Engine, batch: Sequence[tuple[Image, Look | Mix]]) -> Ticket:
    """Start painting a batch, as `Engine.submit` does. All looks, or all mixes, have the same bodies."""
    mixes = [(image, look) for image, look in batch if isinstance(look, Mix)]
    if mixes:
        return _MixedTicket(engine, mixes)
    return engine.submit([(image, look) for image, look in batch if isinstance(look, Look)])


class _MixedTicket:
    """Ticket of a batch whose frames are painted in two looks each. The second painting starts when the first one is fetched."""

    def __init__(self, engine: Engine, batch: list[tuple[Image, Mix]]) -> None:
        self._engine, self._batch = engine, batch
        self._ticket = engine.submit([(image, mix.start) for image, mix in batch])

    def result(self) -> list[Image]:
        starts = self._ticket.result()
        ends = self._engine.submit([(image, mix.end) for image, mix in self._batch]).result()
        shares = [mix.share for _, mix in self._batch]
        return [
            np.asarray(cv2.addWeighted(start, 1 - share, end, share, 0), np.uint8)
            for start, end, share in zip(starts, ends, shares, strict=True)
        ]
