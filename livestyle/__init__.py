"""livestyle turns any camera, video or picture into a living painting in real time.

    import livestyle
    painted = livestyle.stylize(image, style="wave")            # (H, W, 3) uint8 RGB -> the same shape
    stylizer = livestyle.Stylizer(style="scream")               # keeps the networks for many frames
    livestyle.styles()                                          # the names of all styles
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
    from livestyle.stylizer import Stylizer, styles, stylize

__version__ = "0.1.0"
__all__ = [
    "DeviceError",
    "InputError",
    "LivestyleError",
    "OutputError",
    "OutputInUseError",
    "StyleError",
    "Stylizer",
    "TooLargeError",
    "TrainingError",
    "__version__",
    "styles",
    "stylize",
]


def __getattr__(name: str) -> Any:
    """Numpy and all else are imported when they are used: `livestyle --help` must not wait for them."""
    if name in ("Stylizer", "styles", "stylize"):
        return getattr(importlib.import_module("livestyle.stylizer"), name)
    raise AttributeError(f"module 'livestyle' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
