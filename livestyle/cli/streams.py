"""Standard streams that work even if the caller has closed or redirected them."""

import io
import os
import sys
from contextlib import suppress
from typing import Any, TextIO, cast


def open_standard_streams() -> None:
    """Reopen closed standard streams: otherwise the next opened file would get the descriptor, and be overwritten by output.

    A reopened stdin is empty, writing to stdout is an error, and output to stderr is lost.
    """
    for number, name, flags in ((0, "stdin", os.O_RDONLY), (1, "stdout", os.O_RDONLY), (2, "stderr", os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # gets the lowest free descriptor, which is this one
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115
    sys.stderr = cast(TextIO, UnfailingStream(sys.stderr))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for names that the terminal's encoding cannot represent


class UnfailingStream:
    """A text stream whose write errors are ignored: a full disk or a closed terminal must not end the work."""

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
