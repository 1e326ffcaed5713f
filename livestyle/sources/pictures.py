"""Pictures, from files or bytes."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from livestyle.errors import InputError
from livestyle.frame import Image
from livestyle.sources.opencv import silent

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class Picture:
    """A decoded picture, turned as its EXIF orientation says."""

    image: Image
    """(H, W, 3) uint8 RGB."""
    alpha: Image | None
    """(H, W) uint8, None where the picture has no transparency."""


def find_pictures(paths: list[Path]) -> list[Path]:
    """The paths, folders replaced by the pictures in them, in alphabetical order. Raises InputError."""
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(entry for entry in path.iterdir() if entry.suffix.lower() in SUFFIXES and entry.is_file())
        if not inside:
            raise InputError(f"no pictures in the folder {path} ({', '.join(SUFFIXES)})")
        found += inside
    return found


def read_picture(path: Path) -> Picture:
    """Raises InputError that says what is wrong with the file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    return decode_picture(data, str(path))


def decode_picture(data: bytes, name: str) -> Picture:
    """Decode a whole picture file; name is for the error. Raises InputError."""
    if not data:
        raise InputError(f"{name} is empty")
    buffer = np.frombuffer(data, np.uint8)
    try:
        with silent():
            # unchanged: the only way to the alpha channel; it leaves the EXIF orientation alone
            pixels = cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)
            if pixels is not None and (pixels.ndim == 2 or pixels.shape[2] != 4):
                pixels = cv2.imdecode(buffer, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:
        raise InputError(f"cannot read {name}: {error.err}") from error
    if pixels is None:
        raise InputError(f"{name} is not a picture that can be read ({', '.join(SUFFIXES)})")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{name} has {pixels.dtype} values; save it with 8 or 16 bits a channel")
    image = (pixels // 257 if pixels.dtype == np.uint16 else pixels).astype(np.uint8)  # (H, W, 3 or 4) BGR
    alpha = np.ascontiguousarray(image[:, :, 3]) if image.shape[2] == 4 else None
    return Picture(np.ascontiguousarray(image[:, :, 2::-1]), alpha)


def resize(image: Image, width: int, height: int) -> Image:
    """(H, W, 3) or (H, W) uint8 to (height, width, ...)."""
    if image.shape[:2] == (height, width):
        return image
    smaller = height * width < image.shape[0] * image.shape[1]
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
    return resized.astype(np.uint8, copy=False)
