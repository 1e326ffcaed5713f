"""Write a picture to a file, or encode it to bytes."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage
from PIL.ExifTags import IFD, Base
from PIL.TiffImagePlugin import PREDICTOR

from livestyle.errors import OutputError
from livestyle.frame import Image
from livestyle.output_file import write_whole

WRITTEN_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
WITH_ALPHA = (".png", ".webp", ".tif", ".tiff")
JPEG_QUALITY = 95
OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    ".jpg": ("JPEG", {}),
    ".png": ("PNG", {"compress_level": 2, "compress_type": 3}),  # run lengths: as small as by default, in a third of the time
    ".webp": ("WEBP", {"lossless": True}),
    ".bmp": ("BMP", {}),
    ".tif": ("TIFF", {"compression": "tiff_lzw"}),
}
"""Suffix -> Pillow's name of the format, and its options."""
MOST_SIDE = {"JPEG": 65_500, "WEBP": 16_383}  # pixels


def check_format(suffix: str, width: int = 1, height: int = 1) -> None:
    """Raise OutputError if the suffix is not in WRITTEN_SUFFIXES, or its format cannot hold a picture of this size in pixels."""
    suffix = suffix.lower()
    if suffix not in WRITTEN_SUFFIXES:
        raise OutputError(f"pictures are written as {', '.join(WRITTEN_SUFFIXES)}, not {suffix or 'without a suffix'}")
    most = MOST_SIDE.get(_options(suffix)[0])
    if most is not None and max(width, height) > most:
        raise OutputError(f"{suffix} holds at most {most} pixels a side, and the picture has {width}x{height}; use .png")


def encode_picture(
    image: Image, suffix: str, alpha: Image | None = None, jpeg_quality: int = JPEG_QUALITY, exif: bytes = b""
) -> bytes:
    """Encode (H, W, 3) uint8 RGB in sRGB and (H, W) uint8 alpha as the bytes of a picture file.

    If the format has no transparency, the picture is composited over black.

    exif: as in Picture.exif. TIFF keeps only its camera, date and resolution, BMP only the resolution.

    Raises OutputError if the suffix is not in WRITTEN_SUFFIXES, if its format cannot hold a picture of this size, or if
    encoding fails.
    """
    check_format(suffix, image.shape[1], image.shape[0])
    suffix = suffix.lower()
    if alpha is not None and suffix in WITH_ALPHA:
        pixels = np.dstack([image, alpha])
    elif alpha is not None:
        pixels = (image.astype(np.uint16) * alpha[:, :, None] // 255).astype(np.uint8)
    else:
        pixels = image
    kind, options = _options(suffix)
    if kind == "JPEG":
        options = options | {"quality": jpeg_quality}
    if kind != "WEBP" and (resolution := _dots_per_inch(exif)):  # WebP stores the resolution only in EXIF
        options = options | {"dpi": resolution}
    if kind == "TIFF":
        tags = PillowImage.Exif()
        tags.load(exif)
        for nested in (IFD.Exif, IFD.GPSInfo):  # Pillow does not write them into compressed TIFF
            tags.pop(nested, None)
        tags[PREDICTOR] = 2  # horizontal differencing makes the file a third smaller
        options = options | {"tiffinfo": tags}
    elif kind != "BMP" and exif:
        options = options | {"exif": exif}
    data = BytesIO()
    try:
        PillowImage.fromarray(np.ascontiguousarray(pixels)).save(data, kind, **options)
    except (OSError, ValueError, MemoryError) as error:
        raise OutputError(f"cannot write a {image.shape[1]}x{image.shape[0]} picture as {suffix}: {error}; try .png") from error
    return data.getvalue()


def _options(suffix: str) -> tuple[str, dict[str, Any]]:
    return OPTIONS[{".jpeg": ".jpg", ".tiff": ".tif"}.get(suffix, suffix)]


def _dots_per_inch(exif: bytes) -> tuple[float, float] | None:
    """The resolution in Picture.exif, horizontal and vertical; None if there is none."""
    values = PillowImage.Exif()
    values.load(exif)
    x, y = values.get(Base.XResolution), values.get(Base.YResolution)
    return None if x is None or y is None else (float(x), float(y))


def write_picture(path: Path, image: Image, alpha: Image | None = None, exif: bytes = b"", *, replace: bool = True) -> None:
    """Write (H, W, 3) uint8 RGB in sRGB, and (H, W) uint8 alpha, as a picture file of the format that the path's suffix names.

    The file gets its name when it is complete. exif: as in Picture.exif. replace: whether an existing file may be replaced.

    Raises OutputError if the picture cannot be encoded or the file cannot be written.
    """
    write_whole(path, encode_picture(image, path.suffix, alpha, exif=exif), replace=replace)
