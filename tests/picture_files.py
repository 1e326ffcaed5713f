"""Make, encode and decode pictures in tests."""

import io
from typing import Any

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageCms

from livestyle.frame import Image
from livestyle.pictures.reading import Picture, decode_picture

BLOCKS = np.array([[[250, 0, 0], [0, 200, 0], [0, 0, 150]], [[200, 200, 0], [0, 100, 100], [60, 0, 60]]], np.uint8)
"""Six different colours, (2, 3, 3): every orientation of the picture looks different."""


def blocks(side: int = 16) -> Image:
    """A picture of BLOCKS, each a square of `side` pixels: (2 side, 3 side, 3) uint8 RGB."""
    return np.kron(BLOCKS, np.ones((side, side, 1), np.uint8))


def encoded(image: PillowImage.Image, kind: str, **options: Any) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def decoded(image: PillowImage.Image, kind: str, **options: Any) -> Picture:
    return decode_picture(encoded(image, kind, **options), f"the {kind}")


def middles(image: Image, side: int = 16) -> Image:
    """The colours in the middle of each square of `side` pixels."""
    return image[side // 2 :: side, side // 2 :: side]


def swapped_red_and_blue() -> bytes:
    """An ICC profile like sRGB's, but with red and blue swapped: it exchanges the two tags."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return data.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")


def noise_picture(width: int = 64, height: int = 240) -> PillowImage.Image:
    """Random pixels, which compress badly: cutting the file off cuts pixels off."""
    return PillowImage.fromarray(np.random.default_rng(0).integers(1, 256, (height, width, 3), np.uint8))
