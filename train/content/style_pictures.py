"""Style pictures for the predictor: a folder of paintings, and random variations of them."""

import os
from pathlib import Path

import numpy as np
from torch import Tensor

from livestyle.errors import TrainingError
from livestyle.pictures.formats import READ_SUFFIXES
from livestyle.train.content.crops import (
    MAX_ASPECT,
    MIN_DEVIATION,
    crop_centre,
    resize_short_side,
    to_tensor,
    try_read_picture,
)
from livestyle.train.content.variations import SIDE, random_part, recoloured

SHARE_WHOLE, SHARE_PART = 0.5, 0.25  # of the variations; the others are recoloured parts


class StylePictures:
    """An unlimited sequence of variations of a folder's pictures, which is searched recursively.

    Variation number i is a random picture's centre square or, less often, a random part of it, recoloured or not. It depends on
    the seed and on i only. All subfolders are drawn equally often, so that many pictures of one kind, in a folder of their own,
    do not outweigh the others. Raises TrainingError if the folder has no pictures.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        self.paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in READ_SUFFIXES and _is_file(path))
        if not self.paths:
            raise TrainingError(
                f"no style pictures in {folder} ({', '.join(READ_SUFFIXES)}); name a folder with a hundred or more paintings"
            )
        by_folder: dict[Path, list[Path]] = {}
        for path in self.paths:
            by_folder.setdefault(path.parent, []).append(path)
        self._folders = list(by_folder.values())

    def order(self, rng: np.random.Generator) -> list[Path]:
        """Draw a picture, from a random one of the subfolders, followed by all pictures in random order."""
        folder = self._folders[int(rng.integers(len(self._folders)))]
        return [folder[int(rng.integers(len(folder)))], *(self.paths[index] for index in rng.permutation(len(self.paths)))]

    def variation(self, number: int) -> Tensor:
        """Make variation `number`, (3, 256, 256) in [0, 1]. Raises TrainingError if no picture of the folder can be used.

        A picture that cannot be read, is of one colour or is a strip is replaced by the next one of a random order.
        """
        rng = np.random.default_rng((self.seed, number, 2))
        for path in self.order(rng):
            picture = try_read_picture(path)
            if picture is None or max(picture.shape[:2]) > MAX_ASPECT * min(picture.shape[:2]):
                continue
            varied = _varied(picture, rng)
            if varied.std((0, 1)).max() >= MIN_DEVIATION:
                return to_tensor(varied)
        raise TrainingError(f"none of the {len(self.paths)} style pictures in {self.folder} can be read and has several colours")


def _varied(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Vary a picture at random, (H, W, 3) uint8 -> (256, 256, 3) uint8."""
    kind = rng.random()
    if kind < SHARE_WHOLE:
        centre = crop_centre(resize_short_side(picture, SIDE), SIDE)
        return centre[:, ::-1] if rng.random() < 0.5 else centre
    part = random_part(picture, rng)
    return part if kind < SHARE_WHOLE + SHARE_PART else recoloured(part, rng)


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 (Path.is_file raises in folders without permission)
