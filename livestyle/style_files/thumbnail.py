"""Thumbnails: small copies of the style pictures, stored in the style files."""

from livestyle.errors import InputError, StyleError, TooLargeError
from livestyle.frame import Image
from livestyle.pictures.pixels import resize
from livestyle.pictures.reading import decode_picture, read_picture
from livestyle.pictures.writing import encode_picture
from livestyle.style_files.file_format import PredictedStyle, StyleHeader, load_thumbnail_jpeg

SHORT_SIDE = 96  # pixels, at most
LONG_SIDE = 512  # pixels, at most; larger pictures are not decoded
JPEG_QUALITY = 85


def make_thumbnail(picture: Image) -> bytes:
    """Make a thumbnail of a picture, (H, W, 3) uint8 RGB, never larger than the picture.

    Returns a JPEG with a short side of at most 96 and a long side of at most 512 pixels.
    """
    height, width = picture.shape[:2]
    factor = min(1.0, SHORT_SIDE / min(height, width), LONG_SIDE / max(height, width))
    small = resize(picture, max(1, round(width * factor)), max(1, round(height * factor)))
    return encode_picture(small, ".jpg", jpeg_quality=JPEG_QUALITY)


def thumbnail_jpeg(header: StyleHeader) -> bytes | None:
    """The bytes of a style's thumbnail, not validated; None if there is none. That of a predicted style is made from its picture.

    Raises StyleError if the file or the picture cannot be read.
    """
    if not isinstance(header, PredictedStyle):
        return load_thumbnail_jpeg(header)
    try:
        return make_thumbnail(read_picture(header.path).image)
    except (InputError, TooLargeError) as error:
        raise StyleError(str(error)) from error


def load_thumbnail(header: StyleHeader) -> Image | None:
    """Decode a style's thumbnail -> (h, w, 3) uint8 RGB; None if there is none.

    Raises StyleError if it cannot be read, or is not a JPEG of at most 512x512 pixels.
    """
    data = thumbnail_jpeg(header)
    if data is None:
        return None
    width, height = _jpeg_size(data)
    if not (0 < width <= LONG_SIDE and 0 < height <= LONG_SIDE):
        found = f"has {width}x{height} pixels" if width and height else "is not a JPEG"
        raise StyleError(f"{header.path}: the thumbnail {found}; expected a JPEG of at most {LONG_SIDE}x{LONG_SIDE} pixels")
    try:
        return decode_picture(data, f"the thumbnail in {header.path}").image
    except InputError as error:
        raise StyleError(str(error)) from error


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Read (width, height) from a JPEG's frame header, before the pixels take any memory; (0, 0) if there is no such header.

    Steps through the marker segments (ITU-T T.81, B.1.1.4 and B.2.2). Unlike decoders, it allows no bytes between segments.
    """
    at = 2 if data[:2] == b"\xff\xd8" else len(data)  # after the start of image
    while data[at : at + 1] == b"\xff" and at + 9 <= len(data):
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # all are frame headers (SOF), except DHT, JPG and DAC
            return int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
        if not 0xC4 <= marker <= 0xFE or 0xD0 <= marker <= 0xDA:  # a marker without a length, or a scan before its frame
            break
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return 0, 0
