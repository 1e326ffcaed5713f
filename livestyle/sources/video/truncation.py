"""Check whether a file ends before its declared end."""

from pathlib import Path
from typing import BinaryIO


def is_cut_off(path: Path, container: str) -> bool:
    """Whether the file is shorter than it declares: in its header, its boxes (MP4), or its last tag (FLV).

    False for containers that do not declare a size.

    container: FFmpeg's name of the format.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if "mov" in container:
            return _lacks_data(file, size)
        head = file.read(64)
        if "flv" in container:  # the size of a tag is written after it
            file.seek(max(0, size - 4))
            last = int.from_bytes(file.read(4))
            file.seek(max(0, size - 4 - last))
            tag = file.read(4)
            return tag[:1] not in (b"\x08", b"\x09", b"\x12") or int.from_bytes(tag[1:]) + 11 != last
    if "avi" in container:
        declared = int.from_bytes(head[4:8], "little") + 8
        return size < declared < 0xFFFF_FFFF
    if "matroska" in container:
        begin = head.find(b"\x18\x53\x80\x67") + 4  # the Segment element, after a short header
        if begin < 4 or begin >= len(head) or not head[begin]:
            return False
        length = 9 - head[begin].bit_length()
        value = int.from_bytes(head[begin : begin + length]) & ((1 << 7 * length) - 1)
        return value < (1 << 7 * length) - 1 and begin + length + value > size  # all ones: unknown
    return False


def _lacks_data(file: BinaryIO, size_of_file: int) -> bool:
    """Whether an MP4 ends inside a box of media data. (PyAV gives access to the index of an MP4 only from version 17 on.)"""
    end = 0
    while len(header := file.read(16)) >= 8:
        size, kind = int.from_bytes(header[:4]), header[4:8]
        if size == 1:
            size = int.from_bytes(header[8:])
        if size < 8:  # 0: the box extends to the end of the file; 1 to 7: not a box
            return False
        end += size
        if end > size_of_file:
            return kind in (b"mdat", b"moof")
        file.seek(end)
    return False
