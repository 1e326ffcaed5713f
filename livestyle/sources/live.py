"""Wrappers that turn a source into a live one: real-time pacing, mirroring, pausing."""

import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Protocol

import numpy as np

from livestyle.frame import Frame, Source
from livestyle.sound import Sound
from livestyle.sources.microphone import Microphone

LONGEST_GAP_SECONDS = Fraction(1)
LONGEST_LAG_SECONDS = 1.0
"""After a longer lag than this, a file continues in real time where it was, instead of catching up by playing too fast."""


class LiveSource(Source, Protocol):
    """A source whose frames arrive in real time."""

    sound: Sound | None
    """The source's sound; None if it has none."""

    @property
    def state(self) -> str:
        """What is wrong with the source at the moment, to be displayed; empty if nothing is. Any thread may read it."""

    def stop(self) -> None:
        """End the waiting of `read` soon, if it does not wait inside a library. Another thread may call it, before `close`."""


class _Wrapper:
    """A live source that wraps another one. Subclasses implement `read`."""

    def __init__(self, source: LiveSource) -> None:
        self._source = source
        self.info = source.info
        self.notes = source.notes
        self.damage = source.damage
        self.sound = source.sound

    @property
    def state(self) -> str:
        return self._source.state

    def stop(self) -> None:
        self._source.stop()

    def close(self) -> None:
        self._source.close()


class Paced:
    """Reads the frames of a file or a scene in real time, as from a camera: `read` waits for each frame's presentation time.

    Gaps between frames are shortened to 1 s, so that a run can be ended soon. Frames that are late by up to 1 s are read at once;
    if the lag is longer, as after the process was suspended, the source continues where it was, as after a pause.

    sound: of the source; None if it has none.
    """

    def __init__(
        self,
        source: Source,
        sound: Sound | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.info = replace(source.info, live=True)
        self.notes, self.damage = source.notes, source.damage
        self.sound = sound
        self._source = source
        self._clock, self._sleep = clock, sleep
        self._due: float | None = None  # clock time of the last frame
        self._last_pts = Fraction(0)

    def read(self) -> Frame | None:
        frame = self._source.read()
        if frame is None:
            return None
        if self._due is None:
            self._due = self._clock()
        else:
            self._due += float(min(max(frame.pts_seconds - self._last_pts, Fraction(0)), LONGEST_GAP_SECONDS))
        self._last_pts = frame.pts_seconds
        if self._clock() - self._due > LONGEST_LAG_SECONDS:
            self._due = self._clock()
        early = self._due - self._clock()
        if early > 0:
            self._sleep(early)
        return replace(frame, captured_at=self._clock())

    @property
    def state(self) -> str:
        return ""

    def stop(self) -> None:
        pass  # the longest wait is a second

    def close(self) -> None:
        self._source.close()


class Mirrored(_Wrapper):
    """A source whose frames are mirrored: left and right are swapped."""

    def read(self) -> Frame | None:
        frame = self._source.read()
        return None if frame is None else replace(frame, image=np.ascontiguousarray(frame.image[:, ::-1]))


class WithMicrophone(_Wrapper):
    """A source with the sound of a microphone instead of its own. Closes the microphone."""

    def __init__(self, source: LiveSource, microphone: Microphone) -> None:
        super().__init__(source)
        self._microphone = microphone
        self.sound = microphone.sound

    @property
    def state(self) -> str:
        return self._source.state or self._microphone.state

    def read(self) -> Frame | None:
        frame = self._source.read()
        outage = self._microphone.outage
        if outage and outage not in self.damage:
            self.damage.append(outage)
        if frame is None or frame.captured_at is None:
            return frame
        return replace(frame, sound_seconds=Fraction(frame.captured_at))

    def close(self) -> None:
        self._microphone.close()
        self._source.close()


class Pausable(_Wrapper):
    """Repeats its last frame while `paused`; the repeated frames are painted, so that changes of the look are visible.

    The source keeps running during a pause. Repeated frames keep their presentation time, and the duration of a pause is
    subtracted from all later times. Another thread may set `paused`.
    """

    def __init__(self, source: LiveSource) -> None:
        super().__init__(source)
        self.paused = False
        self._held: Frame | None = None
        self._last_pts = Fraction(0)
        self._paused_seconds = Fraction(0)

    def read(self) -> Frame | None:
        frame = self._source.read()
        if frame is None:
            return None
        if self.paused and self._held is not None:
            self._paused_seconds += frame.pts_seconds - self._last_pts
            self._held = replace(self._held, captured_at=frame.captured_at, sound_seconds=frame.sound_seconds)
        else:
            self._held = replace(frame, pts_seconds=frame.pts_seconds - self._paused_seconds)
        self._last_pts = frame.pts_seconds
        return self._held
