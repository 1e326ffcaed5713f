"""Report errors of the server's code on stderr, once each, so that clients cannot fill a log."""

import logging
import traceback

from h11 import LocalProtocolError

BY_CLIENTS = (UnicodeDecodeError, LocalProtocolError)
"""Errors that clients cause in uvicorn: text that is not UTF-8; a broken body, which uvicorn refuses before the response."""


def report_bugs() -> None:
    """Let uvicorn and asyncio print errors of the server's code, the first one from each line of code, and nothing else."""
    handler = logging.StreamHandler()
    handler.addFilter(_Bugs())
    handler.setFormatter(logging.Formatter("livestyle: an error of the server, please report it: %(message)s"))
    for name in ("uvicorn.error", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.ERROR)
    for name in ("aiortc", "aioice"):  # they warn of what clients send
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


class _Bugs(logging.Filter):
    """Passes records of exceptions, the first one from each line of code."""

    def __init__(self) -> None:
        super().__init__()
        self._places: set[tuple[str, int | None]] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, Exception) or isinstance(error, BY_CLIENTS):
            return False
        place = [(each.filename, each.lineno) for each in traceback.extract_tb(error.__traceback__)][-1]
        is_new = place not in self._places
        self._places.add(place)
        return is_new
