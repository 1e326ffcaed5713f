"""Read frames from a camera or a network stream, by OpenCV."""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from livestyle.errors import DeviceError, InputError, hide_passwords
from livestyle.frame import Frame, Image, StreamInfo
from livestyle.opencv import silent

INDICES = range(10)
DEVICES = Path("/sys/class/video4linux")
"""Linux only: a folder for each device, videoN, with its name."""
URL_SCHEMES = ("rtsp", "rtsps", "http", "https")
TIMEOUT_SECONDS = 5
"""After this long without a frame, a camera counts as disconnected."""
RETRY_SECONDS = 0.05
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

    If the URL is that of a file, the source is not live: it has the file's presentation times, and ends with the file.

    camera: an index ("0"), a device ("/dev/video0"), a name or a part of it ("HD Pro Webcam"), or a URL (rtsp, rtsps, http,
        https).
    preferred_size: (width, height) to request from the device, which may choose another.
    size: function from the (width, height) of the camera's frames to the (width, height) that they are scaled to.
    list_others: whether the error for a camera that cannot be opened lists the connected ones, which opens each of them.

    Raises DeviceError if the camera cannot be opened or stops, InputError for a URL that cannot be opened.
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
        self._name = hide_passwords(camera)
        self._clock, self._sleep = clock, sleep
        self._capture = _open(camera, list_others)
        try:
            if preferred_size:
                self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, preferred_size[0])
                self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, preferred_size[1])
            self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # a longer queue would delay every frame
            frame_count = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))) or None
            self._is_file = frame_count is not None
            self._first_at: float | None = None
            first = self._grab()  # its size is used, as the one that drivers report can be wrong
            if first is None:
                raise self._stopped("gives no frames")
            height, width = first[0].shape[:2]
            # a camera's first frame is discarded: when `read` is called, it is old
            self._pending = first if self._is_file else None
            self._first_at = None
            width, height = size(width, height) if size else (width, height)
            rate = self._capture.get(cv2.CAP_PROP_FPS)
            self.info = StreamInfo(
                width,
                height,
                rate=Fraction(rate).limit_denominator(1001) if 1 <= rate <= 1000 else None,
                frame_count=frame_count,
                live=not self._is_file,
                time_base=TIME_BASE,
            )
        except BaseException:
            self.close()
            raise

    def read(self) -> Frame | None:
        grabbed, self._pending = self._pending or self._grab(), None
        if grabbed is None:
            return None
        image, grabbed_at, pts_seconds = grabbed
        picture = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB)
        if image.shape[:2] != (self.info.height, self.info.width):
            picture = cv2.resize(picture, (self.info.width, self.info.height), interpolation=cv2.INTER_AREA)
        return Frame(np.asarray(picture, np.uint8), pts_seconds, grabbed_at)

    def close(self) -> None:
        self._capture.release()

    def _grab(self) -> tuple[Image, float, Fraction] | None:
        """The next picture, (H, W, 3) BGR or (H, W) grey, with its capture time and its pts; None at the end of a file.

        Raises DeviceError if none arrives within TIMEOUT_SECONDS.
        """
        begun_at = self._clock()
        while True:
            if self._capture.grab():
                grabbed_at = self._clock()
                good, image = self._capture.retrieve()
                if good and image is not None:
                    return np.asarray(image, np.uint8), grabbed_at, self._time(grabbed_at)
            if self._is_file:
                return None
            if self._clock() - begun_at > TIMEOUT_SECONDS or not self._capture.isOpened():
                raise self._stopped("no longer gives frames")
            self._sleep(RETRY_SECONDS)

    def _time(self, grabbed_at: float) -> Fraction:
        if self._is_file:
            return round(self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1000) * TIME_BASE
        if self._first_at is None:
            self._first_at = grabbed_at
        return round((grabbed_at - self._first_at) / TIME_BASE) * TIME_BASE

    def _stopped(self, what: str) -> DeviceError:
        hint = "is it still reachable?" if "://" in self._name else "is it plugged in, and not in use by another program?"
        return DeviceError(f"camera {self._name} {what}; {hint}")


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
    scheme, separator, _ = camera.partition("://")
    if separator:
        name = hide_passwords(camera)
        if scheme.lower() not in URL_SCHEMES:
            raise InputError(f"cannot open {name}: a camera's URL begins with {', '.join(URL_SCHEMES)}")
        timeout_ms = round(TIMEOUT_SECONDS * 1000)
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms]
        with silent():
            capture = cv2.VideoCapture(camera, cv2.CAP_FFMPEG, timeouts)
        if not capture.isOpened():
            raise InputError(f"cannot open {name}: no answer, or not a video; check the address", advice=ADVICE)
        return capture
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
