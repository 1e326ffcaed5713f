"""Paths and streams that are no picture files are refused without being read to their end."""

import io
from pathlib import Path

import pytest

from livestyle.errors import InputError, TooLargeError
from livestyle.pictures import limits
from livestyle.pictures.reading import read_picture, read_stream


def test_folders_devices_and_huge_files_are_refused(tmp_path: Path) -> None:
    sparse = tmp_path / "sparse.jpg"
    with sparse.open("wb") as file:
        file.truncate(20 << 30)
    with pytest.raises(TooLargeError, match="20,480 MiB"):
        read_picture(sparse)
    with pytest.raises(InputError, match="folder"):
        read_picture(tmp_path)
    with pytest.raises(InputError, match="nul"):
        read_picture(Path("nul\0byte.jpg"))
    if Path("/dev/zero").exists():
        with pytest.raises(InputError, match="device"):
            read_picture(Path("/dev/zero"))


def test_an_endless_stream_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return bytes(size)

    monkeypatch.setattr(limits, "FILE_CAP_BYTES", 2**27)
    with pytest.raises(TooLargeError, match="MiB"):
        read_stream(Endless(), "stdin")  # type: ignore[arg-type]
