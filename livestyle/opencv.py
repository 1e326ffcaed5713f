"""OpenCV without its own lines on stderr: what matters is raised as an error of ours."""

from collections.abc import Iterator
from contextlib import contextmanager

import cv2


@contextmanager
def silent() -> Iterator[None]:
    """OpenCV tells on stderr of everything that it tried in vain."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
