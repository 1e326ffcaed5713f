"""One picture to one file."""

import os
from pathlib import Path

import cv2

from livestyle.errors import OutputError
from livestyle.frame import Image


def save_png(path: Path, image: Image) -> None:
    """Write (H, W, 3) uint8 RGB; the name appears with the whole picture. Raises OutputError."""
    _, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(data.tobytes())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
