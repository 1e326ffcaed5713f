"""Silence OpenCV's log: livestyle raises its own errors instead."""

from collections.abc import Iterator
from contextlib import contextmanager

import cv2


@contextmanager
def silent() -> Iterator[None]:
    """Turn off OpenCV's log within the block. It writes every failed attempt, such as a missing camera index, to stderr."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
