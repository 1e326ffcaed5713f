"""Open the source of a live run by its name: a camera, a network stream, a video file, or the demo scene."""

from contextlib import suppress
from pathlib import Path

from livestyle.errors import hide_passwords
from livestyle.frame import Source
from livestyle.output_file import refuse_same_file
from livestyle.size import Size, fit_size
from livestyle.sources.camera import Camera
from livestyle.sources.demo import DemoScene
from livestyle.sources.live import LiveSource, Paced, WithMicrophone
from livestyle.sources.microphone import Microphone
from livestyle.sources.reconnecting import Reconnecting
from livestyle.sources.video.file import open_video

DEMO_SIZE = (640, 360)


def open_live_source(camera: str, size: Size | None) -> LiveSource:
    """Open a source whose frames arrive in real time, scaled to fit `size`. A camera or a stream that stops is opened again.

    camera: a camera's index ("0") or device ("/dev/video0"), a URL, the path of a video file, or "demo".

    Raises DeviceError or InputError if it cannot be opened.
    """

    def fitted(width: int, height: int) -> tuple[int, int]:
        return fit_size(width, height, size)

    if camera == "demo":
        return Paced(DemoScene(*fitted(*DEMO_SIZE)))
    if names_file(camera):
        return Paced(open_video(Path(camera), size=fitted))
    # if only the height is given, request 16:9
    preferred_size = None if size is None else (size[0] or round(size[1] * 16 / 9), size[1])
    source = Camera(camera, preferred_size=preferred_size, size=fitted)
    if not source.info.live:
        return Paced(source)
    width, height = source.info.width, source.info.height

    def reopen() -> Source:
        return Camera(camera, preferred_size=preferred_size, size=lambda _width, _height: (width, height))

    return Reconnecting(source, reopen, f"camera {hide_passwords(camera)}")


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
    if not camera or camera.isdecimal() or "://" in camera:
        return False
    try:
        return not path.is_char_device() and (path.exists() or bool(path.suffix))
    except OSError:  # not a valid path; opening it as a file raises the error
        return True


def refuse_source(camera: str, record: Path) -> None:
    """Raise OutputError if the recording would replace the video file that is the source."""
    if names_file(camera):
        with suppress(OSError):  # not a valid path
            refuse_same_file(Path(camera), record)
