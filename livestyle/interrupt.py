"""Defer Ctrl-C while an operation must not be interrupted: writing a frame, completing a file, a training step."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

FORCED_AFTER = 3  # signals; one Ctrl-C may be two: the terminal sends it to every process, and torchrun forwards its own

# signals that ask a process to end: Ctrl-C, kill, a closed terminal (not on Windows)
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def ctrl_c_noted() -> Iterator[Callable[[], bool]]:
    """Within the block, Ctrl-C, SIGTERM and SIGHUP only set a flag. Yields a function that returns the flag.

    The third signal raises KeyboardInterrupt at once. No effect outside the main thread, as only that thread handles signals.
    """
    count = 0

    def note(_number: int, _frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count >= FORCED_AFTER:
            raise KeyboardInterrupt

    with _handled_by(note):
        yield lambda: count > 0


@contextmanager
def ctrl_c_raised() -> Iterator[None]:
    """Within a block of `ctrl_c_noted`, let the first signal raise KeyboardInterrupt: for long operations that write nothing."""
    with _handled_by(signal.default_int_handler):
        yield


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Install a handler for SIGNALS, except ignored ones, within the block. Restores the previous handlers afterwards."""
    if threading.current_thread() is not threading.main_thread():  # Python sets and calls handlers in the main thread only
        yield
        return
    # ignored signals stay ignored: SIGHUP under nohup
    numbers = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous_handler in previous.items():
            signal.signal(number, previous_handler)
