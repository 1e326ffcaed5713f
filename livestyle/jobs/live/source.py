"""Open the source of a live run by its name: a camera, a network stream, a video file, the screen, raw frames, the demo scene."""

import re
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

from livestyle.errors import DeviceError, InputError, hide_passwords
from livestyle.frame import Source
from livestyle.output_file import refuse_same_file
from livestyle.size import Size, fit_size
from livestyle.sources.camera import Camera
from livestyle.sources.demo import DemoScene
from livestyle.sources.live import LiveSource, Paced, WithMicrophone
from livestyle.sources.microphone import Microphone
from livestyle.sources.pace import RATE
from livestyle.sources.raw import RawFrames
from livestyle.sources.reconnecting import Reconnecting
from livestyle.sources.video.live_file import LiveFile
from livestyle.sources.video.network import NetworkVideo

DEMO_SIZE = (640, 360)
STDIN = "-"
FILE_SUFFIX = re.compile(r"\.\w*[A-Za-z]\w*")
"""Matches .mp4 and .3gp, and not the end of a camera's name such as "USB2.0 HD"."""


def open_live_source(camera: str, size: Size | None, rate: Fraction | None = None, loop: bool = False) -> LiveSource:
    """Open a source whose frames arrive in real time, scaled to fit `size`. A camera or a stream that stops is opened again.

    camera: a camera's index ("0"), device ("/dev/video0") or name, a URL, the path of a video file, "screen" (see
        `ScreenCapture`), "-" for raw frames of `size` on standard input, or "demo".
    rate: frames per second of the screen, of standard input, or of the demo scene; None for 30.
    loop: whether to repeat a video file without end.

    Raises DeviceError or InputError if it cannot be opened.
    """

    def fitted(width: int, height: int) -> tuple[int, int]:
        return fit_size(width, height, size)

    if loop and not names_file(camera):
        raise InputError(f"only a video file can be repeated, not {hide_passwords(camera)}")
    if camera == STDIN:
        if size is None or size[0] is None:
            advice = "add their size to the command: --size 640x360"
            raise InputError("raw frames on standard input have no header; their width and height must be stated", advice=advice)
        return RawFrames(size[0], size[1], rate=rate or RATE)
    if names_screen(camera):
        return _open_screen(camera, fitted, rate or RATE)
    if camera == "demo":
        return Paced(DemoScene(*fitted(*DEMO_SIZE), rate=rate or RATE))
    if rate is not None:
        raise InputError(f"a rate can be chosen for the screen, raw frames and demo, not for {hide_passwords(camera)}")
    if names_file(camera):
        file = LiveFile(Path(camera), size=fitted, loop=loop)
        return Paced(file, file.sound)
    name = f"camera {hide_passwords(camera)}"
    if "://" in camera:
        return _open_stream(camera, fitted, name)
    # if only the height is given, request 16:9
    preferred_size = None if size is None else (size[0] or round(size[1] * 16 / 9), size[1])
    source = Camera(camera, preferred_size=preferred_size, size=fitted)
    width, height = source.info.width, source.info.height

    def reopen() -> Source:
        return Camera(camera, preferred_size=preferred_size, size=lambda _width, _height: (width, height), list_others=False)

    return Reconnecting(source, reopen, name)


def _open_stream(url: str, size: Callable[[int, int], tuple[int, int]], name: str) -> LiveSource:
    source = NetworkVideo(url, size=size)
    if not source.info.live:
        return Paced(source, source.sound)
    width, height = source.info.width, source.info.height

    def reopen() -> Source:
        return NetworkVideo(url, size=lambda _width, _height: (width, height), sound=source.sound)

    return Reconnecting(source, reopen, name, source.sound)


def names_screen(camera: str) -> bool:
    """Whether `camera` is the screen, or a part of it."""
    return camera == "screen" or camera.startswith("screen:")


def _open_screen(what: str, size: Callable[[int, int], tuple[int, int]], rate: Fraction) -> LiveSource:
    try:
        from livestyle.sources.screen import ScreenCapture
    except ModuleNotFoundError as error:
        raise DeviceError("the screen cannot be captured without mss; run: pip install 'livestyle[screen]'") from error
    return ScreenCapture(what, size=size, rate=rate)


def with_sound(source: LiveSource, sound: str) -> LiveSource:
    """The source with its own sound ("source"), no sound ("none"), or that of a microphone, which is closed with the source.

    sound: otherwise "microphone" for the default one, or a part of the name of a microphone.

    Raises DeviceError if the microphone cannot be opened.
    """
    if sound == "none":
        source.sound = None
    if sound in ("source", "none"):
        return source
    return WithMicrophone(source, Microphone("" if sound == "microphone" else sound))


def names_file(camera: str) -> bool:
    """Whether `camera` is the path of a file, which need not exist, and not an index, a URL or a device."""
    path = Path(camera)
    if not camera or camera.isdecimal() or "://" in camera or camera == STDIN or names_screen(camera):
        return False
    try:
        return not path.is_char_device() and (path.exists() or bool(FILE_SUFFIX.fullmatch(path.suffix)))
    except OSError:  # not a valid path; opening it as a file raises the error
        return True


def refuse_source(camera: str, record: Path) -> None:
    """Raise OutputError if the recording would replace the video file that is the source."""
    if names_file(camera):
        with suppress(OSError):  # not a valid path
            refuse_same_file(Path(camera), record)
