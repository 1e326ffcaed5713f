"""Pictures, to files or bytes."""

from pathlib import Path

import cv2
import numpy as np

from livestyle.errors import OutputError
from livestyle.frame import Image
from livestyle.output_file import write_whole

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
WITH_ALPHA = (".png", ".webp", ".tif", ".tiff")
JPEG_QUALITY = 95


def encode_picture(image: Image, suffix: str, alpha: Image | None = None, jpeg_quality: int = JPEG_QUALITY) -> bytes:
    """(H, W, 3) uint8 RGB and (H, W) alpha -> a picture file's bytes. Formats without transparency get it over black.

    Raises OutputError for a suffix that is not written, and for a picture that the format cannot hold.
    """
    suffix = suffix.lower()
    if suffix not in SUFFIXES:
        raise OutputError(f"pictures are written as {', '.join(SUFFIXES)}, not {suffix or 'without a suffix'}")
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    if alpha is not None and suffix in WITH_ALPHA:
        pixels = np.dstack([pixels, alpha])
    elif alpha is not None:
        pixels = (pixels.astype(np.uint16) * alpha[:, :, None] // 255).astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality] if suffix in (".jpg", ".jpeg") else []
    try:
        ok, data = cv2.imencode(suffix, pixels, quality)
    except cv2.error as error:
        raise OutputError(f"cannot write a {image.shape[1]}x{image.shape[0]} picture as {suffix}: {error.err}") from error
    if not ok:
        raise OutputError(f"cannot write a {image.shape[1]}x{image.shape[0]} picture as {suffix}; try .png")
    return data.tobytes()


def write_picture(path: Path, image: Image, alpha: Image | None = None) -> None:
    """Write (H, W, 3) uint8 RGB; the name appears with the whole picture. Raises OutputError."""
    write_whole(path, encode_picture(image, path.suffix, alpha))
