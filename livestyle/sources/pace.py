"""The times of a live source that is read at a chosen rate: when a frame is due, and its presentation time."""

import time
from collections.abc import Callable
from fractions import Fraction
from threading import Event

from livestyle.errors import InputError

RATE = Fraction(30)
"""Default rate, in frames per second."""
LOWEST_RATE, HIGHEST_RATE = Fraction(1, 10), Fraction(1000)
TIME_BASE = Fraction(1, 1_000_000)
"""Seconds per tick: presentation times are whole microseconds."""


class Pace:
    """Limits a source to `rate` frames per second.

    rate: from 0.1 to 1000; raises InputError if it is not.
    catch_up_seconds: how far the source may lag behind the rate and still catch up, by waits that return at once.
    wait: waits for some seconds, or until `stop` is called.
    """

    def __init__(
        self,
        rate: Fraction | int,
        catch_up_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        if not LOWEST_RATE <= rate <= HIGHEST_RATE:
            raise InputError(f"{rate} frames per second: the rate must be from {float(LOWEST_RATE)} to {HIGHEST_RATE}")
        self._interval, self._catch_up_seconds, self._clock = float(1 / rate), catch_up_seconds, clock
        self._stopped = Event()
        self._wait = self._stopped.wait if wait is None else wait
        self._due: float | None = None  # clock time of the last frame
        self._first_at: float | None = None

    @property
    def is_stopped(self) -> bool:
        return self._stopped.is_set()

    def wait(self) -> bool:
        """Wait until the next frame is due; the first one is due at once. Returns False after `stop`."""
        now = self._clock()
        self._due = now if self._due is None else max(self._due + self._interval, now - self._catch_up_seconds)
        if self._due > now:
            self._wait(self._due - now)
        return not self.is_stopped

    def stop(self) -> None:
        """End the wait. Another thread may call it."""
        self._stopped.set()

    def pts_seconds(self, captured_at: float) -> Fraction:
        """The presentation time of a frame captured at this clock time: 0 for the first one."""
        if self._first_at is None:
            self._first_at = captured_at
        return round((captured_at - self._first_at) / TIME_BASE) * TIME_BASE
