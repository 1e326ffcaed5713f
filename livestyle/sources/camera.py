"""Read frames from a camera, by OpenCV."""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from livestyle.errors import DeviceError
from livestyle.frame import Frame, Image, StreamInfo
from livestyle.opencv import silent

INDICES = range(10)
DEVICES = Path("/sys/class/video4linux")
"""Linux only: a folder for each device, videoN, with its name."""
TIMEOUT_SECONDS = 5
"""After this long without a frame, a camera counts as disconnected."""
RETRY_SECONDS = 0.05
UNPLUGGED = "is it plugged in, and not in use by another program?"
ADVICE = "to try livestyle without a camera, use --camera demo"
TIME_BASE = Fraction(1, 1_000_000)
"""Seconds per tick: the presentation times of camera frames are whole microseconds."""


@dataclass(frozen=True)
class CameraInfo:
    """A connected camera."""

    index: int
    name: str
    """The camera's name, as the operating system reports it; empty if unknown."""
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.index} ({', '.join(filter(None, [self.name, f'{self.width}x{self.height}']))})"


class Camera:
    """A live source whose frames carry their capture time.

    camera: an index ("0"), a device ("/dev/video0"), or a name or a part of it ("HD Pro Webcam").
    preferred_size: (width, height) to request from the device, which may choose another.
    size: function from the (width, height) of the camera's frames to the (width, height) that they are scaled to.
    list_others: whether the error for a camera that cannot be opened lists the connected ones, which opens each of them.

    Raises DeviceError if the camera cannot be opened or stops.
    """

    def __init__(
        self,
        camera: str,
        *,
        preferred_size: tuple[int, int] | None = None,
        size: Callable[[int, int], tuple[int, int]] | None = None,
        list_others: bool = True,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.notes: list[str] = []
        self.damage: list[str] = []
        self._name = camera
        self._clock, self._sleep = clock, sleep
        self._capture = _open(camera, list_others)
        try:
            if preferred_size:
                self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, preferred_size[0])
                self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, preferred_size[1])
            self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # a longer queue would delay every frame
            self._first_at: float | None = None
            first = self._grab()  # its size is used, as the one that drivers report can be wrong
            height, width = first[0].shape[:2]
            self._first_at = None  # the first frame is discarded: when `read` is called, it is old
            width, height = size(width, height) if size else (width, height)
            rate = self._capture.get(cv2.CAP_PROP_FPS)
            self.info = StreamInfo(
                width,
                height,
                rate=Fraction(rate).limit_denominator(1001) if 1 <= rate <= 1000 else None,
                live=True,
                time_base=TIME_BASE,
            )
        except BaseException:
            self.close()
            raise

    def read(self) -> Frame:
        image, grabbed_at, pts_seconds = self._grab()
        picture = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB)
        if image.shape[:2] != (self.info.height, self.info.width):
            picture = cv2.resize(picture, (self.info.width, self.info.height), interpolation=cv2.INTER_AREA)
        return Frame(np.asarray(picture, np.uint8), pts_seconds, grabbed_at)

    def close(self) -> None:
        self._capture.release()

    def _grab(self) -> tuple[Image, float, Fraction]:
        """The next picture, (H, W, 3) BGR or (H, W) grey, with its capture time and its pts.

        Raises DeviceError if none arrives within TIMEOUT_SECONDS.
        """
        begun_at = self._clock()
        while True:
            if self._capture.grab():
                grabbed_at = self._clock()
                good, image = self._capture.retrieve()
                if good and image is not None:
                    return np.asarray(image, np.uint8), grabbed_at, self._time(grabbed_at)
            if self._clock() - begun_at > TIMEOUT_SECONDS or not self._capture.isOpened():
                raise DeviceError(f"camera {self._name} no longer gives frames; {UNPLUGGED}")
            self._sleep(RETRY_SECONDS)

    def _time(self, grabbed_at: float) -> Fraction:
        if self._first_at is None:
            self._first_at = grabbed_at
        return round((grabbed_at - self._first_at) / TIME_BASE) * TIME_BASE


def find_cameras() -> list[CameraInfo]:
    """The connected cameras with an index from 0 to 9. Opens each one briefly."""
    found = []
    names = camera_names()
    with silent():
        for index in INDICES:
            if sys.platform == "linux" and not Path(f"/dev/video{index}").exists():
                continue
            capture = cv2.VideoCapture(index)
            if capture.isOpened():
                width, height = (int(capture.get(prop)) for prop in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
                found.append(CameraInfo(index, names.get(index, ""), width, height))
            capture.release()
    return found


def camera_names(devices: Path = DEVICES) -> dict[int, str]:
    """Index -> name of each camera, without opening it. Empty on macOS and Windows, where OpenCV does not provide names."""
    found = {}
    for path in devices.glob("video*"):
        number = path.name.removeprefix("video")
        if number.isdecimal() and _text(path / "index") in ("", "0"):  # further devices of a camera give metadata
            found[int(number)] = _text(path / "name")
    return dict(sorted(found.items()))


def index_of(name: str, names: Mapping[int, str]) -> int:
    """The index of the camera with this name or, if there is none, of the only one whose name contains it. Ignores case.

    Raises DeviceError if there is none, or if there are several.
    """
    wanted = name.casefold()
    found = [index for index, each in names.items() if each.casefold() == wanted]
    found = found or [index for index, each in names.items() if wanted in each.casefold()]
    if len(found) == 1:
        return found[0]
    if found:
        raise DeviceError(f"several cameras are named {name}: {_listed({i: names[i] for i in found})}; choose one by its index")
    if names or sys.platform == "linux":
        found_names = f"cameras found: {_listed(names)}" if names else "no camera found"
        raise DeviceError(f"there is no camera named {name}; {found_names}", advice=ADVICE)
    advice = "livestyle webcam --list-cameras lists the indices"
    raise DeviceError(f"{name} is not a camera; they can be chosen by name on Linux only, elsewhere by index", advice=advice)


def _listed(names: Mapping[int, str]) -> str:
    return ", ".join(f"{index} ({name})" for index, name in names.items())


def _text(path: Path) -> str:
    """The text of a file; empty if it cannot be read."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:  # the device was unplugged
        return ""


def _open(camera: str, list_others: bool) -> cv2.VideoCapture:
    with silent():
        try:
            if camera.isdecimal():
                capture = cv2.VideoCapture(int(camera))
            elif _is_device(camera):
                capture = cv2.VideoCapture(camera, cv2.CAP_V4L2)
            else:
                capture = cv2.VideoCapture(index_of(camera, camera_names()))
        except (OverflowError, cv2.error):  # an index of more than 32 bits
            capture = cv2.VideoCapture()
    if not capture.isOpened():
        message = f"cannot open camera {camera}"
        if list_others:
            cameras = ", ".join(map(str, find_cameras()))
            message += f"; cameras found: {cameras}" if cameras else "; no camera found"
        raise DeviceError(message, advice=ADVICE)
    return capture


def _is_device(camera: str) -> bool:
    return camera.startswith("/") or Path(camera).is_char_device()
