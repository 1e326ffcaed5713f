"""Decode the pixels of a picture, and salvage what can be decoded of a damaged one."""

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
    """Decode the pixels of a picture in place. data: its file.

    Raises the errors of the decoder, of any type, and OSError for a JPEG without an end marker.
    """
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        with _stderr_discarded():
            picture.load()
        return
    header_bytes = picture.fp.tell() if picture.fp else 0
    picture.load()
    if isinstance(picture, JpegImagePlugin.JpegImageFile) and data.find(JPEG_END, header_bytes) < 0:
        raise OSError("it has no end marker")  # Pillow loads it if zeros follow, as after an interrupted download


def salvaged(picture: ImageFile, data: bytes) -> PillowImage.Image | None:
    """What can be decoded of a damaged picture; the rest is grey or black. None if nothing can. data: the picture's file."""
    try:
        if isinstance(picture, JpegImagePlugin.JpegImageFile):
            picture = JpegImagePlugin.JpegImageFile(BytesIO(data + JPEG_END))  # at this marker the rest becomes grey
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
    """Decode with OpenCV, which returns the pixels up to the damage; Pillow's decoder, made for animations, returns none.

    None if OpenCV cannot decode it either. Transparency is dropped.
    """
    with silent():
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None or pixels.shape[:2] != (picture.height, picture.width):
        return None
    salvaged = PillowImage.fromarray(np.ascontiguousarray(pixels[:, :, ::-1]))
    salvaged.info = picture.info
    return salvaged


@contextmanager
def _stderr_discarded() -> Iterator[None]:
    """Discard what libtiff writes to file descriptor 2; Pillow raises the same errors as exceptions."""
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
