"""The batches of a training: content crops, and style pictures for those that are painted in predicted rows."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from livestyle.train.content.crops import ContentCrops
from livestyle.train.content.style_pictures import StylePictures
from livestyle.train.content.variations import SIDE


class Batch(NamedTuple):
    """The input of one step."""

    photo: Tensor
    """Content crops, (N, 3, size, size) in [0, 1]."""
    style_pictures: Tensor
    """The style pictures of the crops that are painted in predicted rows, in order, (P, 3, 256, 256) in [0, 1]; P may be 0."""
    skipped: set[int]
    """The numbers of the content pictures that were skipped."""


Item = tuple[Tensor, set[int], Tensor | None]


class TrainingItems(Dataset[Item]):
    """Item i is crop number i, (3, size, size), the numbers of skipped pictures, and its style picture, (3, 256, 256) or None.

    style_of_crop: maps a crop number to the index of its style, or to None if the crop is painted in predicted rows.
    """

    def __init__(
        self, crops: ContentCrops, style_pictures: StylePictures | None, style_of_crop: Callable[[int], int | None]
    ) -> None:
        self.crops, self.style_pictures, self.style_of_crop = crops, style_pictures, style_of_crop

    def __getitem__(self, index: int) -> Item:
        crop, skipped = self.crops[index]
        if self.style_pictures is None or self.style_of_crop(index) is not None:
            return crop, skipped, None
        return crop, skipped, self.style_pictures.variation(index)


def collate(items: list[Item]) -> Batch:
    """Collate items of TrainingItems into a batch."""
    crops, skipped, pictures = zip(*items, strict=True)
    present = [picture for picture in pictures if picture is not None]
    style_pictures = torch.stack(present) if present else torch.empty(0, 3, SIDE, SIDE)
    return Batch(torch.stack(crops), style_pictures, set().union(*skipped))
