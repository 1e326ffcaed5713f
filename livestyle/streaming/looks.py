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
        """Return the look of the frame with that presentation time. An unchanged look is the same object.

        The painting thread calls it once per frame; it must not block. An error ends the run.
        """


class ConstantLook:
    """One look at all times."""

    def __init__(self, look: Look) -> None:
        self._look = look

    def at(self, seconds: Fraction) -> Look:
        return self._look


class SwitchedLook:
    """The look that was set last, at all times: for interactive control."""

    def __init__(self, look: Look) -> None:
        self.look = look
        """Settable by any thread; takes effect with the next frame that is painted."""

    def at(self, seconds: Fraction) -> Look:
        return self.look


class Playlist:
    """Consecutive looks of equal duration, each with a crossfade to the next one at its end. The last look stays.

    Looks with different bodies cannot be crossfaded: the change is a cut at the end.
    Raises ValueError without a look, and unless 0 <= crossfade_seconds <= seconds_each.
    """

    def __init__(self, looks: Sequence[Look], seconds_each: Fraction, crossfade_seconds: Fraction = Fraction(0)) -> None:
        if not looks:
            raise ValueError("a playlist needs at least one look")
        if seconds_each <= 0 or not 0 <= crossfade_seconds <= seconds_each:
            raise ValueError(f"a crossfade of {crossfade_seconds} s does not fit into looks of {seconds_each} s")
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
    """Return a look between two: share 0 is the one, 1 the other. The one if their bodies differ.

    Rows and strength change linearly; keep_colors and the name change in the middle.
    """
    if one.body != other.body:
        return one
    weights = np.array([1 - share, share], np.float32)
    rows = np.tensordot(weights, np.stack([one.rows, other.rows]), 1)  # (2, K)
    strength = (1 - share) * one.strength + share * other.strength
    return replace(one if share < 0.5 else other, rows=rows, strength=strength)
