"""The sink that shows frames as a camera, which video calls and OBS can choose.

On Linux frames are written to a device of the kernel module v4l2loopback, by V4L2's ioctls (linux/videodev2.h). Elsewhere the
library pyvirtualcam does it.
"""

import os
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from livestyle.errors import OutputError
from livestyle.frame import Frame, Image, StreamInfo

if sys.platform == "linux":
    import fcntl

QUERYCAP, S_FMT = 0x80685600, 0xC0D05605
"""VIDIOC_QUERYCAP and VIDIOC_S_FMT."""
CAPABILITY_BYTES, FORMAT_BYTES = 104, 208  # of v4l2_capability, and of v4l2_format on 64-bit systems
DRIVER = b"v4l2 loopback"
VIDEO_OUTPUT, FIELD_NONE, COLORSPACE_SRGB = 2, 1, 8
YUV420 = int.from_bytes(b"YU12", "little")
PIXEL_FORMAT = struct.Struct("<I4x8I")
"""v4l2_format of a video output: type, width, height, pixelformat, field, bytesperline, sizeimage, colorspace, priv."""
LINUX_ADVICE = (
    "install and load the kernel module: sudo apt install v4l2loopback-dkms && "
    "sudo modprobe v4l2loopback exclusive_caps=1 card_label=livestyle"
)


class Device(Protocol):
    """An open video device."""

    def ioctl(self, request: int, data: bytearray) -> None:
        """Call ioctl, which may change `data`. Raises OSError."""

    def write(self, data: bytes) -> None:
        """Write one frame. Raises OSError."""

    def close(self) -> None: ...


class LinuxDevice:
    """A video device of Linux. Raises OSError if it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def ioctl(self, request: int, data: bytearray) -> None:
        if sys.platform == "linux":
            fcntl.ioctl(self._descriptor, request, data, True)

    def write(self, data: bytes) -> None:
        os.write(self._descriptor, data)

    def close(self) -> None:
        os.close(self._descriptor)


def video_devices() -> list[Path]:
    """The video devices of Linux, in the order of their numbers."""
    return sorted(Path("/dev").glob("video[0-9]*"), key=lambda path: int(path.name[5:]))


class LoopbackCamera:
    """Shows frames as a camera on Linux, by the first v4l2loopback device that is free. An odd width or height becomes even.

    paths: the devices to try. open_device: opens one. Raises OutputError if none is a v4l2loopback device, or all are in use.
    """

    def __init__(
        self, info: StreamInfo, paths: list[Path] | None = None, open_device: Callable[[Path], Device] = LinuxDevice
    ) -> None:
        self.notes: list[str] = []
        self.damage: list[str] = []
        self._height, self._width = info.height // 2 * 2 or 2, info.width // 2 * 2 or 2
        reason = "there is no v4l2loopback device"
        for path in video_devices() if paths is None else paths:
            try:
                device = open_device(path)
            except OSError:
                continue
            if _driver(device) == DRIVER:
                try:
                    _set_format(device, self._width, self._height)
                except OSError as error:
                    reason = f"{path}: {error.strerror}"
                else:
                    self._device, self.state = device, path.name
                    self.notes.append(f"virtual camera: {path}, {self._width}x{self._height}")
                    return
            device.close()
        raise OutputError(f"the virtual camera cannot be opened: {reason}; {LINUX_ADVICE}")

    def write(self, frame: Frame) -> None:
        """Show a frame. Raises OutputError if the device is gone."""
        try:
            self._device.write(_yuv420(frame.image, self._width, self._height))
        except OSError as error:
            raise OutputError(f"the virtual camera {self.state} failed: {error.strerror}") from error

    def close(self, error: BaseException | None = None) -> None:
        with suppress(OSError):
            self._device.close()


def _driver(device: Device) -> bytes:
    """The name of a device's driver; empty if it is not a video device."""
    data = bytearray(CAPABILITY_BYTES)
    with suppress(OSError):
        device.ioctl(QUERYCAP, data)
    return bytes(data[:16]).split(b"\0")[0]


def _set_format(device: Device, width: int, height: int) -> None:
    """Choose YUV 4:2:0 of this size. Raises OSError if another program has chosen a different format."""
    size = width * height * 3 // 2
    data = bytearray(FORMAT_BYTES)
    PIXEL_FORMAT.pack_into(data, 0, VIDEO_OUTPUT, width, height, YUV420, FIELD_NONE, width, size, COLORSPACE_SRGB, 0)
    device.ioctl(S_FMT, data)
    _, *chosen = PIXEL_FORMAT.unpack_from(data)
    if chosen[:3] != [width, height, YUV420]:
        raise OSError(0, f"it does not accept {width}x{height}; is another program writing to it?")


def _yuv420(image: Image, width: int, height: int) -> bytes:
    """Convert a picture (H, W, 3) to planar YUV 4:2:0, BT.601, limited range. An odd row or column at the end is cut off."""
    if image.shape[0] < height or image.shape[1] < width:  # one pixel high or wide
        image = np.asarray(cv2.resize(image, (width, height)), np.uint8)
    yuv = cv2.cvtColor(np.ascontiguousarray(image[:height, :width]), cv2.COLOR_RGB2YUV_I420)
    return bytes(yuv.tobytes())


class LibraryCamera:
    """Shows frames as a camera on macOS and Windows, by pyvirtualcam. Raises OutputError if that is missing, or finds none."""

    def __init__(self, info: StreamInfo) -> None:
        self.notes: list[str] = []
        self.damage: list[str] = []
        try:
            import pyvirtualcam
        except ImportError:
            raise OutputError("a virtual camera requires pyvirtualcam; install it: pip install 'livestyle[camera]'") from None
        try:
            self._camera: Any = pyvirtualcam.Camera(info.width, info.height, float(info.rate or 30))
        except (RuntimeError, ValueError) as error:
            advice = "install OBS Studio, and start its virtual camera once"
            raise OutputError(f"the virtual camera cannot be opened: {str(error).splitlines()[0]}; {advice}") from None
        self.state = str(self._camera.device)
        self.notes.append(f"virtual camera: {self.state}, {info.width}x{info.height}")

    def write(self, frame: Frame) -> None:
        """Show a frame. Raises OutputError if the device is gone."""
        try:
            self._camera.send(np.ascontiguousarray(frame.image))
        except (RuntimeError, ValueError) as error:
            raise OutputError(f"the virtual camera failed: {error}") from error

    def close(self, error: BaseException | None = None) -> None:
        self._camera.close()


def open_virtual_camera(info: StreamInfo) -> LoopbackCamera | LibraryCamera:
    """Open the virtual camera of this system. Raises OutputError, whose message states the command that installs it."""
    return LoopbackCamera(info) if sys.platform == "linux" else LibraryCamera(info)
