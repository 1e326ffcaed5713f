"""Hear the beat of a live source's sound."""

import time
from collections.abc import Callable
from fractions import Fraction

from livestyle.frame import Frame
from livestyle.sound import Sound
from livestyle.streaming.onsets import SHORTEST_SECONDS, OnsetDetector

LONGEST_SECONDS = 1
"""Of the sound since the last call, at most this much is searched: a loop that was late does not catch up."""


class Beat:
    """Counts the onsets in a sound while it is shown. At most three times a second, one is due, to be safe for the audience.

    every: counts each onset, every second one, and so on: from 1.
    clock: the time in seconds, as in `Frame.captured_at`.
    """

    def __init__(self, sound: Sound, every: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._sound, self._every, self._clock = sound, every, clock
        self._detector = OnsetDetector()
        self._heard: Fraction | None = None  # the end of what was searched, on the sound's clock
        self._count = 0  # onsets so far
        self._is_pending = False  # whether a counted onset came less than SHORTEST_SECONDS after the last one that was due
        self._due_at: float | None = None  # when the last one was due

    def is_due(self, frame: Frame | None) -> bool:
        """Whether a counted onset has come since the last call. frame: the one that is shown, which has the time of the sound."""
        before = self._count // self._every
        self._count += self._onsets(frame)
        self._is_pending = self._is_pending or self._count // self._every > before
        now = self._clock()
        # the times of onsets are not enough: a late loop hears one too late, and the next in time
        if not self._is_pending or (self._due_at is not None and now - self._due_at < SHORTEST_SECONDS):
            return False
        self._is_pending, self._due_at = False, now
        return True

    def _onsets(self, frame: Frame | None) -> int:
        """Number of onsets since the last call."""
        end = self._sound.end_seconds
        if frame is None or frame.sound_seconds is None or frame.captured_at is None or end is None:
            return 0
        # a file's sound may be read before its picture
        end = min(end, frame.sound_seconds + Fraction(self._clock() - frame.captured_at))
        if self._heard is None or self._heard - end > LONGEST_SECONDS:  # the first call, or the sound's clock stepped back
            self._heard = end
        begin = max(self._heard, end - LONGEST_SECONDS)
        if begin >= end:  # times of frames jitter
            return 0
        self._heard = end
        return len(self._detector.feed(self._sound.read(begin, end)))
