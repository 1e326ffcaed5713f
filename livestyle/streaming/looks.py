"""Looks as a function of time."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Protocol

import numpy as np

from livestyle.look import Look


class LookSource(Protocol):
    """Gives each frame its look. Commands, keys and network messages change a look source; none of them changes an engine.

    Called by the thread that paints, once per frame; it must return at once.
    """

    def at(self, seconds: Fraction) -> Look:
        """The look of the frame presented at that time. Looks that have not changed are the same object."""


class ConstantLook:
    """One look at all times."""

    def __init__(self, look: Look) -> None:
        self._look = look

    def at(self, seconds: Fraction) -> Look:
        return self._look


class SwitchedLook:
    """The look that was set last, at all times: for interactive control. Another thread may set it."""

    def __init__(self, look: Look) -> None:
        self._look = look

    @property
    def look(self) -> Look:
        """The current look. Settable: it counts from the next frame on that is painted."""
        return self._look

    @look.setter
    def look(self, look: Look) -> None:
        self._look = look

    def at(self, seconds: Fraction) -> Look:
        return self._look


class Playlist:
    """Looks one after another, with a crossfade at the end of each. The last one stays.

    Looks with different bodies cannot be crossfaded: the change is then a cut.
    """

    def __init__(self, looks: Sequence[Look], seconds_each: Fraction, crossfade_seconds: Fraction = Fraction(0)) -> None:
        if not looks:
            raise ValueError("a playlist needs a look")
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
    """A look between two: share 0 is the first, 1 the second. The first if their bodies differ."""
    if one.body != other.body:
        return one
    weights = np.array([1 - share, share], np.float32)
    strength = (1 - share) * one.strength + share * other.strength
    rows = np.tensordot(weights, np.stack([one.rows, other.rows]), 1)
    return replace(one, rows=rows, strength=strength)
