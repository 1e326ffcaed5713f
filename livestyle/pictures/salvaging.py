"""Decode the pixels of a picture; of a damaged one, keep what can be decoded."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL import JpegImagePlugin, TiffImagePlugin, WebPImagePlugin
from PIL.ImageFile import ImageFile

from livestyle.opencv import silent
from livestyle.pictures.formats import DECODED_BY_ROWS

JPEG_END = b"\xff\xd9"  # marker


def load(picture: ImageFile, data: bytes) -> None:
    """Decode the pixels of the file `data`. Raises what the decoder raises, and OSError for a JPEG without an end marker."""
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        with _stderr_closed():
            picture.load()
        return
    header_bytes = picture.fp.tell() if picture.fp else 0
    picture.load()
    if isinstance(picture, JpegImagePlugin.JpegImageFile) and data.find(JPEG_END, header_bytes) < 0:
        raise OSError("it has no end marker")  # it loads if zeros follow, as an interrupted download may leave them


def salvaged(picture: ImageFile, data: bytes) -> PillowImage.Image | None:
    """The part of a damaged picture that can be decoded, the rest grey or black; None if that is nothing."""
    try:
        if isinstance(picture, JpegImagePlugin.JpegImageFile):
            picture = JpegImagePlugin.JpegImageFile(BytesIO(data + JPEG_END))  # from this marker on, the rest becomes grey
            with suppress(Exception):  # decoders raise all kinds of errors
                picture.load()
            picture.tile = []
        elif isinstance(picture, DECODED_BY_ROWS):
            picture.tile = []  # load() does nothing more; the rest stays black
        elif isinstance(picture, WebPImagePlugin.WebPImageFile):
            return _salvaged_webp(picture, data)
        else:
            return None
        extrema = picture.getextrema()
    except Exception:
        return None
    bands = extrema if isinstance(extrema[0], tuple) else (extrema,)
    return None if all(low == high for low, high in bands) else picture  # one colour only: nothing was decoded


def _salvaged_webp(picture: ImageFile, data: bytes) -> PillowImage.Image | None:
    """Decode by OpenCV, which returns the pixels up to the damage; Pillow's decoder, made for animations, returns none."""
    with silent():
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None or pixels.shape[:2] != (picture.height, picture.width):
        return None
    salvaged = PillowImage.fromarray(np.ascontiguousarray(pixels[:, :, ::-1]))
    salvaged.info = picture.info
    return salvaged


@contextmanager
def _stderr_closed() -> Iterator[None]:
    """Discard what libtiff writes to file descriptor 2; Pillow raises the same errors."""
    try:
        saved = os.dup(2)
    except OSError:  # stderr is closed already
        yield
        return
    try:
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
