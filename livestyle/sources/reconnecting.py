"""Open a camera or a stream again when it stops."""

import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from threading import Event

import numpy as np

from livestyle.errors import DeviceError, InputError
from livestyle.frame import Frame, Image, Source
from livestyle.sound import Sound

FROZEN_SECONDS = 2.0
"""After this long, a camera that repeats its last frame counts as stopped. The noise of a sensor makes every frame different.
A virtual camera can show a still picture without noise: it repeats the same frame after it was opened again, too."""
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.5, 8.0
"""Time from one attempt to the next. It doubles with each attempt, until a new frame arrives."""
LEAST_OUTAGE_SECONDS = 1.0
"""Shorter outages are not listed in `damage`."""


class Reconnecting:
    """A live source that is opened again if it fails, ends, or repeats its last frame.

    If it repeats the same frame after that, the frame is a still picture: the source is not opened again until another frame
    follows, and `notes` has a line about it. `read` waits until there is a frame. Presentation times continue with the clock.
    Each outage is listed in `damage`.

    source: the source. reopen: opens it again, with frames of the same size; called after an outage.
    name: of the source, for messages. sound: of the source, to which it also adds after it was opened again; None for none.
    wait: waits for some seconds, or until `stop` is called; returns whether it was.
    """

    def __init__(
        self,
        source: Source,
        reopen: Callable[[], Source],
        name: str,
        sound: Sound | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._reopen, self._name, self._clock = reopen, name, clock
        self._stopped = Event()
        self._wait = self._stopped.wait if wait is None else wait
        self._source: Source | None = source
        self.info, self.notes = source.info, source.notes
        self.damage: list[str] = []
        self.sound = sound
        self.state = ""
        """What is wrong with the source, to be displayed; empty if nothing is."""
        self._retry_seconds = FIRST_RETRY_SECONDS
        self._begun_at = clock()
        self._image: Image | None = None  # the last one
        self._new_at = self._begun_at  # when a frame that differed from the one before arrived
        self._frozen: Image | None = None  # the frame that the source repeated when it was closed
        self._last_at: float | None = None  # when the last frame arrived
        self._pts = Fraction(0)  # of the last frame
        self._offset: Fraction | None = Fraction(0)  # added to the source's times; None after it was opened again

    def read(self) -> Frame | None:
        """Return the next frame; None after `stop`."""
        while not self._stopped.is_set():
            source = self._source or self._opened()
            if source is None:
                continue
            try:
                frame = source.read()
            except (DeviceError, InputError) as error:
                self._lose(str(error).split("; ")[0])
                continue
            if frame is None:
                self._lose(f"{self._name} has ended")
                continue
            if self._is_new(frame.image):
                self._resume()
            elif self._clock() - self._new_at > FROZEN_SECONDS:
                if self._frozen is not None and _are_same(frame.image, self._frozen):
                    self._accept_still()
                else:
                    self._frozen = frame.image
                    self._lose(f"{self._name} repeats its last frame")
            now = self._clock()
            if self._offset is None:  # the source's times begin at 0 again
                elapsed = now - self._last_at if self._last_at is not None else 0.0
                self._offset = self._pts + Fraction(round(elapsed * 1_000_000), 1_000_000) - frame.pts_seconds
            self._last_at = now
            self._pts = frame.pts_seconds + self._offset
            return replace(frame, pts_seconds=self._pts)
        return None

    def stop(self) -> None:
        """End the wait for the next attempt. Another thread may call it, before the source is closed."""
        self._stopped.set()

    def close(self) -> None:
        self.stop()
        self._note_outage()
        if self._source is not None:
            self._source.close()

    def _is_new(self, image: Image) -> bool:
        last, self._image = self._image, image
        return last is None or not _are_same(last, image)

    def _resume(self) -> None:
        """Note that the source works."""
        self._note_outage()
        self._new_at, self._retry_seconds = self._clock(), FIRST_RETRY_SECONDS

    def _accept_still(self) -> None:
        """Note that the source works, although it repeats its frame."""
        note = f"{self._name} shows a still picture: after it was opened again, it repeats the same frame"
        if note not in self.notes:
            self.notes.append(note)
        self.state, self._new_at, self._retry_seconds = "", self._clock(), FIRST_RETRY_SECONDS

    def _note_outage(self) -> None:
        """List the outage that ends now, if there is one."""
        outage = self._clock() - self._new_at
        if self.state and outage >= LEAST_OUTAGE_SECONDS:
            self.damage.append(f"{self.state}: no new frames for {outage:.0f} s, after {self._new_at - self._begun_at:.0f} s")
        self.state = ""

    def _lose(self, reason: str) -> None:
        """Close the source, so that it is opened again."""
        self.state = reason
        if self._source is not None:
            self._source.close()
            self._source = None

    def _opened(self) -> Source | None:
        """Wait, and try to open the source. Returns None if that fails, or after `stop`."""
        if self._wait(self._retry_seconds):
            return None
        self._retry_seconds = min(2 * self._retry_seconds, LAST_RETRY_SECONDS)
        try:
            self._source = self._reopen()
        except (DeviceError, InputError):
            return None
        self._offset = None
        return self._source


def _are_same(image: Image, other: Image) -> bool:
    """Whether two images are the same in every eighth row."""
    return np.array_equal(image[::8], other[::8])
