"""Join source and engine; the caller's thread takes the painted frames and serves the outputs.

    source ─▶ channel ─▶ paint, smooth ─▶ channel ─▶ caller

Reading, painting and the caller's work overlap.
"""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from numbers import Rational
from typing import Any

import numpy as np

from livestyle.engines.base import Engine, Ticket
from livestyle.errors import InputError
from livestyle.frame import Frame, Image, Source, is_picture, kind_of
from livestyle.look import Look
from livestyle.streaming.channel import Channel
from livestyle.streaming.looks import LookSource
from livestyle.streaming.smoothing import Past, Smoothing, Unsmoothed

Shown = tuple[Frame, Look]
"""A frame and its look."""

JOIN_TIMEOUT_SECONDS = 0.4
"""For each of the two threads: a live run ends in less than a second, whatever its camera or its engine does."""


@dataclass(frozen=True)
class Buffering:
    """How many frames are held where, and what happens when they are too many. Chosen once per run."""

    batch: int
    """Frames painted together."""
    queued: int
    """Capacity of each channel, in frames."""
    drop_oldest: bool
    """A full channel drops its oldest frame; else it blocks the writer (back-pressure)."""
    batches_in_flight: int | None = None
    """Batches submitted before the first result is fetched. None: as many as the engine declares."""
    join_timeout_seconds: float | None = None
    """How long the end waits for a thread that is inside a read or a computation, before leaving it behind. None: no limit."""


LIVE = Buffering(1, queued=1, drop_oldest=True, batches_in_flight=1, join_timeout_seconds=JOIN_TIMEOUT_SECONDS)
"""The lowest latency: frames that are not painted in time are dropped."""


def offline(batch: int) -> Buffering:
    """The highest throughput: nothing is dropped, and the engine always has its next batch."""
    return Buffering(batch, queued=batch, drop_oldest=False)


def read_all(source: Source) -> Iterator[Frame]:
    """The source's frames up to its end; closes it in the thread that reads. Raises InputError if an item is not a frame."""
    try:
        while (frame := source.read()) is not None:
            check_frame(frame)
            yield frame
    finally:
        source.close()


def check_frame(frame: Any) -> None:
    """Raise InputError for anything but a Frame with a picture and an exact time: sources may be user code."""
    if not isinstance(frame, Frame):
        raise InputError(f"the source gave no Frame, but {kind_of(frame)}")
    if not is_picture(frame.image, nv12=True):
        raise InputError(f"the source gave a frame of {kind_of(frame.image)}; expected (H, W, 3) uint8 RGB")
    if not isinstance(frame.pts_seconds, Rational):
        raise InputError(f"the source gave a frame at {frame.pts_seconds!r:.40}; pts_seconds is a Fraction")


def with_looks(frames: Iterable[Frame], looks: LookSource) -> Iterator[Shown]:
    """Each frame with the look of its presentation time."""
    for frame in frames:
        yield frame, looks.at(frame.pts_seconds)


def batched(shown: Iterable[Shown], size: int) -> Iterator[list[Shown]]:
    """Up to `size` consecutive frames of one shape and one network. An error of the iterable comes after the frames before it."""
    batch: list[Shown] = []
    try:
        for frame, look in shown:
            if batch and (frame.image.shape != batch[0][0].image.shape or look.body != batch[0][1].body):
                yield batch
                batch = []
            batch.append((frame, look))
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
    """The ticket of a batch that could not be read or started. It keeps its place, so that earlier batches come first."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def result(self) -> list[Image]:
        raise self._error


@dataclass(frozen=True)
class SubmittedBatch:
    """Frames, their looks, and the ticket of their paintings."""

    batch: list[Shown]
    ticket: Ticket


def submitted(frames: Iterable[Frame], engine: Engine, looks: LookSource, size: int) -> Iterator[SubmittedBatch]:
    """Each batch, being painted. An error becomes the last ticket."""
    try:
        for batch in batched(with_looks(frames, looks), size):
            yield SubmittedBatch(batch, engine.submit([(np.ascontiguousarray(frame.image), look) for frame, look in batch]))
    except Exception as error:
        yield SubmittedBatch([], Failed(error))


def paint_frames(
    frames: Iterable[Frame], engine: Engine, looks: LookSource, buffering: Buffering, smoothing: Smoothing | None = None
) -> Iterator[Frame]:
    """The painted frames, in order, with unchanged times. An error comes after the frames before it."""
    smoothing = smoothing or Unsmoothed()
    in_flight = buffering.batches_in_flight or engine.batches_in_flight
    past: Past | None = None
    pending: deque[SubmittedBatch] = deque()
    try:
        for batch in submitted(frames, engine, looks, buffering.batch):
            pending.append(batch)
            if len(pending) >= in_flight:
                past = yield from _fetch(pending.popleft(), smoothing, past)
        while pending:
            past = yield from _fetch(pending.popleft(), smoothing, past)
    finally:
        for batch in pending:  # the reader has gone; fetch the results, as the engine needs its buffers back
            with suppress(Exception):
                batch.ticket.result()


def _fetch(submitted: SubmittedBatch, smoothing: Smoothing, past: Past | None) -> Generator[Frame, None, Past | None]:
    """Yield the batch's paintings, smoothed; return what smoothing needs for the next frame."""
    paintings = submitted.ticket.result()
    for (frame, look), painting in zip(submitted.batch, paintings, strict=True):
        shown, past = smoothing(past, frame.image, painting, look)
        yield replace(frame, image=shown)
    return past


class Pipeline:
    """Iterate over it for the painted frames, or poll it; use it as a context manager.

    On exit, whether at the end, early or by an error, all threads are joined and the source is closed, unless `is_stuck`.
    An error of the source, the look source or the engine is raised where the caller takes frames.
    """

    def __init__(
        self, source: Source, engine: Engine, looks: LookSource, buffering: Buffering, smoothing: Smoothing | None = None
    ) -> None:
        options = (buffering.queued, buffering.drop_oldest, buffering.join_timeout_seconds)
        self._read = Channel(read_all(source), *options)
        self._painted = Channel(paint_frames(self._read, engine, looks, buffering, smoothing), *options)

    @property
    def is_stuck(self) -> bool:
        """Whether a thread was left behind. It may still use the source and the engine: close neither."""
        return self._read.is_stuck or self._painted.is_stuck

    @property
    def captured(self) -> int:
        """Frames read from the source so far."""
        return self._read.received

    @property
    def failed(self) -> int:
        """Batches that could not be painted: 1 if an error of the engine ended the run."""
        return int(self._painted.error is not None and self._painted.error is not self._read.error)

    @property
    def dropped(self) -> int:
        """Frames dropped so far in favour of newer ones."""
        return self._read.dropped + self._painted.dropped

    def poll(self, timeout_seconds: float) -> Frame | None:
        """The next painted frame; None after the timeout. Raises StopIteration at the end."""
        return self._painted.poll(timeout_seconds)

    def __iter__(self) -> Iterator[Frame]:
        return self._painted

    def __enter__(self) -> "Pipeline":
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._read.close()  # first, so that a painting thread that waits for frames wakes up
        finally:  # also if Ctrl-C interrupts the wait for a stuck source
            self._painted.close()
