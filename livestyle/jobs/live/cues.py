"""Cues: prepared changes of the look, which a key, a message or the time fires."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from random import Random

SHORTEST_SECONDS = 0.1
"""Shortest time from one cue of a playlist, or of a shuffle, to the next."""


@dataclass(frozen=True)
class Cue:
    """A change of the look. What is None stays as it is."""

    name: str
    style: str | None = None
    """A style or a blend, as in `Stylizer.look`."""
    strength: float | None = None
    """Strength of the style, from 0 to 1."""
    keep_colors: bool | None = None
    """Whether to keep the photo's colours."""
    fade_seconds: float | None = None
    """Duration of the crossfade; 0 for a cut. None for that of the run."""
    key: str = ""
    """The key that fires the cue, as `Screen.key` returns it; empty for none."""
    at_seconds: float | None = None
    """When the cue fires by itself, in seconds since the first frame. None for never."""


@dataclass(frozen=True)
class Show:
    """The cues of a run."""

    cues: tuple[Cue, ...] = ()
    loop_seconds: float | None = None
    """After this time, the cues with a time fire again. None for once only."""

    @property
    def timed(self) -> list[Cue]:
        """The cues with a time, in order."""
        return sorted((cue for cue in self.cues if cue.at_seconds is not None), key=lambda cue: cue.at_seconds or 0.0)

    @property
    def first(self) -> Cue | None:
        """The cue of the first frame, if there is one."""
        return next((cue for cue in self.timed if cue.at_seconds == 0), None)

    def entries(self) -> Iterator[tuple[float, Cue]]:
        """Yield the time in seconds of each cue to fire, and the cue, in order. Endless if the show loops."""
        begin = 0.0
        while timed := self.timed:
            for cue in timed:
                yield begin + (cue.at_seconds or 0.0), cue
            if self.loop_seconds is None:
                return
            begin += self.loop_seconds

    def in_turn(self) -> Iterator[Cue]:
        """Yield the cues in the order of `cues`, whatever their times, beginning after `first`. Endless if there are any."""
        first = self.first
        return islice(cycle(self.cues), 0 if first is None else self.cues.index(first) + 1, None)


NO_CUES = Show()


def shuffled(styles: Sequence[str], first: str, seconds_each: float, random: Random) -> Iterator[tuple[float, Cue]]:
    """Yield the multiples of `seconds_each`, without end, each with the cue of a style that differs from the one before.

    first: the style before the first cue.
    """
    number, last = 1, first
    while choices := [style for style in styles if style != last]:
        last = random.choice(choices)
        yield number * seconds_each, Cue(last, last)
        number += 1


class Schedule:
    """Fires cues at their times. The time begins with the first call of `due`.

    entries: the time in seconds of each cue, and the cue, in order.
    clock: the time in seconds.
    """

    def __init__(self, entries: Iterator[tuple[float, Cue]], clock: Callable[[], float]) -> None:
        self._entries, self._clock = entries, clock
        self._next = next(entries, None)
        self._begun_at: float | None = None

    def due(self) -> Cue | None:
        """Return the newest cue whose time has come since the last call, or None. Those before it are skipped."""
        if self._begun_at is None:
            self._begun_at = self._clock()
        elapsed = self._clock() - self._begun_at
        cue = None
        while self._next is not None and self._next[0] <= elapsed:
            cue, self._next = self._next[1], next(self._entries, None)
        return cue
