"""Ctrl-C, deferred while something is under way: a frame written, a file completed, a step trained."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

INSISTS = 3  # torchrun passes on the Ctrl-C that the terminal has sent already: two are one

# what asks a process to end: Ctrl-C, kill, the terminal's end (which Windows does not have)
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def ctrl_c_noted() -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether Ctrl-C, SIGTERM or SIGHUP came. The third one raises KeyboardInterrupt at once."""
    came = 0

    def note(_number: int, _frame: FrameType | None) -> None:
        nonlocal came
        came += 1
        if came >= INSISTS:
            raise KeyboardInterrupt

    with _handled_by(note):
        yield lambda: came > 0


@contextmanager
def ctrl_c_raised() -> Iterator[None]:
    """Within `ctrl_c_noted`: raise KeyboardInterrupt at once, for what takes long and leaves nothing behind."""
    with _handled_by(signal.default_int_handler):
        yield


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # which alone gets signals
        yield
        return
    # a signal that is ignored stays so: SIGHUP under nohup
    numbers = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler_before in previous.items():
            signal.signal(number, handler_before)
