"""The sound of a live source: the last seconds of it, by time."""

from fractions import Fraction
from threading import Lock

import numpy as np

from livestyle.frame import FloatArray

RATE = 48_000
"""Samples per second."""
CHANNELS = 2
KEPT_SECONDS = 10
JITTER_SECONDS = Fraction(1, 100)
"""A smaller gap or overlap between two blocks is jitter of the clock, not a loss: the blocks are joined. Sources whose clocks
jitter more than that smooth them themselves: a larger value would let a file that is repeated be out of step with its sound."""


class Sound:
    """The last 10 seconds of a sound, 48 kHz stereo. A source adds blocks; outputs read them. Any thread may use it.

    Times are in seconds of a clock that the source chooses. `Frame.sound_seconds` is the time of a frame on that clock.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._samples = np.zeros((KEPT_SECONDS * RATE, CHANNELS), np.float32)  # a ring: sample i is at i modulo its length
        self._begin = self._end = 0  # in samples since time 0; what is kept
        self._is_empty = True

    @property
    def end_seconds(self) -> Fraction | None:
        """The time up to which there is sound; None before the first block."""
        with self._lock:
            return None if self._is_empty else Fraction(self._end, RATE)

    def add(self, begin_seconds: Fraction, samples: FloatArray) -> None:
        """Add a block after the last one. A gap is silent. A block that begins earlier replaces what is later than its beginning,
        or, where the clock has stepped back to before all that is kept, everything.

        samples: (N, 2) float32, from -1 to 1.
        """
        begin = round(begin_seconds * RATE)
        with self._lock:
            if self._is_empty or begin < self._end - JITTER_SECONDS * RATE:
                self._begin = begin if self._is_empty else min(self._begin, begin)
                self._end, self._is_empty = begin, False
            elif begin > self._end + JITTER_SECONDS * RATE:
                silence = min(begin - self._end, len(self._samples))
                self._end = begin - silence
                self._append(np.zeros((silence, CHANNELS), np.float32))
            self._append(samples)

    def read(self, begin_seconds: Fraction, end_seconds: Fraction) -> FloatArray:
        """The samples from one time up to another, (N, 2) float32. They are silent where there is no sound, or no longer."""
        begin, end = round(begin_seconds * RATE), round(end_seconds * RATE)
        result = np.zeros((max(0, end - begin), CHANNELS), np.float32)
        with self._lock:
            first, last = max(begin, self._begin), min(end, self._end)
            if first < last:
                result[first - begin : last - begin] = self._samples[np.arange(first, last) % len(self._samples)]
        return result

    def _append(self, samples: FloatArray) -> None:
        count, size = len(samples), len(self._samples)
        kept = samples[-size:]
        places = np.arange(self._end + count - len(kept), self._end + count) % size
        self._samples[places] = kept
        self._end += count
        self._begin = max(self._begin, self._end - size)
