"""livestyle turns any camera, video or picture into a living painting in real time.

    import livestyle
    painted = livestyle.stylize(image, style="wave")            # (H, W, 3) uint8 RGB -> the same shape
    livestyle.styles()                                          # the names of all styles

    stylizer = livestyle.Stylizer(style="scream")               # keeps the networks loaded, for many frames
    painted = stylizer(image, stylizer.look(strength=0.5))

    livestyle.paint_video("in.mp4", "out.mp4", style="wave", size=720)
    livestyle.paint_pictures("photos/", "paintings/", style={"wave": 0.7, "udnie": 0.3})
    for frame in livestyle.painted_frames("in.mp4", style="wave"):
        frame.image, frame.pts_seconds

Every error that livestyle raises derives from LivestyleError. `livestyle.jobs` has picklable job descriptions.
"""

import importlib
from typing import TYPE_CHECKING, Any

from livestyle.errors import (
    DeviceError,
    InputError,
    LivestyleError,
    OutputError,
    OutputInUseError,
    StyleError,
    TooLargeError,
    TrainingError,
)

if TYPE_CHECKING:
    from livestyle.frame import Frame
    from livestyle.jobs.pictures import PictureJob, PictureResult, paint_pictures
    from livestyle.jobs.progress import Progress
    from livestyle.jobs.video import VideoJob, VideoResult, paint_video, painted_frames
    from livestyle.look import Look
    from livestyle.stylizer import Stylizer, styles, stylize

__version__ = "0.1.0"
__all__ = [
    "DeviceError",
    "Frame",
    "InputError",
    "LivestyleError",
    "Look",
    "OutputError",
    "OutputInUseError",
    "PictureJob",
    "PictureResult",
    "Progress",
    "StyleError",
    "Stylizer",
    "TooLargeError",
    "TrainingError",
    "VideoJob",
    "VideoResult",
    "__version__",
    "paint_pictures",
    "paint_video",
    "painted_frames",
    "styles",
    "stylize",
]

_MODULES = {
    "livestyle.frame": ("Frame",),
    "livestyle.jobs.pictures": ("PictureJob", "PictureResult", "paint_pictures"),
    "livestyle.jobs.progress": ("Progress",),
    "livestyle.jobs.video": ("VideoJob", "VideoResult", "paint_video", "painted_frames"),
    "livestyle.look": ("Look",),
    "livestyle.stylizer": ("Stylizer", "styles", "stylize"),
}
"""The public names of each module. Modules are imported on first use: `livestyle --help` must not wait for NumPy."""


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module 'livestyle' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
