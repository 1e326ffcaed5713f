"""What can go wrong, as a tree. The command line prints the message in one line and exits with the code.

LivestyleError               2   could not start
├── InputError               2   an input is missing, empty, damaged beyond use, or not what it claims to be
├── OutputError              2   an output exists, equals the input, or cannot be written
│   └── OutputInUseError     2   another run is writing the same output
├── StyleError               2   a style is unknown, broken, or does not fit the asked model
├── DeviceError              2   the asked device is not there, or the display is not
├── TooLargeError            2   a picture is larger than the memory
└── TrainingError            2   a conf file, style picture, content or loss network cannot be used
"""


class LivestyleError(Exception):
    """Anything a person can act on. The message says what, where, and what to do."""


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

    def __init__(self, message: str, fits: tuple[int, int] | None = None) -> None:
        super().__init__(message)
        self.fits = fits


class TrainingError(LivestyleError):
    """A conf file, style picture, content or loss network cannot be used."""
