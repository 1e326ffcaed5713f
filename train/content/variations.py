"""Style pictures for extra styles: many different ones, so that the body learns what styles have in common.

A new style can then be learned by training its rows only, on that body (Dumoulin et al. 2017, section 3.2).
"""

from collections.abc import Sequence

import cv2
import numpy as np

from livestyle.train.content import drawn
from livestyle.train.content.crops import crop_centre, resize_short_side

SIDE = 256  # pixels


def variation(number: int, pictures: Sequence[np.ndarray], photo: np.ndarray, seed: int) -> np.ndarray:
    """Make extra style picture `number`, (256, 256, 3) uint8 RGB. The random choices depend on number and seed only.

    Kinds in turn: a rotated and recoloured part of one of `pictures`, a drawn texture, another such part, the recoloured photo.
    pictures, photo: (H, W, 3) uint8 RGB.
    """
    rng = np.random.default_rng((seed, number))
    kind = number % 4
    if kind == 1:
        return drawn.texture(rng)
    if kind == 3:
        return recoloured(crop_centre(resize_short_side(photo, SIDE), SIDE), rng)
    return recoloured(random_part(pictures[int(rng.integers(len(pictures)))], rng), rng)


def random_part(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut out a random part of a picture, rotated by a random angle, mirrored or not. (H, W, 3) uint8 -> (256, 256, 3) uint8."""
    height, width = picture.shape[:2]
    zoom = SIDE / (min(height, width) * rng.uniform(0.4, 1))
    turn = cv2.getRotationMatrix2D((width * rng.uniform(0.3, 0.7), height * rng.uniform(0.3, 0.7)), rng.uniform(0, 360), zoom)
    turn[:, 2] += SIDE / 2 - turn @ [width / 2, height / 2, 1]
    part: np.ndarray = cv2.warpAffine(picture, turn, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return part[:, ::-1] if rng.random() < 0.5 else part


def recoloured(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change a picture's hue, contrast (sometimes inverted), saturation and tint at random. (H, W, 3) uint8 -> the same shape."""
    axis, angle = np.full(3, 3**-0.5), rng.uniform(0, 2 * np.pi)
    turn, _ = cv2.Rodrigues(axis * angle)
    centred = (picture.astype(np.float64) - 127.5) @ turn.T
    grey = centred.mean(2, keepdims=True)
    changed: np.ndarray = grey * rng.uniform(0.7, 1.2) * rng.choice([1, 1, 1, -1]) + (centred - grey) * rng.uniform(0.4, 1.5)
    changed = np.clip(changed + 127.5 + rng.normal(0, 15, 3), 0, 255)
    return changed.astype(np.uint8)
