"""Convert the pixels of a decoded picture to sRGB, turn them upright, and resize them."""

from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL import PpmImagePlugin
from PIL.ImageCms import ImageCmsTransform, applyTransform

from livestyle.errors import InputError
from livestyle.frame import Image

BAND_PIXELS = 2**21  # pixels that are converted at a time

TURNS: dict[int, Callable[[Image], Image]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}
"""EXIF orientation -> the operation that turns stored pixels, (H, W, C), upright."""


def to_rgb(picture: PillowImage.Image, transform: "tuple[str, ImageCmsTransform] | None", name: str) -> Image:
    """Convert a decoded picture to (H, W, 3) uint8 RGB, or (H, W, 4) RGBA if it has transparency.

    Converts bands of rows one after another: a copy of the whole picture in another mode would take more memory.

    transform: as returned by `srgb_transform`. name: for messages. Raises InputError for 32 bits per channel.
    """
    if picture.mode == "F" or (picture.mode == "I" and not isinstance(picture, PpmImagePlugin.PpmImageFile)):
        raise InputError(f"{name} has 32 bits per channel; save it with 8 or 16")
    width, height = picture.size
    has_alpha = picture.has_transparency_data
    pixels = np.empty((height, width, 4 if has_alpha else 3), np.uint8)
    rows = max(1, BAND_PIXELS // width)
    for top in range(0, height, rows):
        band = picture.crop((0, top, width, min(top + rows, height)))
        if has_alpha:
            with_alpha = band.convert("RGBA")
            pixels[top : top + rows, :, 3] = np.asarray(with_alpha.getchannel("A"))
            band = with_alpha.convert(picture.mode if picture.mode == "CMYK" else "RGB")
        if band.mode.startswith("I"):
            values = np.asarray(band).astype(np.uint32)  # grey, 16 bits
            band = PillowImage.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
        if transform is None:
            colors = np.asarray(band.convert("RGB"))
        else:
            mode, to_srgb = transform
            colors = np.asarray(applyTransform(band.convert(mode), to_srgb))
        pixels[top : top + rows, :, :3] = colors
    return pixels


def resize(image: Image, width: int, height: int) -> Image:
    """Resize (H, W, 3) or (H, W) uint8 to (height, width[, 3]): by pixel area if that is fewer pixels, else bicubic."""
    if image.shape[:2] == (height, width):
        return image
    smaller = height * width < image.shape[0] * image.shape[1]
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
    return resized.astype(np.uint8, copy=False)
