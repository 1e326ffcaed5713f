"""Pictures, from files or bytes."""

import importlib.util
import os
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
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
from PIL.ImageCms import ImageCmsTransform, applyTransform
from PIL.ImageFile import ImageFile

from livestyle.errors import InputError, TooLargeError
from livestyle.frame import Image
from livestyle.memory import free_bytes
from livestyle.opencv import silent
from livestyle.output_file import is_partial
from livestyle.pictures.color_profile import srgb_transform
from livestyle.pictures.exif import kept_exif, orientation, read_exif

FILE_CAP_BYTES = 2**30
MOST_PIXELS = 500_000_000
BYTES_PER_PIXEL = 8  # while it is decoded row by row: Pillow's 4 at most, and the 4 of the result
PROGRESSIVE_BYTES_PER_PIXEL = 14  # and JPEG's coefficients
WHOLE_BYTES_PER_PIXEL = 24  # and the buffers of decoders that give a picture in one piece
BAND_PIXELS = 2**21  # converted at a time

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
"""Pillow's, opened one by one: PIL.Image.open would also try formats that run other programs."""

JPEG_END = b"\xff\xd9"  # marker

SALVAGED = (
    PngImagePlugin.PngImageFile,
    TiffImagePlugin.TiffImageFile,
    BmpImagePlugin.BmpImageFile,
    GifImagePlugin.GifImageFile,
)
"""Whose rows decoded before damage stay in the picture."""

READ_SUFFIXES: tuple[str, ...] = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
"""Of the pictures in a folder; a file that is named is read whatever it is called. GIF is missing: in a folder it is a video."""
if features.check("avif"):
    from PIL import AvifImagePlugin

    DECODERS.append(AvifImagePlugin.AvifImageFile)
    READ_SUFFIXES += (".avif",)
HEIC_SUFFIXES = (".heic", ".heif")
if importlib.util.find_spec("pillow_heif"):
    READ_SUFFIXES += HEIC_SUFFIXES  # the decoder is imported with the first such picture

TURNS: dict[int, Callable[[Image], Image]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}
"""EXIF orientation -> what turns stored pixels, (H, W, C), upright."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture, turned upright, its colours in sRGB."""

    image: Image
    """(H, W, 3) uint8 RGB."""
    alpha: Image | None = None
    """(H, W) uint8, None where the picture has no transparency."""
    exif: bytes = b""
    """Date, camera, place and resolution, for the painting's file."""
    notes: list[str] = field(default_factory=list)
    """For a person: what was not used, such as the other pictures of an animation."""
    damage: list[str] = field(default_factory=list)
    """What of the picture is lost."""


def find_pictures(paths: list[Path], recursive: bool = False) -> list[Path]:
    """The paths, folders replaced by the pictures in them, in alphabetical order. Hidden files are skipped. Raises InputError.

    recursive: those in folders of folders too; links to folders are not followed.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        try:
            entries = _walk(path) if recursive else path.iterdir()
            inside = sorted(entry for entry in entries if _is_picture_name(entry.name) and entry.is_file())
        except OSError as error:
            raise InputError(f"cannot read the folder {path}: {error.strerror}") from error
        if not inside:
            raise InputError(f"no pictures in the folder {path} ({', '.join(READ_SUFFIXES)})")
        found += inside
    return found


def _walk(folder: Path) -> Iterable[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent) / name for name in names)


def _is_picture_name(name: str) -> bool:
    """._NAME is what macOS keeps beside a file, on other disks."""
    return name.lower().endswith((*READ_SUFFIXES, *HEIC_SUFFIXES)) and not name.startswith(".") and not is_partial(Path(name))


def read_picture(path: Path, salvage: bool = False) -> Picture:
    """Read a picture file. Raises InputError that says what is wrong with it, TooLargeError if it is larger than the memory.

    salvage: take what can be decoded of a damaged picture, and say so in its `damage`.
    """
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder; name a picture in it")
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is not a file but a pipe or a device; to read a pipe, use: livestyle image - < {path}")
        with path.open("rb") as file:
            _check_file_size(path.stat().st_size, str(path))
            return read_stream(file, str(path), salvage)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:  # a NUL byte in the name
        raise InputError(f"cannot read {str(path)!r}: {error}") from error


def read_stream(stream: BinaryIO, name: str, salvage: bool = False) -> Picture:
    """Read and decode all that is in an open file or pipe. Raises InputError, TooLargeError."""
    data = BytesIO()
    while part := stream.read(2**20):
        data.write(part)
        if data.tell() % 2**26 < len(part):  # every 64 MiB
            _check_file_size(data.tell(), name)
    return decode_picture(data.getvalue(), name, salvage)


def _check_file_size(size: int, name: str) -> None:
    if size > FILE_CAP_BYTES or size > free_bytes():
        raise TooLargeError(
            f"{name} has {size / 2**20:,.0f} MiB or more; a picture file may have {FILE_CAP_BYTES >> 20}, and no more than "
            "there is free memory"
        )


def decode_picture(data: bytes, name: str, salvage: bool = False) -> Picture:
    """Decode a whole picture file; name is for the error. Raises InputError, TooLargeError."""
    if not data:
        raise InputError(f"{name} is empty")
    with warnings.catch_warnings(action="ignore"):
        picture: PillowImage.Image
        picture = opened = _open(data, name)
        check_size(picture.width, picture.height, name, _bytes_per_pixel(opened))
        notes = list(_other_pictures(opened, name))  # before it is loaded: looking at a GIF's second picture drops the first
        damage = []
        try:
            try:
                _load(opened, data)
            except MemoryError:
                raise
            except Exception as error:  # decoders raise everything
                salvaged = _salvaged(opened, data) if salvage else None
                if salvaged is None:
                    raise InputError(f"{name} is damaged or cut off ({str(error) or type(error).__name__})") from error
                picture = salvaged
                damage.append("its end is missing or damaged; what could be decoded is used")
            return _finish(picture, name, notes, damage)
        except MemoryError as error:
            raise TooLargeError(f"{name} has {picture.width}x{picture.height} pixels, too many for the free memory") from error


def _load(picture: ImageFile, data: bytes) -> None:
    """Decode the pixels. Raises what the decoder raises, and OSError for a JPEG without its end."""
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        with _stderr_closed():
            picture.load()
        return
    header_bytes = picture.fp.tell() if picture.fp else 0
    picture.load()
    if isinstance(picture, JpegImagePlugin.JpegImageFile) and data.find(JPEG_END, header_bytes) < 0:
        raise OSError("it has no end marker")  # followed by zeros, as a download may leave them, it loads


def check_size(width: int, height: int, name: str, bytes_per_pixel: int = BYTES_PER_PIXEL) -> None:
    """Raises TooLargeError for a picture that the memory cannot hold, before anything is allocated for it."""
    if width * height > MOST_PIXELS:
        raise TooLargeError(
            f"{name} has {width}x{height} pixels, {width * height / 1e6:,.0f} million; "
            f"at most {MOST_PIXELS // 10**6} million are read, so scale it down first"
        )
    needed, free = width * height * bytes_per_pixel, free_bytes()
    if needed > free:
        raise TooLargeError(
            f"{name} has {width}x{height} pixels, which take {needed / 2**30:.1f} GiB to decode, and {free / 2**30:.1f} GiB "
            "of memory are free; scale it down first, or end other programs"
        )


def _bytes_per_pixel(picture: ImageFile) -> int:
    if picture.info.get("progressive"):
        return PROGRESSIVE_BYTES_PER_PIXEL
    by_rows = isinstance(picture, (JpegImagePlugin.JpegImageFile, PpmImagePlugin.PpmImageFile, *SALVAGED))
    return BYTES_PER_PIXEL if by_rows else WHOLE_BYTES_PER_PIXEL


def _open(data: bytes, name: str) -> ImageFile:
    """The picture's header. Raises InputError."""
    for decoder in _decoders(data):
        try:
            picture = decoder(BytesIO(data))
        except SyntaxError:  # another format, or a broken PNG
            sound = _without_broken_chunks(data)
            if len(sound) < len(data):
                return _open(sound, name)
            continue
        except PillowImage.DecompressionBombError as error:  # asked of WebP and GIF by Pillow itself
            raise TooLargeError(f"{name} is too large: {error}") from error
        except Exception as error:  # decoders raise everything
            raise InputError(f"{name} is damaged or cut off ({error})") from error
        if decoder is JpegImagePlugin.JpegImageFile and not picture.tile:
            raise InputError(f"{name} is not a picture that can be read: it ends before its pixels")
        return picture
    raise InputError(f"{name} {_what_it_is(data)}")


def _without_broken_chunks(data: bytes) -> bytes:
    """A PNG without the chunks that are damaged and that its pixels can be decoded without; Pillow would refuse it whole."""
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


def _decoders(data: bytes) -> list[type[ImageFile]]:
    if not _is_heic(data) or not importlib.util.find_spec("pillow_heif"):
        return DECODERS
    from pillow_heif import HeifImageFile

    return [HeifImageFile]


def _is_heic(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def _what_it_is(data: bytes) -> str:
    if _is_heic(data):
        return "is a HEIC picture; to read it, run: pip install 'livestyle[heic]'"
    if data[4:12] in (b"ftypavif", b"ftypavis") and not features.check("avif"):
        return "is an AVIF picture; to read it, run: pip install --upgrade pillow"
    if data.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        return "is a JPEG XL picture, which is not read; save it as PNG or JPEG"
    if data[4:8] == b"ftyp" or data.startswith(b"\x1a\x45\xdf\xa3"):
        return "is a video, not a picture; use: livestyle video"
    return f"is not a picture that can be read ({', '.join(READ_SUFFIXES)})"


def _salvaged(picture: ImageFile, data: bytes) -> PillowImage.Image | None:
    """What could be decoded of a damaged picture; None if that is nothing."""
    try:
        if isinstance(picture, JpegImagePlugin.JpegImageFile):
            picture = JpegImagePlugin.JpegImageFile(BytesIO(data + JPEG_END))  # at which the rest becomes grey
            with suppress(Exception):  # decoders raise everything
                picture.load()
            picture.tile = []
        elif isinstance(picture, SALVAGED):
            picture.tile = []  # the rest stays black; load() does nothing more
        elif isinstance(picture, WebPImagePlugin.WebPImageFile):
            return _salvaged_webp(picture, data)
        else:
            return None
        extrema = picture.getextrema()
    except Exception:  # decoders raise everything
        return None
    bands = extrema if isinstance(extrema[0], tuple) else (extrema,)
    return None if all(low == high for low, high in bands) else picture  # one colour: nothing was decoded


def _salvaged_webp(picture: ImageFile, data: bytes) -> PillowImage.Image | None:
    """By OpenCV, which takes what there is of pixels where Pillow's decoder, made for animations, gives up."""
    with silent():
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None or pixels.shape[:2] != (picture.height, picture.width):
        return None
    salvaged = PillowImage.fromarray(np.ascontiguousarray(pixels[:, :, ::-1]))
    salvaged.info = picture.info
    return salvaged


@contextmanager
def _stderr_closed() -> Iterator[None]:
    """For libtiff, which writes errors to file descriptor 2 itself; Pillow raises them too."""
    try:
        saved = os.dup(2)
    except OSError:  # closed already
        yield
        return
    try:
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def _finish(picture: PillowImage.Image, name: str, notes: list[str], damage: list[str]) -> Picture:
    """A decoded picture -> RGB in sRGB, upright."""
    try:
        transform = srgb_transform(picture)
    except ValueError as error:
        notes.append(f"{name}: its colour profile cannot be used ({error}); its colours are read as sRGB")
        transform = None
    exif = read_exif(picture)
    pixels = _rgb(picture, transform, name)  # (H, W, 3 or 4)
    if turn := TURNS.get(orientation(exif)):
        pixels = turn(pixels)
    alpha = np.ascontiguousarray(pixels[:, :, 3]) if pixels.shape[2] == 4 else None
    image = np.ascontiguousarray(pixels[:, :, :3])
    return Picture(image, alpha, kept_exif(exif, picture.info.get("dpi")), notes, damage)


def _other_pictures(picture: ImageFile, name: str) -> Iterator[str]:
    """A note if the file holds more than the one that is painted."""
    try:
        several = bool(getattr(picture, "is_animated", False))
    except Exception:  # a second picture that is damaged
        several = True
    if several and isinstance(picture, TiffImagePlugin.TiffImageFile):
        yield f"{name} has several pages; the first is painted"
    elif several:
        yield f"{name} is animated; its first picture is painted. For all of them: livestyle video"


def _rgb(picture: PillowImage.Image, transform: "tuple[str, ImageCmsTransform] | None", name: str) -> Image:
    """(H, W, 3) or with alpha (H, W, 4) uint8, converted band by band: a whole copy in another mode would take more memory."""
    if picture.mode == "F" or (picture.mode == "I" and not isinstance(picture, PpmImagePlugin.PpmImageFile)):
        raise InputError(f"{name} has 32 bits a channel; save it with 8 or 16")
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
            values = np.asarray(band).astype(np.uint32)  # 16 bits, grey
            band = PillowImage.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
        if transform is None:
            colors = np.asarray(band.convert("RGB"))
        else:
            mode, to_srgb = transform
            colors = np.asarray(applyTransform(band.convert(mode), to_srgb))
        pixels[top : top + rows, :, :3] = colors
    return pixels


def resize(image: Image, width: int, height: int) -> Image:
    """(H, W, 3) or (H, W) uint8 to (height, width, ...)."""
    if image.shape[:2] == (height, width):
        return image
    smaller = height * width < image.shape[0] * image.shape[1]
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
    return resized.astype(np.uint8, copy=False)
