"""The virtual camera, against a stand-in for a device at the level of ioctl: machines that test have no v4l2loopback."""

import errno
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from livestyle.errors import OutputError
from livestyle.frame import Frame, StreamInfo
from livestyle.sinks.virtual_camera import QUERYCAP, S_FMT, LoopbackCamera

INFO = StreamInfo(5, 4)


class StandIn:
    """A device with what Linux's uvcvideo and v4l2loopback answer."""

    def __init__(self, driver: bytes, fixed_size: tuple[int, int] | None = None, is_full: bool = False) -> None:
        self.frames: list[bytes] = []
        self.format = b""
        self.closed = False
        self._driver, self._fixed_size, self._is_full = driver, fixed_size, is_full

    def ioctl(self, request: int, data: bytearray) -> None:
        if request == QUERYCAP:
            assert len(data) == 104
            data[: len(self._driver)] = self._driver
        elif request == S_FMT:
            assert len(data) == 208
            if self._fixed_size is not None:
                struct.pack_into("<2I", data, 8, *self._fixed_size)
            self.format = bytes(data)
        else:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")

    def write(self, data: bytes) -> None:
        if self._is_full:
            raise OSError(errno.EIO, "Input/output error")
        self.frames.append(data)

    def close(self) -> None:
        self.closed = True


def opened(**devices: StandIn) -> LoopbackCamera:
    return LoopbackCamera(INFO, [Path(name) for name in devices], lambda path: devices[path.name])


def test_chooses_the_loopback_device_and_writes_yuv() -> None:
    real, loopback = StandIn(b"uvcvideo"), StandIn(b"v4l2 loopback")
    camera = opened(video0=real, video1=loopback)
    assert real.closed
    assert camera.notes == ["virtual camera: video1, 4x4"]
    kind, width, height, pixels, field = struct.unpack_from("<I4x2I4sI", loopback.format)
    assert (kind, width, height, pixels, field) == (2, 4, 4, b"YU12", 1)
    assert struct.unpack_from("<2I", loopback.format, 24) == (4, 24)  # bytes per line, bytes per frame
    image = np.full((4, 5, 3), 255, np.uint8)
    image[:, 2:] = 0
    camera.write(Frame(image, Fraction(0)))
    (data,) = loopback.frames
    assert list(data) == [235, 235, 16, 16] * 4 + [128] * 8  # white and black in limited range, without colour
    camera.close()
    assert loopback.closed


def test_skips_a_device_that_another_program_uses() -> None:
    busy, free = StandIn(b"v4l2 loopback", fixed_size=(640, 480)), StandIn(b"v4l2 loopback")
    assert opened(video0=busy, video1=free).state == "video1"
    with pytest.raises(OutputError, match="video0: it does not accept 4x4"):
        opened(video0=StandIn(b"v4l2 loopback", fixed_size=(640, 480)))


def test_without_a_device_the_message_states_the_command() -> None:
    with pytest.raises(OutputError, match="sudo modprobe v4l2loopback"):
        opened(video0=StandIn(b"uvcvideo"))
    with pytest.raises(OutputError, match=r"there is no v4l2loopback device; .*sudo apt install v4l2loopback-dkms"):
        LoopbackCamera(INFO, [])


def test_a_device_that_fails_is_an_output_error() -> None:
    camera = opened(video0=StandIn(b"v4l2 loopback", is_full=True))
    with pytest.raises(OutputError, match="video0 failed: Input/output error"):
        camera.write(Frame(np.zeros((4, 5, 3), np.uint8), Fraction(0)))


def test_a_picture_of_one_pixel() -> None:
    device = StandIn(b"v4l2 loopback")
    camera = LoopbackCamera(StreamInfo(1, 1), [Path("video0")], lambda path: device)
    camera.write(Frame(np.full((1, 1, 3), 255, np.uint8), Fraction(0)))
    assert list(device.frames[0]) == [235] * 4 + [128] * 2
