"""Joins source and stylizer; the caller's thread takes the painted frames and serves the sink.

    source ─▶ channel ─▶ paint, smoothing ─▶ channel ─▶ caller

Reading, painting and whatever the caller does overlap.
"""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from numbers import Rational
from typing import Any, Protocol

from livestyle.channel import Channel
from livestyle.engines import Look, Ticket
from livestyle.errors import InputError
from livestyle.frame import Frame, Image, Source, is_picture, kind_of
from livestyle.smoothing import Past, Smoothing, Unsmoothed


class Painter(Protocol):
    """What a pipeline wants of a stylizer."""

    @property
    def look(self) -> Look | None:
        """The current one; it is another object once anything about it was changed."""

    def submit(self, frames: Sequence[Image], look: Look | None) -> Ticket:
        """Start painting frames of one size in a look that was current."""


@dataclass(frozen=True)
class Pace:
    """How frames flow. Chosen once; nothing downstream asks whether a run is live."""

    batch: int
    """Frames painted together."""
    in_flight: int
    """Batches submitted and not yet fetched."""
    waiting: int
    """Frames waiting in each channel."""
    drop_oldest: bool
    """A full channel drops its oldest frame, instead of making the writer wait."""
    join_timeout_seconds: float | None = None
    """How long the end waits for a thread that is inside a read or a computation; then it is left behind. None: for ever."""


JOIN_TIMEOUT_SECONDS = 0.4
"""For each of the two threads: a live run ends in less than a second, whatever its camera or its engine does."""

LIVE = Pace(batch=1, in_flight=0, waiting=1, drop_oldest=True, join_timeout_seconds=JOIN_TIMEOUT_SECONDS)


def offline(batch: int) -> Pace:
    """Nothing is ever dropped; the device always has the next batch waiting."""
    return Pace(batch=batch, in_flight=2, waiting=batch, drop_oldest=False)


def read_all(source: Source) -> Iterator[Frame]:
    """The source's frames to its end; closes it, in the thread that read it. Raises InputError for what is no frame."""
    try:
        while (frame := source.read()) is not None:
            check_frame(frame)
            yield frame
    finally:
        source.close()


def check_frame(frame: Any) -> None:
    """Raises InputError for anything but a Frame with a picture and an exact time: sources may be a user's own."""
    if not isinstance(frame, Frame):
        raise InputError(f"the source gave no Frame, but {kind_of(frame)}")
    if not is_picture(frame.image, nv12=True):
        raise InputError(f"the source gave a frame of {kind_of(frame.image)}; expected (H, W, 3) uint8 RGB")
    if not isinstance(frame.pts_seconds, Rational):
        raise InputError(f"the source gave a frame at {frame.pts_seconds!r:.40}; pts_seconds is a Fraction")


def batched(frames: Iterable[Frame], size: int) -> Iterator[list[Frame]]:
    """Up to `size` frames in a row of the same height and width. An error of `frames` comes after the frames before it."""
    batch: list[Frame] = []
    try:
        for frame in frames:
            if batch and frame.image.shape != batch[0].image.shape:
                yield batch
                batch = []
            batch.append(frame)
            if len(batch) == size:
                yield batch
                batch = []
    except Exception:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


class Failed:
    """The ticket of a batch that could not be read or started: in line with the others, so that they come first."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def result(self) -> list[Image]:
        raise self._error


@dataclass(frozen=True)
class Work:
    """A batch on its way."""

    batch: list[Frame]
    look: Look | None
    """In which it is painted."""
    ticket: Ticket


def submitted(frames: Iterable[Frame], stylizer: Painter, size: int) -> Iterator[Work]:
    """Each batch, being painted. An error is the last ticket."""
    try:
        for batch in batched(frames, size):
            look = stylizer.look
            yield Work(batch, look, stylizer.submit([frame.image for frame in batch], look))
    except Exception as error:
        yield Work([], None, Failed(error))


def paint(frames: Iterable[Frame], stylizer: Painter, pace: Pace, smoothing: Smoothing | None = None) -> Iterator[Frame]:
    """The painted frames, in order, times unchanged. An error comes after the frames before it."""
    smoothing = smoothing or Unsmoothed()
    past: Past | None = None
    pending: deque[Work] = deque()
    try:
        for work in submitted(frames, stylizer, pace.batch):
            pending.append(work)
            if len(pending) > pace.in_flight:
                past = yield from _fetch(pending.popleft(), smoothing, past)
        while pending:
            past = yield from _fetch(pending.popleft(), smoothing, past)
    finally:
        for work in pending:  # whoever wanted them has gone: the engine wants its buffers back
            with suppress(Exception):
                work.ticket.result()


def _fetch(work: Work, smoothing: Smoothing, past: Past | None) -> Generator[Frame, None, Past | None]:
    for frame, painting in zip(work.batch, work.ticket.result(), strict=True):
        shown, past = smoothing(past, frame.image, painting, work.look)
        yield replace(frame, image=shown)
    return past


class Pipeline:
    """Iterate over it for the painted frames, or poll it; use it as a context manager.

    On leaving, whether at the end, early or by an error, all threads are joined and the source is
    closed, unless `is_stuck`. An error of the source or of the engine is raised where the caller takes frames.
    """

    def __init__(self, source: Source, stylizer: Painter, pace: Pace, smoothing: Smoothing | None = None) -> None:
        options = (pace.waiting, pace.drop_oldest, pace.join_timeout_seconds)
        self._read = Channel(read_all(source), *options)
        self._painted = Channel(paint(self._read, stylizer, pace, smoothing), *options)

    @property
    def is_stuck(self) -> bool:
        """Whether a thread was left behind. It may still use the source and the stylizer: close neither."""
        return self._read.is_stuck or self._painted.is_stuck

    @property
    def captured(self) -> int:
        """Frames that the source gave so far."""
        return self._read.received

    @property
    def failed(self) -> int:
        """Batches that could not be painted: the one that ended the run, if one did."""
        return int(self._painted.error is not None and self._painted.error is not self._read.error)

    @property
    def dropped(self) -> int:
        """Frames thrown away so far because newer ones were there."""
        return self._read.dropped + self._painted.dropped

    def poll(self, timeout_seconds: float) -> Frame | None:
        """The next painted frame, None if none came in time. Raises StopIteration at the end."""
        return self._painted.poll(timeout_seconds)

    def __iter__(self) -> Iterator[Frame]:
        return self._painted

    def __enter__(self) -> "Pipeline":
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._read.close()  # first, so that a painter waiting for frames wakes up
        finally:  # also when Ctrl-C ends the wait for a source that is stuck
            self._painted.close()
