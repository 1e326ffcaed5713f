"""livestyle turns any camera, video or picture into a living painting in real time.

import livestyle
painted = livestyle.stylize(image, style="wave")            # (H, W, 3) uint8 RGB -> the same shape
stylizer = livestyle.Stylizer(style="scream")               # keeps the networks for many frames
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from livestyle.stylizer import Stylizer, stylize

__version__ = "0.1.0"
__all__ = ["Stylizer", "__version__", "stylize"]


def __getattr__(name: str) -> Any:
    """Torch is imported when it is used: `livestyle --help` must not wait for it."""
    if name in ("Stylizer", "stylize"):
        return getattr(importlib.import_module("livestyle.stylizer"), name)
    raise AttributeError(f"module 'livestyle' has no attribute {name!r}")
