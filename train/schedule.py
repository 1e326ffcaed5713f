"""The crops, styles and learning rate of each step."""

import math
from collections.abc import Iterator

from livestyle.train.config import Config


class Batches:
    """Yields the crop numbers of each step's batch. starts: the first crop number of each batch. size: crops per batch."""

    def __init__(self, starts: range, size: int) -> None:
        self.starts, self.size = starts, size

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[list[int]]:
        return (list(range(start, start + self.size)) for start in self.starts)


def style_of_crop(number: int, config: Config, total_crops: int) -> int | None:
    """The index of the named style that a crop is painted in, or None if its rows are predicted from a style picture.

    The named styles take turns. With style pictures, the rows of every third crop of the first half of the training are
    predicted. The second half has named styles only: they reach a lower loss without other styles at the end. If only the
    predictor is trained, all rows are predicted.
    """
    if config.finetune == "predictor":
        return None
    if config.style_pictures is None or number >= total_crops // 2:
        return number % len(config.styles)
    return None if number % 3 == 2 else (number - number // 3) % len(config.styles)


def learning_rate_factor(config: Config, progress: float) -> float:
    """The factor for the initial learning rates, 0 to 1. progress: the share of the training that is done, 0 to 1.

    With "cosine" decay it falls from 1 to 0 over half a period of a cosine; with "none" it is always 1.
    """
    if config.learning_rate_decay == "none":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1)))
