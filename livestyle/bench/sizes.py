"""Frame sizes that the benchmarks use."""

SIZES = {
    "256x256": (256, 256),
    "640x360": (640, 360),
    "1280x720": (1280, 720),
    "1920x1080": (1920, 1080),
    "3840x2160": (3840, 2160),
}
"""Frame size of the benchmarks: name -> (width, height) in pixels."""


def pixels_of(size: str) -> int:
    """Pixels per frame. size: a name from SIZES."""
    width, height = SIZES[size]
    return width * height
