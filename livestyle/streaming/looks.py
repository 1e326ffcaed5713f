"""Looks as a function of time."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Protocol

import numpy as np

from livestyle.look import Look, Mix


class LookSource(Protocol):
    """Returns the look of each frame. Commands, keys and network messages change a look source, never an engine."""

    def at(self, seconds: Fraction) -> Look | Mix:
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
    """The look that was set last, for interactive control. Any thread may set it.

    Setting `look` is a cut: the new look is used from the next painted frame on. `fade_to` crossfades to the new look instead.

    clock: the time in seconds. Crossfades follow it, not the presentation time, which stands still while the source is paused.
    """

    def __init__(self, look: Look, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._fade = _Fade(look, look, 0)
        self._shown: Look | Mix = look  # what `at` returned last

    @property
    def look(self) -> Look:
        """The look that was set last. During a crossfade, the look at its end."""
        return self._fade.end

    @look.setter
    def look(self, look: Look) -> None:
        self._fade = _Fade(look, look, 0)

    def fade_to(self, look: Look, seconds: float) -> None:
        """Crossfade from the look that is shown, which may be part of another crossfade, beginning with the next painted frame.

        seconds: the duration; 0 is a cut.
        """
        shown = self._shown
        if isinstance(shown, Mix):  # three bodies are not mixed
            shown = shown.start if shown.share < 0.5 else shown.end
        self._fade = _Fade(shown, look, seconds)

    def adjust(self, change: Callable[[Look], Look]) -> None:
        """Apply a change to the look, at once. A crossfade continues, between the changed looks."""
        fade = self._fade
        self._fade = _Fade(change(fade.start), change(fade.end), fade.seconds, fade.begun_at)

    def at(self, seconds: Fraction) -> Look | Mix:
        self._shown = self._fade.at(self._clock())
        return self._shown


class _Fade:
    """A crossfade that begins with the first call of `at`."""

    def __init__(self, start: Look, end: Look, seconds: float, begun_at: float | None = None) -> None:
        self.start, self.end, self.seconds, self.begun_at = start, end, seconds, begun_at

    def at(self, now: float) -> Look | Mix:
        if self.begun_at is None:
            self.begun_at = now
        elapsed = max(now - self.begun_at, 0.0)
        return self.end if elapsed >= self.seconds else crossfade(self.start, self.end, elapsed / self.seconds)


class Playlist:
    """Consecutive looks of equal duration, each ending with a crossfade to the next one. The last look stays.

    Raises ValueError if there is no look, if seconds_each <= 0, or unless 0 <= crossfade_seconds <= seconds_each.
    """

    def __init__(self, looks: Sequence[Look], seconds_each: Fraction, crossfade_seconds: Fraction = Fraction(0)) -> None:
        if not looks:
            raise ValueError("a playlist needs at least one look")
        if seconds_each <= 0 or not 0 <= crossfade_seconds <= seconds_each:
            raise ValueError(f"a crossfade of {crossfade_seconds} s does not fit in looks of {seconds_each} s")
        self._looks, self._seconds_each, self._crossfade_seconds = looks, seconds_each, crossfade_seconds

    def at(self, seconds: Fraction) -> Look | Mix:
        last = len(self._looks) - 1
        turn = min(last, max(0, int(seconds // self._seconds_each)))
        now, following = self._looks[turn], self._looks[min(turn + 1, last)]
        remaining = (turn + 1) * self._seconds_each - seconds
        if now is following or remaining >= self._crossfade_seconds:
            return now
        return crossfade(now, following, float(1 - remaining / self._crossfade_seconds))


def crossfade(one: Look, other: Look, share: float) -> Look | Mix:
    """Interpolate between two looks: share 0 gives `one`, 1 gives `other`.

    Rows and strength change linearly; keep_colors and the name change at share 0.5. If the bodies differ, returns a Mix.
    """
    if one.body != other.body:
        return Mix(one, other, share)
    weights = np.array([1 - share, share], np.float32)
    rows = np.tensordot(weights, np.stack([one.rows, other.rows]), 1)  # (2, K)
    strength = (1 - share) * one.strength + share * other.strength
    return replace(one if share < 0.5 else other, rows=rows, strength=strength)
