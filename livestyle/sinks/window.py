"""Frames to a window, by OpenCV. Belongs to the main thread.

On Linux, `import cv2` comes before `import av`, or the window hangs.
"""

import ctypes
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn, Protocol

import cv2
import numpy as np

from livestyle.errors import DeviceError
from livestyle.frame import Frame, Image, Sink

FONT = cv2.FONT_HERSHEY_SIMPLEX
WHITE, RED = (255, 255, 255), (235, 40, 40)  # RGB
SMALLEST, LARGEST = (640, 360), (1280, 720)  # of a window when it opens
KEY_NAMES = {27: "esc", 32: "space"} | {0xFFB0 + digit: str(digit) for digit in range(10)} | {0xFFAB: "+", 0xFFAD: "-"}
"""By cv2.waitKeyEx's code. Where OpenCV uses GTK the keypad's keys have codes of their own, those of X."""
OTHERWISE = "what is painted can be recorded without one"


@dataclass(frozen=True)
class Overlay:
    """What is written over the shown picture."""

    status: str = ""
    """One line at the top."""
    recording: str = ""
    """Beside a red dot, if there is any."""
    message: str = ""
    """One line at the bottom."""
    page: Sequence[str] = ()
    """Lines over the whole window."""


class Screen(Sink, Protocol):
    """A sink that someone sits before."""

    overlay: Overlay
    title: str

    @property
    def is_open(self) -> bool: ...

    def key(self) -> str:
        """Serve the window; the key that was pressed, in small letters, "esc" or "space"; "" for none and for all others."""

    def resize(self, width: int, height: int) -> None:
        """Fit the window to frames of that size."""

    def toggle_full_screen(self) -> None: ...


class Window:
    """Shows frames as large as the window is, their shape kept.

    width, height: of the frames, where they are known when it opens.

    Raises DeviceError if there is no display.
    """

    def __init__(self, title: str, width: int = SMALLEST[0], height: int = SMALLEST[1]) -> None:
        check_display()
        _load_x11()
        self.notes: list[str] = []
        self.overlay = Overlay()
        self.title = title
        self._name = title  # OpenCV's name of the window stays
        self._shown_title = title
        self._full_screen = False
        # without OpenCV's own toolbar, whose shortcuts would take keys away
        cv2.namedWindow(self._name, cv2.WINDOW_NORMAL | cv2.WINDOW_FREERATIO | cv2.WINDOW_GUI_NORMAL)
        self.resize(width, height)

    def resize(self, width: int, height: int) -> None:
        scale = max(min(SMALLEST[0] / width, SMALLEST[1] / height), min(1, LARGEST[0] / width, LARGEST[1] / height))
        cv2.resizeWindow(self._name, max(1, round(width * scale)), max(1, round(height * scale)))

    def write(self, frame: Frame) -> None:
        if self.title != self._shown_title:
            cv2.setWindowTitle(self._name, self.title)
            self._shown_title = self.title
        _, _, width, height = cv2.getWindowImageRect(self._name)
        if width < 1 or height < 1:  # minimised
            return
        canvas = fit(frame.image, width, height)
        draw(canvas, self.overlay)
        cv2.imshow(self._name, cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR))

    @property
    def is_open(self) -> bool:
        """False once its close button was pressed."""
        try:
            return bool(cv2.getWindowProperty(self._name, cv2.WND_PROP_VISIBLE) >= 1)
        except cv2.error:  # after the last window, where OpenCV's GUI is gone too
            return False

    def key(self) -> str:
        return key_name(cv2.waitKeyEx(1))

    def toggle_full_screen(self) -> None:
        self._full_screen = not self._full_screen
        state = cv2.WINDOW_FULLSCREEN if self._full_screen else cv2.WINDOW_NORMAL
        cv2.setWindowProperty(self._name, cv2.WND_PROP_FULLSCREEN, state)

    def close(self, error: BaseException | None = None) -> None:
        if self.is_open:
            cv2.destroyWindow(self._name)
            cv2.waitKey(1)  # or it stays until the process ends


class NoWindow:
    """Where nobody looks."""

    is_open = True

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.overlay = Overlay()
        self.title = ""

    def write(self, frame: Frame) -> None:
        pass

    def key(self) -> str:
        return ""

    def resize(self, width: int, height: int) -> None:
        pass

    def toggle_full_screen(self) -> None:
        pass

    def close(self, error: BaseException | None = None) -> None:
        pass


def key_name(code: int) -> str:
    """The key behind a code of cv2.waitKeyEx, as Screen.key names it."""
    if code < 0:
        return ""
    code &= 0xFFFF  # GTK puts Shift, CapsLock and NumLock above, Windows the arrow and function keys
    return KEY_NAMES.get(code, chr(code).lower() if 32 < code < 127 else "")


@contextmanager
def on_lost_display(action: Callable[[], NoReturn]) -> Iterator[None]:
    """Call `action` if the X server dies. It must end the process: Qt and Xlib do so otherwise, by C's exit().

    To be entered when all libraries are loaded: those that are loaded later are torn down before it is called.
    """
    c_library = ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
    if c_library is None:  # other C libraries never forget what was registered, which would be called when Python has gone
        yield
        return
    active = True

    def call(_: object) -> None:
        if active:
            action()

    callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(call)
    registration = ctypes.c_char()  # its address stands for it
    address = ctypes.c_void_p(ctypes.addressof(registration))
    c_library.__cxa_atexit(callback, None, address)
    try:
        yield
    finally:
        active = False
        c_library.__cxa_finalize(address)  # calls it, and forgets it


def check_display(otherwise: str = OTHERWISE) -> None:
    """Raises DeviceError if a window cannot be opened; `otherwise` says how to do without."""
    if sys.platform != "linux":
        return
    if not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        raise DeviceError(f"there is no display to open a window on; {otherwise}")
    # where the display does not answer, or a library of it is missing, opening a window aborts the process
    trial = [sys.executable, "-c", "import cv2, os; cv2.namedWindow('livestyle'); os._exit(0)"]
    result = subprocess.run(trial, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False)
    if "not implemented" in result.stderr:
        raise DeviceError(f"this OpenCV has no windows; replace opencv-python-headless by opencv-python; {otherwise}")
    if result.returncode:
        said = [line for line in result.stderr.splitlines() if "display" in line.lower() or "plugin" in line.lower()]
        raise DeviceError(f"the display cannot be used ({said[0] if said else 'a window did not open'}); {otherwise}")


def _load_x11() -> None:
    """Have Qt use the system's libX11-xcb, in place of the one in the opencv-python wheel.

    That one writes into a structure of libX11, which is the system's, as an older libX11 had it. Xlib then takes events
    that are Qt's, and a window whose first ones are taken is never painted: about one in ten stayed black.
    """
    if sys.platform == "linux":
        with suppress(OSError):  # where there is none, that is as good as it gets
            ctypes.CDLL("libX11-xcb.so.1", mode=ctypes.RTLD_GLOBAL)


def fit(image: Image, width: int, height: int) -> Image:
    """(H, W, 3) scaled into (height, width, 3), its shape kept, black around it. Never the image itself."""
    canvas = np.zeros((height, width, 3), np.uint8)
    scale = min(width / image.shape[1], height / image.shape[0])
    w, h = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    x, y = (width - w) // 2, (height - h) // 2
    canvas[y : y + h, x : x + w] = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return canvas


def draw(canvas: Image, overlay: Overlay) -> None:
    """Write the overlay onto (H, W, 3) RGB, in place, readable at any size of it."""
    height, width = canvas.shape[:2]
    scale = min(max(height / 900, 0.45), 1.5)
    line = round(34 * scale)  # pixels from one line to the next
    if overlay.page:
        canvas //= 4
        for number, text in enumerate(overlay.page):
            _text(canvas, text, line, round(line * (number + 2.5)), scale)
    if overlay.status:
        canvas[: round(line * 1.3)] //= 3
        _text(canvas, overlay.status, line // 2, line, scale)
    if overlay.recording:
        w, _ = cv2.getTextSize(overlay.recording, FONT, scale, 1)[0]
        x = width - w - line // 2
        _text(canvas, overlay.recording, x, line, scale)
        cv2.circle(canvas, (x - line // 2, round(line * 0.7)), line // 4, RED, -1, cv2.LINE_AA)
    if overlay.message:
        canvas[height - round(line * 1.4) :] //= 3
        _text(canvas, overlay.message, line // 2, height - line // 2, scale)


def _text(canvas: Image, text: str, x: int, y: int, scale: float) -> None:
    room = canvas.shape[1] - 2 * x if x < canvas.shape[1] // 2 else canvas.shape[1] - x
    needed = cv2.getTextSize(text, FONT, scale, 1)[0][0]
    cv2.putText(canvas, text, (x, y), FONT, scale * min(1, room / max(needed, 1)), WHITE, 1, cv2.LINE_AA)
