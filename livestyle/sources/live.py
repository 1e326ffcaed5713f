"""Sources made from another source, for watching while it runs: at its own speed, mirrored, with a pause."""

import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np

from livestyle.frame import Frame, Source

LONGEST_WAIT_SECONDS = Fraction(1)


class _Wrapped:
    """Passes on all that is not about frames."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.info = source.info
        self.notes = source.notes
        self.damage = source.damage

    def close(self) -> None:
        self._source.close()


class Paced(_Wrapped):
    """A file or a scene as if a camera saw it: each frame at its time.

    A gap of more than a second is cut to one: who ends the run must not wait for the next frame.
    """

    def __init__(
        self, source: Source, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        super().__init__(source)
        self.info = replace(source.info, live=True)
        self._clock, self._sleep = clock, sleep
        self._due: float | None = None
        self._last_pts = Fraction(0)

    def read(self) -> Frame | None:
        frame = self._source.read()
        if frame is None:
            return None
        if self._due is None:
            self._due = self._clock()
        else:
            self._due += float(min(max(frame.pts_seconds - self._last_pts, Fraction(0)), LONGEST_WAIT_SECONDS))
        self._last_pts = frame.pts_seconds
        early = self._due - self._clock()
        if early > 0:
            self._sleep(early)
        return replace(frame, captured_at=self._clock())


class Mirrored(_Wrapped):
    """Left and right swapped, as people know themselves."""

    def read(self) -> Frame | None:
        frame = self._source.read()
        return None if frame is None else replace(frame, image=np.ascontiguousarray(frame.image[:, ::-1]))


class Pausable(_Wrapped):
    """While `paused`, gives the last frame again and again, so that a new look can be seen on it.

    The source runs on meanwhile. The given-again frame keeps its pts, and the time of the pause is left out of all
    later ones.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.paused = False
        self._held: Frame | None = None
        self._last_pts = Fraction(0)
        self._left_out_seconds = Fraction(0)

    def read(self) -> Frame | None:
        frame = self._source.read()
        if frame is None:
            return None
        if self.paused and self._held is not None:
            self._left_out_seconds += frame.pts_seconds - self._last_pts
            self._held = replace(self._held, captured_at=frame.captured_at)
        else:
            self._held = replace(frame, pts_seconds=frame.pts_seconds - self._left_out_seconds)
        self._last_pts = frame.pts_seconds
        return self._held
