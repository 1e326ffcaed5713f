"""Read EXIF from pictures: the orientation, and the tags that are copied to the painting."""

import math
from collections.abc import Iterable
from typing import Any

from PIL import Image as Pillow
from PIL.ExifTags import GPS, IFD, Base
from PIL.TiffImagePlugin import IFDRational

KEPT = (Base.ImageDescription, Base.Make, Base.Model, Base.DateTime, Base.Artist, Base.Copyright)
KEPT_OF_CAMERA = (
    *(Base.ExposureTime, Base.FNumber, Base.ExposureProgram, Base.ISOSpeedRatings, Base.ExposureBiasValue, Base.MeteringMode),
    *(Base.DateTimeOriginal, Base.DateTimeDigitized, Base.OffsetTime, Base.OffsetTimeOriginal, Base.OffsetTimeDigitized),
    *(Base.SubsecTime, Base.SubsecTimeOriginal, Base.SubsecTimeDigitized, Base.Flash, Base.FocalLength),
    *(Base.FocalLengthIn35mmFilm, Base.LensSpecification, Base.LensMake, Base.LensModel),
)
"""Tags that are copied. Left out are the thumbnail, which shows the photo, tags that describe the photo's file, and maker notes,
whose offsets would be wrong."""

VALUE_CAP_BYTES = 4096
INCH, CENTIMETRE = 2, 3  # EXIF's resolution units


def read_exif(picture: Pillow.Image) -> Pillow.Exif:
    """The picture's EXIF; empty if it is damaged."""
    try:
        return picture.getexif()
    except Exception:  # the parsers of damaged EXIF raise all kinds of errors
        return Pillow.Exif()


def orientation(exif: Pillow.Exif) -> int:
    """The EXIF orientation, 1 to 8; 1, upright, if it is missing or invalid."""
    value = exif.get(Base.Orientation, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def kept_exif(exif: Pillow.Exif, dots_per_inch: Any) -> bytes:
    """EXIF for the painting's file, encoded: date, camera, place and resolution of the photo. Empty if there is nothing to keep.

    dots_per_inch: (horizontal, vertical) from the header of the photo's file, which takes precedence over the resolution in
    EXIF; None if the header has none.
    """
    kept = Pillow.Exif()
    kept.update(_values(exif, KEPT))
    for ifd, tags in ((IFD.Exif, KEPT_OF_CAMERA), (IFD.GPSInfo, GPS)):
        try:
            values = dict(_values(exif.get_ifd(ifd), tags))
        except Exception:
            values = {}
        if values:
            kept[ifd] = values
    resolution = _resolution(dots_per_inch) or _resolution_of_exif(exif)
    if resolution is not None:
        resolution = resolution if orientation(exif) < 5 else resolution[::-1]  # rotated with the picture
        kept.update({Base.XResolution: resolution[0], Base.YResolution: resolution[1], Base.ResolutionUnit: INCH})
    try:
        return kept.tobytes() if kept else b""
    except Exception:  # the type of a value does not fit its tag
        return b""


def _values(exif: Any, tags: Iterable[int]) -> Iterable[tuple[int, Any]]:
    """Yield (tag, value) for each of the tags that has a valid value in `exif`."""
    for tag in tags:
        value = exif.get(tag)
        if value is not None and _is_valid(value):
            yield int(tag), value


def _is_valid(value: Any) -> bool:
    """Whether a value is small, finite and of a type that exists in EXIF."""
    if isinstance(value, tuple):
        return 0 < len(value) <= 16 and all(map(_is_valid, value))
    if isinstance(value, (str, bytes)):
        return len(value) <= VALUE_CAP_BYTES
    if isinstance(value, IFDRational):
        return value.denominator != 0
    return isinstance(value, (int, float)) and math.isfinite(value)


def _resolution_of_exif(exif: Pillow.Exif) -> tuple[float, float] | None:
    """The resolution in EXIF, dots per inch, horizontal and vertical; None if it is missing or not plausible."""
    found = _resolution((exif.get(Base.XResolution), exif.get(Base.YResolution)))
    centimetres = exif.get(Base.ResolutionUnit) == CENTIMETRE
    return found and (found[0] * 2.54, found[1] * 2.54) if centimetres else found


def _resolution(value: Any) -> tuple[float, float] | None:
    """Convert a pair of numbers of any type to floats; None if it is no pair, or not plausible as a resolution."""
    try:
        x, y = (float(number) for number in value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if 1 < x < 1e5 and 1 < y < 1e5 else None
