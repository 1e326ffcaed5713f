"""Pictures that are too large are refused before memory is allocated."""

import struct
import zlib
from collections.abc import Callable

import pytest
from picture_files import encoded
from PIL import Image as PillowImage

from livestyle.errors import TooLargeError
from livestyle.pictures import limits
from livestyle.pictures.reading import decode_picture


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def bmp(width: int, height: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 2, 0, 0, 256, 0) + bytes(1024)  # run lengths
    return b"BM" + struct.pack("<IHHI", 16 + len(header), 0, 0, 14 + len(header)) + header + b"\0\1"


def gif(width: int, height: int) -> bytes:
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return b"GIF89a" + screen + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\x00;"


def jpeg(width: int, height: int) -> bytes:
    data = encoded(PillowImage.new("RGB", (16, 16)), "JPEG")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def tiff(width: int, height: int) -> bytes:
    data = encoded(PillowImage.new("L", (257, 259)), "TIFF", compression="tiff_lzw")
    return data.replace(struct.pack("<HHIHH", 256, 3, 1, 257, 0), struct.pack("<HHII", 256, 4, 1, width)).replace(
        struct.pack("<HHIHH", 257, 3, 1, 259, 0), struct.pack("<HHII", 257, 4, 1, height)
    )


@pytest.mark.parametrize("make", [png, bmp, gif, jpeg, tiff])
def test_declared_sizes_are_checked_before_decoding(make: Callable[[int, int], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TooLargeError, match="32000x32000"):
        decode_picture(make(32_000, 32_000), "bomb")
    monkeypatch.setattr(limits, "free_bytes", lambda: 2**30)
    with pytest.raises(TooLargeError, match=r"20000x10000.* 1\.0 GiB"):
        decode_picture(make(20_000, 10_000), "bomb")
