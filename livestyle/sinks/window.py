"""Show frames in a window, by OpenCV. Use a window only in the main thread.

On Linux, `import cv2` must come before `import av`: otherwise cv2.imshow hangs.
"""

import ctypes
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn, Protocol

import cv2

from livestyle.errors import DeviceError
from livestyle.frame import Frame, Sink
from livestyle.sinks.overlay import Overlay, compare, draw, fit

SMALLEST, LARGEST = (640, 360), (1280, 720)  # width and height of a new window
KEY_NAMES = {27: "esc", 32: "space"} | {0xFFB0 + digit: str(digit) for digit in range(10)} | {0xFFAB: "+", 0xFFAD: "-"}
"""Names of keys by cv2.waitKeyEx code. With GTK, the keys of the keypad have the codes of X11."""
ARROWS = {0xFF51: "left", 0xFF53: "right", 0x250000: "left", 0x270000: "right", 0xF702: "left", 0xF703: "right"}
"""Names of the arrow keys by cv2.waitKeyEx code: on Linux those of X11, on Windows, on macOS."""
ALTERNATIVE = "recording works without one"
"""Last part of the error message if there is no display."""


class Screen(Sink, Protocol):
    """A sink with an overlay, a title and a keyboard."""

    overlay: Overlay
    """Text and pages to draw over the frames that are written after it is set."""
    title: str
    is_visible: bool
    """Whether frames are shown, and keys can be pressed."""

    @property
    def is_open(self) -> bool:
        """False after the user has closed the window."""

    def key(self) -> str:
        """Process pending window events and return the pressed key: in lower case, or its name; "" for none or any other."""

    def resize(self, width: int, height: int) -> None:
        """Resize the window to suit frames of this size, in pixels."""

    def toggle_full_screen(self) -> None: ...


class Window:
    """A window that scales frames to its size, with the aspect ratio kept.

    width, height: size of the frames in pixels, if it is known when the window opens.
    alternative: what works without a display, for the error message.
    monitor: number of the monitor to cover in full-screen mode, from 1; None for a window where the system puts it.

    Raises DeviceError if there is no display, or no such monitor.
    """

    is_visible = True

    def __init__(
        self,
        title: str,
        width: int = SMALLEST[0],
        height: int = SMALLEST[1],
        alternative: str = ALTERNATIVE,
        monitor: int | None = None,
    ) -> None:
        check_display(alternative)
        corner = None if monitor is None else _corner_of(monitor)
        _load_x11()
        self.notes: list[str] = []
        self.overlay = Overlay()
        self.title = title
        self._name = title  # OpenCV identifies the window by its first title
        self._shown_title = title
        self._full_screen = False
        self._shown_width = 0  # of the image shown last, in pixels
        self._divider = 0.5  # in the width of the window
        # without OpenCV's toolbar, whose shortcuts would intercept keys
        cv2.namedWindow(self._name, cv2.WINDOW_NORMAL | cv2.WINDOW_FREERATIO | cv2.WINDOW_GUI_NORMAL)
        cv2.setMouseCallback(self._name, self._move_divider)
        self.resize(width, height)
        if corner is not None:
            cv2.moveWindow(self._name, *corner)
            self.toggle_full_screen()

    def _move_divider(self, event: int, x: int, y: int, flags: int, data: object) -> None:
        """Move the divider to the pointer while the left button is pressed. x, y: in pixels of the image shown last."""
        if flags & cv2.EVENT_FLAG_LBUTTON and self._shown_width:
            self._divider = min(1.0, max(0.0, x / self._shown_width))

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
        canvas = compare(frame, width, height, self._divider) if self.overlay.compares else fit(frame.image, width, height)
        self._shown_width = width
        draw(canvas, self.overlay)
        cv2.imshow(self._name, cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR))

    @property
    def is_open(self) -> bool:
        try:
            return bool(cv2.getWindowProperty(self._name, cv2.WND_PROP_VISIBLE) >= 1)
        except cv2.error:  # closing the last window may also end OpenCV's GUI
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
            cv2.waitKey(1)  # without it the window stays until the process ends


class NoWindow:
    """A screen that shows nothing and has no keyboard, for runs that only record."""

    is_open = True
    is_visible = False

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


def _corner_of(monitor: int) -> tuple[int, int]:
    """The position of a monitor's top left corner, in pixels. Raises DeviceError if there is no such monitor."""
    try:
        import mss
    except ImportError:
        raise DeviceError("to choose a monitor, install the library mss: pip install 'livestyle[screen]'") from None
    try:
        with mss.MSS() as screens:
            monitors = screens.monitors[1:]  # the first entry is all of them together
    except mss.ScreenShotError as error:
        raise DeviceError(f"the monitors cannot be listed: {error}") from None
    if not 1 <= monitor <= len(monitors):
        found = ", ".join(f"{number} ({each['width']}x{each['height']})" for number, each in enumerate(monitors, 1))
        raise DeviceError(f"there is no monitor {monitor}; monitors found: {found or 'none'}")
    return int(monitors[monitor - 1]["left"]), int(monitors[monitor - 1]["top"])


def key_name(code: int) -> str:
    """The key for a cv2.waitKeyEx code, named as in Screen.key."""
    if code < 0:
        return ""
    if code & 0xFFFF == 0:  # arrow and function keys on Windows
        return ARROWS.get(code, "")
    code &= 0xFFFF  # the higher bits: Shift, CapsLock and NumLock with GTK
    if code in ARROWS:
        return ARROWS[code]
    return KEY_NAMES.get(code, chr(code).lower() if 32 < code < 127 else "")


@contextmanager
def on_lost_display(action: Callable[[], NoReturn]) -> Iterator[None]:
    """Call `action` if the X server dies. It must end the process, as Qt and Xlib otherwise do with C's exit().

    Enter it after all libraries are loaded: libraries loaded later are torn down before `action` is called.
    Does nothing on systems without glibc.
    """
    c_library = ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
    if c_library is None:  # other C libraries cannot unregister the callback, and would call it after Python has ended
        yield
        return
    active = True

    def call(_: object) -> None:
        if active:
            action()

    callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(call)
    registration = ctypes.c_char()  # its address identifies the registration
    address = ctypes.c_void_p(ctypes.addressof(registration))
    c_library.__cxa_atexit(callback, None, address)
    try:
        yield
    finally:
        active = False
        c_library.__cxa_finalize(address)  # calls the callback and unregisters it


def check_display(alternative: str = ALTERNATIVE) -> None:
    """Raise DeviceError if a window cannot be opened. alternative: what works without a display, for the message."""
    if sys.platform != "linux":
        return
    if not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        raise DeviceError(f"there is no display to open a window on; {alternative}")
    # if the display does not answer or a library is missing, opening a window aborts the process: so another process tries
    trial = [sys.executable, "-c", "import cv2, os; cv2.namedWindow('livestyle'); os._exit(0)"]
    result = subprocess.run(trial, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False)
    if "not implemented" in result.stderr:
        raise DeviceError(f"this OpenCV has no windows; replace opencv-python-headless by opencv-python; {alternative}")
    if result.returncode:
        reasons = [line for line in result.stderr.splitlines() if "display" in line.lower() or "plugin" in line.lower()]
        reason = reasons[0] if reasons else "a window did not open"
        raise DeviceError(f"the display cannot be used ({reason}); {alternative}")


def _load_x11() -> None:
    """Make Qt use the system's libX11-xcb instead of the copy in the opencv-python wheel.

    The copy writes into a structure of the system's libX11 with the layout of an older version. Xlib then takes events meant
    for Qt, and a window whose first events are lost is never drawn: about one window in ten stayed black.
    """
    if sys.platform == "linux":
        with suppress(OSError):  # not installed: nothing better is available
            ctypes.CDLL("libX11-xcb.so.1", mode=ctypes.RTLD_GLOBAL)
