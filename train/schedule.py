"""What each step trains on: its crops, their styles and the learning rate."""

import math
from collections.abc import Iterator

from livestyle.train.config import Config


class Batches:
    """The crop numbers of each step's batch, generated one step at a time. starts: the first crop number of each step."""

    def __init__(self, starts: range, size: int) -> None:
        self.starts, self.size = starts, size

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[list[int]]:
        return (list(range(start, start + self.size)) for start in self.starts)


def style_of_crop(number: int, config: Config, total_crops: int) -> int:
    """The index of the style that a crop is painted in.

    The named styles take turns. If there are extra styles, every third crop of the first half of the training has one of them.
    The second half has named styles only, because extra styles would hold them back to the end.
    """
    if not config.extra_styles or number >= total_crops // 2:
        return number % len(config.styles)
    if number % 3 == 2:
        return len(config.styles) + number // 3 % config.extra_styles
    return (number - number // 3) % len(config.styles)


def learning_rate_factor(config: Config, progress: float) -> float:
    """The factor of the initial learning rates, from 1 to 0. progress: the share of the training that is done.

    With "cosine" decay, half a period of a cosine; with "none", always 1.
    """
    if config.learning_rate_decay == "none":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1)))
