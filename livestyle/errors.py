"""What can go wrong, as a tree. The command line prints the message in one line and exits with the code.

LivestyleError               2   failed
├── InputError               2   an input is missing, empty, damaged beyond use, or not what it claims to be
├── OutputError              2   an output exists, equals the input, or cannot be written
│   └── OutputInUseError     2   another run is writing the same output
├── StyleError               2   a style is unknown, broken, or does not fit the asked model
├── DeviceError              2   the asked device is not there, or the display is not
├── TooLargeError            2   a picture is larger than the memory
└── TrainingError            2   a conf file, style picture, content or loss network cannot be used
"""

import re
import unicodedata

PASSWORD = re.compile(r"(://[^\s:/?#@]*:)\S*(?=@)")
"""Of user:password@host. Up to the last @: a password may hold any character but a space."""

SECRET_PARAMETER = re.compile(r"([?&;][^\s=&]*(?:pass|pwd|token|key|secret|auth)[^\s=&]*=)[^\s&#;]*", re.IGNORECASE)
"""Of ?user=me&pwd=secret, as many cameras have it."""


def hide_passwords(text: str) -> str:
    """The text with the passwords of the URLs in it replaced: rtsp://user:***@host/stream?token=***."""
    return SECRET_PARAMETER.sub(r"\1***", PASSWORD.sub(r"\1***", text))


def printable(text: str) -> str:
    """The text with everything escaped that a terminal would obey or hide: control characters, changes of direction.

    Names of files may hold all of these, and bytes that are no text.
    """
    return "".join(
        letter if letter.isprintable() or unicodedata.category(letter) == "Zs" else letter.encode("unicode_escape").decode()
        for letter in text
    )


class LivestyleError(Exception):
    """Anything a person can act on. The message says what, where, and what to do.

    advice: what helps at the command line, in its words; the command line prints it after the message.
    """

    def __init__(self, message: str = "", *, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


class InputError(LivestyleError):
    """An input is missing, empty, damaged beyond use, or not what it claims to be."""


class OutputError(LivestyleError):
    """An output exists, equals the input, or cannot be written."""


class OutputInUseError(OutputError):
    """Another run is writing the same output."""


class StyleError(LivestyleError):
    """A style is unknown, broken, or does not fit the asked model."""


class DeviceError(LivestyleError):
    """The asked device is not there, or the display is not."""


class TooLargeError(LivestyleError):
    """A picture is larger than the memory.

    fits: the (width, height) of the same shape that would fit; None if no size would, or it is unknown.
    """

    def __init__(self, message: str, fits: tuple[int, int] | None = None, *, advice: str = "") -> None:
        super().__init__(message, advice=advice)
        self.fits = fits


class TrainingError(LivestyleError):
    """A conf file, style picture, content or loss network cannot be used."""
