"""Capture the screen, one monitor or a part of the screen, with mss (extra `screen`)."""

import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

import cv2
import mss
import numpy as np
from mss.exception import ScreenShotError
from mss.models import Monitor

from livestyle.errors import DeviceError, InputError
from livestyle.frame import Frame, Image, StreamInfo
from livestyle.sound import Sound
from livestyle.sources.pace import RATE, TIME_BASE, Pace

PART = re.compile(r"(\d{1,5})x(\d{1,5})\+(-?\d{1,5})\+(-?\d{1,5})", re.ASCII)
FORMS = "write screen, screen:2 for monitor 2, or screen:640x360+100+50 for a part (width x height + left + top)"
WAYLAND_NOTE = "in a Wayland session the captured screen may be black; log in to an X11 session, or use a virtual camera (OBS)"


@dataclass(frozen=True)
class Area:
    """A rectangle of the desktop, in its pixels (macOS: points). Its position can be negative: left of the primary monitor."""

    width: int
    height: int
    left: int
    top: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}+{self.left}+{self.top}"

    def is_inside(self, other: "Area") -> bool:
        return (
            other.left <= self.left < self.left + self.width <= other.left + other.width
            and other.top <= self.top < self.top + self.height <= other.top + other.height
        )


class ScreenCapture:
    """A live source that captures the screen, at most `rate` times a second.

    what: "screen" for the primary monitor, "screen:2" for monitor 2, "screen:640x360+100+50" for a part of the desktop.
    size: function from the (width, height) of the captured pictures to the (width, height) that they are scaled to.
    clock, wait: see Pace.

    Raises DeviceError if the screen cannot be captured, InputError if `what` does not describe a part of it.
    """

    def __init__(
        self,
        what: str = "screen",
        *,
        rate: Fraction | int = RATE,
        size: Callable[[int, int], tuple[int, int]] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        # after a delay of less than one frame, the next frame is on time again
        self._pace, self._clock = Pace(rate, float(1 / rate), clock, wait), clock
        self.sound: Sound | None = None
        self.state = ""
        self.notes = [WAYLAND_NOTE] if sys.platform == "linux" and os.environ.get("WAYLAND_DISPLAY") else []
        self.damage: list[str] = []
        self._closed = False
        # on some systems an MSS object works only in the thread that made it; `read`, which may run in another, makes its own
        self._screen: mss.MSS | None = None
        screen = _open()
        try:
            self._area = _find(what, screen)
            height, width = self._grab(screen).shape[:2]  # on macOS not those of the area, which are in points
        finally:
            screen.close()
        width, height = size(width, height) if size else (width, height)
        self.info = StreamInfo(width, height, rate=Fraction(rate), live=True, time_base=TIME_BASE)

    def read(self) -> Frame | None:
        """Return the next frame; None after `stop` or `close`. Raises DeviceError if the screen can no longer be captured."""
        if self._closed or not self._pace.wait():
            return None
        if self._screen is None:
            self._screen = _open()
        image = self._grab(self._screen)
        captured_at = self._clock()
        picture = cv2.cvtColor(image, cv2.COLOR_BGRA2RGB)
        if picture.shape[:2] != (self.info.height, self.info.width):
            picture = cv2.resize(picture, (self.info.width, self.info.height), interpolation=cv2.INTER_AREA)
        return Frame(np.asarray(picture, np.uint8), self._pace.pts_seconds(captured_at), captured_at)

    def stop(self) -> None:
        """End the waiting of `read`. Another thread may call it."""
        self._pace.stop()

    def close(self) -> None:
        self._closed = True
        if self._screen is not None:
            with suppress(ScreenShotError):  # the X server has ended
                self._screen.close()
            self._screen = None

    def _grab(self, screen: mss.MSS) -> Image:
        """The picture, (H, W, 4) BGRA."""
        area = self._area
        try:
            shot = screen.grab({"width": area.width, "height": area.height, "left": area.left, "top": area.top})
        except Exception as error:  # an AssertionError, too, if the X server has ended
            raise DeviceError(f"cannot capture the screen at {area}: {_line(error)}; has the display changed?") from error
        return np.frombuffer(shot.raw, np.uint8).reshape(shot.height, shot.width, 4)


def _open() -> mss.MSS:
    try:
        return mss.MSS()
    except (ScreenShotError, OSError) as error:  # OSError: a library of the system is missing
        raise DeviceError(f"cannot capture the screen: {_line(error)}; is there a display?") from error


def _find(what: str, screen: mss.MSS) -> Area:
    """The area that `what` describes. Raises InputError if it is not on the screen."""
    try:
        desktop, *monitors = map(_area, screen.monitors)
        primary = _area(screen.primary_monitor) if monitors else desktop
    except ScreenShotError as error:
        raise DeviceError(f"cannot capture the screen: {_line(error)}") from error
    monitors = monitors or [desktop]
    _, _, detail = what.partition(":")
    if what == "screen":
        return primary
    if detail.isdecimal() and detail.isascii():
        number = int(detail[:9])
        if not 1 <= number <= len(monitors):
            found = ", ".join(f"{number} ({monitor})" for number, monitor in enumerate(monitors, 1))
            raise InputError(f"there is no monitor {detail[:9]}; monitors found: {found}")
        return monitors[number - 1]
    match = PART.fullmatch(detail)
    if match is None:
        raise InputError(f"{what!r} is not a part of the screen; {FORMS}")
    area = Area(*map(int, match.groups()))
    if not area.is_inside(desktop):
        raise InputError(f"the part {area} is not inside the screen, which is {desktop} (width x height + left + top)")
    return area


def _area(monitor: Monitor) -> Area:
    return Area(*(int(monitor[name]) for name in ("width", "height", "left", "top")))


def _line(error: Exception) -> str:
    return str(error).split("\n")[0]
