"""livestyle turns any camera, video or picture into a living painting in real time."""

__version__ = "0.1.0"
