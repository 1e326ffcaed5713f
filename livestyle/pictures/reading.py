"""Read a picture from a file, a stream or bytes."""

import re
import warnings
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image as PillowImage

from livestyle.errors import InputError, TooLargeError
from livestyle.frame import Image
from livestyle.pictures.color_profile import srgb_transform
from livestyle.pictures.exif import kept_exif, orientation, read_exif
from livestyle.pictures.formats import bytes_per_pixel, open_header, other_pictures
from livestyle.pictures.limits import check_file_size, check_size
from livestyle.pictures.pixels import TURNS, to_rgb
from livestyle.pictures.salvaging import load, salvaged

UNTRUSTED = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|RIFF....WEBP", re.DOTALL)
"""Matches the start of the files that untrusted senders may send: JPEG, PNG and WebP."""
MOST_SEGMENTS = 1000
"""Of a JPEG's header. Pillow takes microseconds for each, and a file of 32 MiB has space for 8 million."""
MOST_CHUNKS = 50_000
"""Of a PNG, for the same reason. Most programs write chunks of 8 KiB or more."""
START_OF_SCAN = b"\xff\xda"
"""JPEG marker; compressed data do not contain it."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture, upright, in sRGB."""

    image: Image
    """The pixels, (H, W, 3) uint8 RGB."""
    alpha: Image | None = None
    """Opacity, (H, W) uint8; None if the picture has no transparency."""
    exif: bytes = b""
    """Encoded EXIF with date, camera, place and resolution, to write into the painting's file; empty if there is none."""
    notes: list[str] = field(default_factory=list)
    """Remarks for the user that are no damage, for example that an animation's other pictures are not painted."""
    damage: list[str] = field(default_factory=list)
    """Parts of the picture that could not be decoded, one line each."""


def read_picture(path: Path, salvage: bool = False) -> Picture:
    """Read a picture file. Raises InputError if it cannot be read, TooLargeError if it does not fit in memory.

    salvage: whether to use what can be decoded of a damaged picture, and to report the rest in `damage`; otherwise a damaged
    picture raises InputError.
    """
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder; name a picture in it")
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is not a file but a pipe or a device; to read a pipe, use: livestyle image - < {path}")
        with path.open("rb") as file:
            check_file_size(path.stat().st_size, str(path))
            return read_stream(file, str(path), salvage)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:  # a NUL byte in the name
        raise InputError(f"cannot read {str(path)!r}: {error}") from error


def read_stream(stream: BinaryIO, name: str, salvage: bool = False) -> Picture:
    """Read an open file or a pipe to its end, and decode it. name: for messages. For salvage and errors see `read_picture`."""
    data = BytesIO()
    while part := stream.read(2**20):
        data.write(part)
        if data.tell() % 2**26 < len(part):  # every 64 MiB
            check_file_size(data.tell(), name)
    return decode_picture(data.getvalue(), name, salvage)


def decode_picture(data: bytes, name: str, salvage: bool = False) -> Picture:
    """Decode the bytes of a whole picture file. name: for messages. For salvage and errors see `read_picture`."""
    if not data:
        raise InputError(f"{name} is empty")
    with warnings.catch_warnings(action="ignore"):
        picture: PillowImage.Image
        picture = opened = open_header(data, name)
        check_size(picture.width, picture.height, name, bytes_per_pixel(opened))
        notes = list(other_pictures(opened, name))  # before load(): looking for the second picture of a GIF drops the first
        damage = []
        try:
            try:
                load(opened, data)
            except MemoryError:
                raise
            except Exception as error:  # decoders raise all kinds of errors
                part = salvaged(opened, data) if salvage else None
                if part is None:
                    raise InputError(f"{name} is damaged or cut off ({str(error) or type(error).__name__})") from error
                picture = part
                damage.append("its end is missing or damaged; what could be decoded is used")
            return _finish(picture, name, notes, damage)
        except MemoryError as error:
            raise TooLargeError(f"{name} has {picture.width}x{picture.height} pixels, too many for the free memory") from error


def decode_untrusted(data: bytes, name: str, most_pixels: int, most_scans: int) -> Picture:
    """Decode the bytes of a picture file from an untrusted sender: a JPEG, PNG or WebP within these limits.

    most_scans: of a progressive JPEG; each takes the time of a whole decoding.

    Raises InputError if it cannot be read, TooLargeError if it exceeds a limit, before its pixels are decoded.
    """
    if not UNTRUSTED.match(data):
        raise InputError(f"{name} is not a JPEG, PNG or WebP file")
    check_segments(data, name)
    header = open_header(data, name)
    if header.width * header.height > most_pixels:
        size = f"{header.width}x{header.height} pixels"
        raise TooLargeError(f"{name} has {size}; at most {most_pixels / 1e6:g} million are painted here")
    if header.format == "JPEG" and data.count(START_OF_SCAN) > most_scans:
        raise TooLargeError(f"{name} has more than {most_scans} scans; save it as a baseline JPEG")
    return decode_picture(data, name)


def check_segments(data: bytes, name: str) -> None:
    """Check the structure of a JPEG or PNG from an untrusted sender. name: for messages.

    Raises InputError if there is something else between the segments of a JPEG's header, which Pillow would search byte by byte,
    and TooLargeError if there are more than MOST_SEGMENTS, or more than MOST_CHUNKS chunks in a PNG.
    """
    if data.startswith(b"\xff\xd8"):
        at = 2
        for _ in range(MOST_SEGMENTS):
            if data[at : at + 2] == START_OF_SCAN or at >= len(data):
                return
            if data[at] != 0xFF:
                raise InputError(f"{name} is damaged")
            padded = data[at + 1 : at + 2] == b"\xff"
            at += 1 if padded else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        raise TooLargeError(f"{name} has more than {MOST_SEGMENTS} segments before its pixels")
    if data.startswith(b"\x89PNG"):
        at = 8
        for _ in range(MOST_CHUNKS):
            if at >= len(data):
                return
            at += 12 + int.from_bytes(data[at : at + 4], "big")
        raise TooLargeError(f"{name} has more than {MOST_CHUNKS} chunks")


def _finish(picture: PillowImage.Image, name: str, notes: list[str], damage: list[str]) -> Picture:
    """Convert a decoded picture to sRGB, and turn it upright."""
    try:
        transform = srgb_transform(picture)
    except ValueError as error:
        notes.append(f"{name}: its colour profile cannot be used ({error}); its colours are read as sRGB")
        transform = None
    exif = read_exif(picture)
    pixels = to_rgb(picture, transform, name)  # (H, W, 3 or 4)
    if turn := TURNS.get(orientation(exif)):
        pixels = turn(pixels)
    alpha = np.ascontiguousarray(pixels[:, :, 3]) if pixels.shape[2] == 4 else None
    image = np.ascontiguousarray(pixels[:, :, :3])
    return Picture(image, alpha, kept_exif(exif, picture.info.get("dpi")), notes, damage)
