"""stdin, stdout and stderr, whatever the caller made of them."""

import io
import os
import sys
from contextlib import suppress
from typing import Any, TextIO, cast


def open_standard_streams() -> None:
    """Open what the caller has closed: the next file would get its number, and be written to by mistake.

    Reading stdin then finds nothing, writing to stdout is an error, and what goes to stderr is lost.
    """
    for number, name, flags in ((0, "stdin", os.O_RDONLY), (1, "stdout", os.O_RDONLY), (2, "stderr", os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # gets the lowest number that is free
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115
    sys.stderr = cast(TextIO, Unfailing(sys.stderr))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal's encoding lacks is no error


class Unfailing:
    """A text stream to which writing never fails: a full disk or a closed terminal must not end the work."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
