"""Read, paint and transform frames. The caller receives them and writes them to the outputs.

    source ─▶ channel ─▶ engine, looks ─▶ stages ─▶ channel ─▶ caller ─▶ sink, or fan-out

Reading, painting and the caller's work run concurrently, in three threads.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from numbers import Rational
from typing import Any, NamedTuple

import numpy as np

from livestyle.engines.base import Engine, Ticket
from livestyle.errors import InputError
from livestyle.frame import Frame, Image, Source, is_picture, kind_of
from livestyle.look import Look, Mix, bodies
from livestyle.streaming.channel import Channel
from livestyle.streaming.looks import LookSource
from livestyle.streaming.mixing import submit

JOIN_TIMEOUT_SECONDS = 0.4
"""Time to wait for each of the two threads, so that a live run ends within a second even if its camera or engine is stuck."""


class Painted(NamedTuple):
    """A painted frame, with the photo and the look from which it was painted."""

    frame: Frame
    """The painting, with the presentation time and other times of the source's frame."""
    photo: Image
    """The image as read from the source."""
    look: Look | Mix


Stage = Callable[[Iterable[Painted]], Iterator[Painted]]
"""A function that transforms the painted frames, in order, without changing their times. It must not hold resources."""


@dataclass(frozen=True)
class Buffering:
    """How many frames are buffered in each step, and what happens if a buffer is full. Chosen once per run."""

    batch: int
    """Number of frames that are painted together."""
    queued: int
    """Capacity of each channel, in frames."""
    drop_oldest: bool
    """True: a full channel drops its oldest frame. False: it blocks its writer (back-pressure)."""
    batches_in_flight: int | None = None
    """Batches submitted before the first result is fetched; None for as many as the engine declares."""
    join_timeout_seconds: float | None = None
    """How long to wait at the end for a thread that is inside a read or a computation. After that, it is left behind.
    None for no limit."""


LIVE = Buffering(1, queued=1, drop_oldest=True, batches_in_flight=1, join_timeout_seconds=JOIN_TIMEOUT_SECONDS)
"""The buffering for the lowest latency: frames that cannot be painted in time are dropped."""


def offline(batch: int) -> Buffering:
    """Return the buffering for the highest throughput: no frame is dropped, and the engine always has a batch to paint."""
    return Buffering(batch, queued=batch, drop_oldest=False)


def read_all(source: Source, nv12: bool = True) -> Iterator[Frame]:
    """Yield the frames of a source, then close it. Raises InputError if an item is not a valid frame; see `check_frame`."""
    try:
        while (frame := source.read()) is not None:
            check_frame(frame, nv12)
            yield frame
    finally:
        source.close()


def check_frame(frame: Any, nv12: bool) -> None:
    """Raise InputError unless this is a Frame with an image in RGB (or NV12, if `nv12`) and an exact time.

    Sources may be user code.
    """
    if not isinstance(frame, Frame):
        raise InputError(f"the source gave {kind_of(frame)}; expected a Frame")
    if not is_picture(frame.image, nv12):
        raise InputError(f"the source gave a frame of {kind_of(frame.image)}; expected (H, W, 3) uint8 RGB")
    if not isinstance(frame.pts_seconds, Rational):
        raise InputError(f"the source gave a frame at {frame.pts_seconds!r:.40}; expected a Fraction for pts_seconds")


def batched(frames: Iterable[Frame], looks: LookSource, size: int) -> Iterator[list[tuple[Frame, Look | Mix]]]:
    """Yield batches of up to `size` consecutive frames with one shape and the same bodies, each frame with its look.

    If `frames` or `looks` raises an error, the frames before it are yielded first.
    """
    batch: list[tuple[Frame, Look | Mix]] = []
    try:
        for frame in frames:
            look = looks.at(frame.pts_seconds)
            if batch and (frame.image.shape != batch[0][0].image.shape or bodies(look) != bodies(batch[0][1])):
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


class FailedTicket:
    """Ticket of a batch that could not be read or submitted. It keeps the error, so that earlier batches are fetched first."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def result(self) -> list[Image]:
        raise self._error


class SubmittedBatch(NamedTuple):
    """Frames with their looks, and the ticket of their paintings."""

    batch: list[tuple[Frame, Look | Mix]]
    ticket: Ticket

    def result(self) -> list[Painted]:
        """Wait for the paintings and return them as frames."""
        paintings = zip(self.batch, self.ticket.result(), strict=True)
        return [Painted(replace(frame, image=painting), frame.image, look) for (frame, look), painting in paintings]


def submitted(frames: Iterable[Frame], engine: Engine, looks: LookSource, size: int) -> Iterator[SubmittedBatch]:
    """Submit one batch after another, and yield them. An error is yielded as the last batch, whose ticket raises it."""
    try:
        for batch in batched(frames, looks, size):
            yield SubmittedBatch(batch, submit(engine, [(np.ascontiguousarray(frame.image), look) for frame, look in batch]))
    except Exception as error:
        yield SubmittedBatch([], FailedTicket(error))


def fetched(batches: Iterable[SubmittedBatch], in_flight: int) -> Generator[Painted, None, None]:
    """Yield the painted frames in order, with up to `in_flight` batches being painted. Close the generator after use."""
    pending: deque[SubmittedBatch] = deque()
    try:
        for batch in batches:
            pending.append(batch)
            if len(pending) >= in_flight:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        for batch in pending:  # discarded, but the engine reuses their buffers only after they were fetched
            with suppress(Exception):
                batch.ticket.result()


def paint_frames(
    frames: Iterable[Frame], engine: Engine, looks: LookSource, buffering: Buffering, stages: Sequence[Stage] = ()
) -> Iterator[Frame]:
    """Yield the painted frames, in order, with unchanged times. If there is an error, the frames before it are yielded first."""
    batches = submitted(frames, engine, looks, buffering.batch)
    with closing(fetched(batches, buffering.batches_in_flight or engine.batches_in_flight)) as painted:
        transformed: Iterator[Painted] = painted
        for stage in stages:
            transformed = stage(transformed)
        for item in transformed:
            yield item.frame


class Pipeline:
    """Yields the painted frames of a source. Use it as a context manager, and iterate over it or poll it.

    On exit, whether at the end, early or after an error, all threads are joined and the source is closed, unless `is_stuck`.
    An error of the source, the look source, the engine or a stage is raised when the caller requests the next frame.
    """

    def __init__(
        self, source: Source, engine: Engine, looks: LookSource, buffering: Buffering, stages: Sequence[Stage] = ()
    ) -> None:
        options = (buffering.queued, buffering.drop_oldest, buffering.join_timeout_seconds)
        self._read = Channel(read_all(source, engine.takes_nv12), *options)
        self._painted = Channel(paint_frames(self._read, engine, looks, buffering, stages), *options)

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
        """Number of failed batches: 1 if an error of the engine, the look source or a stage ended the run, else 0."""
        return int(self._painted.error is not None and self._painted.error is not self._read.error)

    @property
    def dropped(self) -> int:
        """Frames dropped so far because a channel was full."""
        return self._read.dropped + self._painted.dropped

    def poll(self, timeout_seconds: float) -> Frame | None:
        """Return the next painted frame, or None after the timeout. At the end, raises StopIteration, or the run's error."""
        return self._painted.poll(timeout_seconds)

    def __iter__(self) -> Iterator[Frame]:
        return self._painted

    def __enter__(self) -> "Pipeline":
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._read.close()  # first, to wake up a painting thread that waits for a frame
        finally:  # also if KeyboardInterrupt ends the wait for a stuck source
            self._painted.close()
