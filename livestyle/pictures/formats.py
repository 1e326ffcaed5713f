"""Picture formats that can be read: their suffixes, their decoders, and reading the header of a file."""

import importlib.util
import zlib
from collections.abc import Iterator
from io import BytesIO

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    SunImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    features,
)
from PIL import Image as PillowImage
from PIL.ImageFile import ImageFile

from livestyle.errors import InputError, TooLargeError
from livestyle.pictures.limits import BYTES_PER_PIXEL, PROGRESSIVE_BYTES_PER_PIXEL, WHOLE_BYTES_PER_PIXEL

DECODERS: list[type[ImageFile]] = [
    JpegImagePlugin.JpegImageFile,
    PngImagePlugin.PngImageFile,
    WebPImagePlugin.WebPImageFile,
    TiffImagePlugin.TiffImageFile,
    BmpImagePlugin.BmpImageFile,
    GifImagePlugin.GifImageFile,
    PpmImagePlugin.PpmImageFile,
    SunImagePlugin.SunImageFile,
    Jpeg2KImagePlugin.Jpeg2KImageFile,
]
"""Pillow's decoders, tried one by one. PIL.Image.open would also try formats that run external programs."""

DECODED_BY_ROWS = (
    PngImagePlugin.PngImageFile,
    TiffImagePlugin.TiffImageFile,
    BmpImagePlugin.BmpImageFile,
    GifImagePlugin.GifImageFile,
)
"""Decoders that fill the picture row by row; rows decoded before an error stay in it."""

READ_SUFFIXES: tuple[str, ...] = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
"""Suffixes of the files in a folder that count as pictures. GIF is missing: in a folder it counts as a video. A file that the
user names is read whatever its suffix."""

HEIC_SUFFIXES = (".heic", ".heif")

if features.check("avif"):
    from PIL import AvifImagePlugin

    DECODERS.append(AvifImagePlugin.AvifImageFile)
    READ_SUFFIXES += (".avif",)
if importlib.util.find_spec("pillow_heif"):
    READ_SUFFIXES += HEIC_SUFFIXES  # the decoder is imported with the first such picture


def open_header(data: bytes, name: str) -> ImageFile:
    """Read the header of a picture file; the pixels are not decoded yet.

    data: the whole file. name: for messages. Raises InputError if it cannot be read, TooLargeError if Pillow refuses its size.
    """
    for decoder in _decoders(data):
        try:
            picture = decoder(BytesIO(data))
        except SyntaxError:  # another format, or a broken PNG
            intact = _without_broken_chunks(data)
            if len(intact) < len(data):
                return open_header(intact, name)
            continue
        except PillowImage.DecompressionBombError as error:  # Pillow itself checks WebP and GIF
            raise TooLargeError(f"{name} is too large: {error}") from error
        except Exception as error:  # decoders raise all kinds of errors
            raise InputError(f"{name} is damaged or cut off ({error})") from error
        if decoder is JpegImagePlugin.JpegImageFile and not picture.tile:
            raise InputError(f"{name} is not a picture that can be read: it ends before its pixels")
        return picture
    raise InputError(f"{name} {_reason_unreadable(data)}")


def bytes_per_pixel(picture: ImageFile) -> int:
    """Peak memory of decoding the picture, in bytes per pixel."""
    if picture.info.get("progressive"):
        return PROGRESSIVE_BYTES_PER_PIXEL
    by_rows = isinstance(picture, (JpegImagePlugin.JpegImageFile, PpmImagePlugin.PpmImageFile, *DECODED_BY_ROWS))
    return BYTES_PER_PIXEL if by_rows else WHOLE_BYTES_PER_PIXEL


def other_pictures(picture: ImageFile, name: str) -> Iterator[str]:
    """Yield a note if the file contains several pictures, of which only the first is painted. name: for the note."""
    try:
        several = bool(getattr(picture, "is_animated", False))
    except Exception:  # the second picture is damaged
        several = True
    if several and isinstance(picture, TiffImagePlugin.TiffImageFile):
        yield f"{name} has several pages; the first is painted"
    elif several:
        yield f"{name} is animated; its first picture is painted. For all of them: livestyle video"


def _decoders(data: bytes) -> list[type[ImageFile]]:
    """The decoders to try on a file: that of pillow-heif alone for HEIC, if it is installed, else DECODERS."""
    if not _is_heic(data) or not importlib.util.find_spec("pillow_heif"):
        return DECODERS
    from pillow_heif import HeifImageFile

    return [HeifImageFile]


def _is_heic(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def _without_broken_chunks(data: bytes) -> bytes:
    """Remove the damaged optional chunks from a PNG: Pillow would refuse the whole file for them. Other files stay as is."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    kept, at = [data[:8]], 8
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        optional = data[at + 4] & 0x20
        if not optional or zlib.crc32(data[at + 4 : end - 4]) == int.from_bytes(data[end - 4 : end]):
            kept.append(data[at:end])
        at = end
    return b"".join([*kept, data[at:]])


def _reason_unreadable(data: bytes) -> str:
    """Say what a file is instead of a picture, and what to do: a message that continues after the file's name."""
    if _is_heic(data):
        return "is a HEIC picture; to read it, run: pip install 'livestyle[heic]'"
    if data[4:12] in (b"ftypavif", b"ftypavis") and not features.check("avif"):
        return "is an AVIF picture; to read it, run: pip install --upgrade pillow"
    if data.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        return "is a JPEG XL picture, which is not supported; save it as PNG or JPEG"
    if data[4:8] == b"ftyp" or data.startswith(b"\x1a\x45\xdf\xa3"):
        return "is a video, not a picture; use: livestyle video"
    return f"is not a picture that can be read ({', '.join(READ_SUFFIXES)})"
