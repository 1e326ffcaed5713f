"""Ctrl-C, put off until what is under way is done: a frame written, a step trained."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

INSISTS = 3  # torchrun passes on the Ctrl-C that the terminal has sent already: two are one


@contextmanager
def ctrl_c_noted() -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether Ctrl-C, or SIGTERM, came. The third one raises KeyboardInterrupt at once."""
    came = 0

    def note(_number: int, _frame: FrameType | None) -> None:
        nonlocal came
        came += 1
        if came >= INSISTS:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # which alone gets signals
        yield lambda: False
        return
    previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: came > 0
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
