"""Exceptions. The command line prints the message on one line and exits with the code given here.

LivestyleError               2   base class
├── InputError               2   an input is missing, empty, too damaged, or of another format than expected
├── OutputError              2   an output exists, equals the input, or cannot be written
│   └── OutputInUseError     2   another run is writing the same output
├── StyleError               2   a style is unknown, broken, or does not have the requested model
├── DeviceError              2   the requested device, or a display, is not available
├── TooLargeError            2   a picture does not fit in memory
└── TrainingError            2   a conf file, style picture, content or loss network cannot be used
"""

import re
import unicodedata

PASSWORD = re.compile(r"(://[^\s:/?#@]*:)\S*(?=@)")
"""Matches the password in user:password@host, up to the last @: a password may contain any character except a space."""

SECRET_PARAMETER = re.compile(r"([?&;][^\s=&]*(?:pass|pwd|token|key|secret|auth|streamid)[^\s=&]*=)[^\s&#;]*", re.IGNORECASE)
"""Matches the value of a secret query parameter, as in the URLs of many cameras: ?user=me&pwd=secret"""

STREAM_KEY = re.compile(r"^(rtmps?://[^/?]*/(?:[^/?]+/(?=.))?).+", re.IGNORECASE | re.DOTALL)
"""Matches the stream key of an RTMP address: all that follows the name of the application."""


def hide_passwords(text: str) -> str:
    """Replace passwords and secret query parameters of URLs in a text by ***: rtsp://user:***@host/stream?token=***"""
    return SECRET_PARAMETER.sub(r"\1***", PASSWORD.sub(r"\1***", text))


def hide_stream_key(url: str) -> str:
    """Replace the stream key of an address to stream to, which permits anybody to stream, and its passwords: rtmp://host/app/***"""
    return hide_passwords(STREAM_KEY.sub(r"\1***", url))


def printable(text: str) -> str:
    """Escape characters that a terminal would interpret or hide: control characters, changes of the writing direction.

    File names may contain all of these, and bytes that cannot be decoded.
    """
    return "".join(
        letter if letter.isprintable() or unicodedata.category(letter) == "Zs" else letter.encode("unicode_escape").decode()
        for letter in text
    )


class LivestyleError(Exception):
    """Base class of errors that the user can act on. The message states what failed, where, and what to do.

    advice: what to do on the command line; it may name options. The command line prints it after the message.
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
    """A picture does not fit in memory.

    fits: a (width, height) with the same aspect ratio that would fit. None if no size fits, or if it is unknown.
    """

    def __init__(self, message: str, fits: tuple[int, int] | None = None, *, advice: str = "") -> None:
        super().__init__(message, advice=advice)
        self.fits = fits


class TrainingError(LivestyleError):
    """A conf file, style picture, content or loss network cannot be used."""
