"""Frame rate and latency of a live run."""

import time
from collections import Counter, deque
from collections.abc import Callable

from livestyle.frame import Frame

RECENT_FRAMES = 30


class Meter:
    """Measures the number and rate of the frames shown, and their latency from capture to display."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.frames = 0
        self._clock = clock
        self._recent: deque[tuple[float, float]] = deque(maxlen=RECENT_FRAMES)  # time of display, latency; in seconds
        self._first_at = 0.0
        self._delays_ms: Counter[int] = Counter()

    def count(self, frame: Frame) -> None:
        """Count a frame that is displayed now."""
        now = self._clock()
        delay = now - frame.captured_at if frame.captured_at is not None else 0.0
        if not self.frames:
            self._first_at = now
        self.frames += 1
        self._recent.append((now, delay))
        self._delays_ms[round(delay * 1000)] += 1

    @property
    def fps(self) -> float:
        """Frame rate of the last 30 frames, in frames per second; 0 before the second frame."""
        return _rate(len(self._recent), self._recent[-1][0] - self._recent[0][0]) if self._recent else 0.0

    @property
    def delay_ms(self) -> float:
        """Mean latency of the last 30 frames, in milliseconds; 0 before the first frame."""
        return 1000 * sum(delay for _, delay in self._recent) / max(1, len(self._recent))

    @property
    def mean_fps(self) -> float:
        """Frame rate of the whole run, in frames per second."""
        return _rate(self.frames, self.seconds)

    @property
    def seconds(self) -> float:
        """Time from the first frame to the last one, in seconds."""
        return self._recent[-1][0] - self._first_at if self._recent else 0.0

    def delay_percentile_ms(self, share: float) -> int | None:
        """The latency in milliseconds that this share of all frames does not exceed; None before the first frame.

        share: 0.5 for the median.
        """
        passed = 0
        for delay_ms, count in sorted(self._delays_ms.items()):
            passed += count
            if passed >= share * self.frames:
                return delay_ms
        return None


def _rate(frames: int, seconds: float) -> float:
    return (frames - 1) / seconds if seconds > 0 else 0.0
