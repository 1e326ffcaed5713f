"""Looks as a function of time."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Protocol

import numpy as np

from livestyle.look import Look


class LookSource(Protocol):
    """Returns the look of each frame. Commands, keys and network messages change a look source, never an engine."""

    def at(self, seconds: Fraction) -> Look:
        """Return the look for a presentation time. If it has not changed, return the same object.

        Called by the painting thread once per frame, in order. Must not block. If it raises, the run ends with that error.
        """


class ConstantLook:
    """A look source that returns one look for every presentation time."""

    def __init__(self, look: Look) -> None:
        self._look = look

    def at(self, seconds: Fraction) -> Look:
        return self._look


class SwitchedLook:
    """The look that was set last, whatever the time: for interactive control. Any thread may set it.

    Setting `look` is a cut: the new look is used from the next painted frame on. `fade_to` crossfades to the new look instead.
    """

    def __init__(self, look: Look) -> None:
        self._fade = _Fade(look, look, Fraction(0))
        self._shown = look  # what `at` returned last

    @property
    def look(self) -> Look:
        """The look that was set last. During a crossfade, the look at its end."""
        return self._fade.end

    @look.setter
    def look(self, look: Look) -> None:
        self._fade = _Fade(look, look, Fraction(0))

    def fade_to(self, look: Look, seconds: Fraction) -> None:
        """Crossfade from the look that is shown, which may be part of another crossfade, beginning with the next painted frame.

        If the bodies differ, the look changes abruptly at the end. seconds: the duration, above 0.
        """
        self._fade = _Fade(self._shown, look, seconds)

    def at(self, seconds: Fraction) -> Look:
        self._shown = self._fade.at(seconds)
        return self._shown


class _Fade:
    """A crossfade that begins with the first call of `at`."""

    def __init__(self, start: Look, end: Look, duration: Fraction) -> None:
        self.end = end
        self._start, self._duration = start, duration
        self._begun_at: Fraction | None = None

    def at(self, seconds: Fraction) -> Look:
        if self._begun_at is None:
            self._begun_at = seconds
        elapsed = max(seconds - self._begun_at, Fraction(0))
        return self.end if elapsed >= self._duration else crossfade(self._start, self.end, float(elapsed / self._duration))


class Playlist:
    """Consecutive looks of equal duration, each ending with a crossfade to the next one. The last look stays.

    Looks with different bodies cannot be crossfaded: the look changes abruptly at the end of its duration.
    Raises ValueError if there is no look, if seconds_each <= 0, or unless 0 <= crossfade_seconds <= seconds_each.
    """

    def __init__(self, looks: Sequence[Look], seconds_each: Fraction, crossfade_seconds: Fraction = Fraction(0)) -> None:
        if not looks:
            raise ValueError("a playlist needs at least one look")
        if seconds_each <= 0 or not 0 <= crossfade_seconds <= seconds_each:
            raise ValueError(f"a crossfade of {crossfade_seconds} s does not fit in looks of {seconds_each} s")
        self._looks, self._seconds_each, self._crossfade_seconds = looks, seconds_each, crossfade_seconds

    def at(self, seconds: Fraction) -> Look:
        last = len(self._looks) - 1
        turn = min(last, max(0, int(seconds // self._seconds_each)))
        now, following = self._looks[turn], self._looks[min(turn + 1, last)]
        remaining = (turn + 1) * self._seconds_each - seconds
        if now is following or remaining >= self._crossfade_seconds:
            return now
        return crossfade(now, following, float(1 - remaining / self._crossfade_seconds))


def crossfade(one: Look, other: Look, share: float) -> Look:
    """Interpolate between two looks: share 0 gives `one`, 1 gives `other`. If their bodies differ, returns `one`.

    Rows and strength change linearly; keep_colors and the name change at share 0.5.
    """
    if one.body != other.body:
        return one
    weights = np.array([1 - share, share], np.float32)
    rows = np.tensordot(weights, np.stack([one.rows, other.rows]), 1)  # (2, K)
    strength = (1 - share) * one.strength + share * other.strength
    return replace(one if share < 0.5 else other, rows=rows, strength=strength)
