"""Exceptions. The command line prints the message in one line, and exits with the code given here.

LivestyleError               2   failed
├── InputError               2   an input is missing, empty, too damaged, or of another format than expected
├── OutputError              2   an output exists, equals the input, or cannot be written
│   └── OutputInUseError     2   another run is writing the same output
├── StyleError               2   a style is unknown, broken, or does not have the requested model
├── DeviceError              2   the requested device, or a display, is not available
├── TooLargeError            2   a picture does not fit the memory
└── TrainingError            2   a conf file, style picture, content or loss network cannot be used
"""

import re
import unicodedata

PASSWORD = re.compile(r"(://[^\s:/?#@]*:)\S*(?=@)")
"""The password in user:password@host, up to the last @: a password may contain any character but a space."""

SECRET_PARAMETER = re.compile(r"([?&;][^\s=&]*(?:pass|pwd|token|key|secret|auth)[^\s=&]*=)[^\s&#;]*", re.IGNORECASE)
"""The value of a secret in a query, as in the URLs of many cameras: ?user=me&pwd=secret"""


def hide_passwords(text: str) -> str:
    """Replace the passwords of URLs in a text: rtsp://user:***@host/stream?token=***"""
    return SECRET_PARAMETER.sub(r"\1***", PASSWORD.sub(r"\1***", text))


def printable(text: str) -> str:
    """Escape everything in a text that a terminal would interpret or hide: control characters, changes of direction.

    File names may contain all of these, and bytes that are not text.
    """
    return "".join(
        letter if letter.isprintable() or unicodedata.category(letter) == "Zs" else letter.encode("unicode_escape").decode()
        for letter in text
    )


class LivestyleError(Exception):
    """The base class: an error that the user can act on. The message states what failed, where, and what to do.

    advice: what to do at the command line, naming its options; the command line prints it after the message.
    """

    def __init__(self, message: str = "", *, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


class InputError(LivestyleError):
    """An input is missing, empty, too damaged, or of another format than expected."""


class OutputError(LivestyleError):
    """An output exists, equals the input, or cannot be written."""


class OutputInUseError(OutputError):
    """Another run is writing the same output."""


class StyleError(LivestyleError):
    """A style is unknown, broken, or does not have the requested model."""


class DeviceError(LivestyleError):
    """The requested device, or a display, is not available."""


class TooLargeError(LivestyleError):
    """A picture does not fit the memory.

    fits: a (width, height) of the same aspect ratio that would fit; None if no size does, or if it is unknown.
    """

    def __init__(self, message: str, fits: tuple[int, int] | None = None, *, advice: str = "") -> None:
        super().__init__(message, advice=advice)
        self.fits = fits


class TrainingError(LivestyleError):
    """A conf file, style picture, content or loss network cannot be used."""
