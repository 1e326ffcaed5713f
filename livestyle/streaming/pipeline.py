"""Read, paint and transform frames; the caller's thread takes them and writes them to the outputs.

    source ─▶ channel ─▶ engine, looks ─▶ stages ─▶ channel ─▶ caller ─▶ sink, or fan-out

Reading, painting and the caller's work run in three threads, at the same time.
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
from livestyle.look import Look
from livestyle.streaming.channel import Channel
from livestyle.streaming.looks import LookSource

JOIN_TIMEOUT_SECONDS = 0.4
"""Limit for each of the two threads: a live run ends in less than a second, even if its camera or its engine is stuck."""


class Painted(NamedTuple):
    """A painted frame, and what it was painted from."""

    frame: Frame
    """The painting, with the times of the photo."""
    photo: Image
    """As the source gave it."""
    look: Look


Stage = Callable[[Iterable[Painted]], Iterator[Painted]]
"""Transforms the painted frames, in order, without changing their times. It holds no resources."""


@dataclass(frozen=True)
class Buffering:
    """How many frames are held at each place, and what happens to the surplus. Chosen once per run."""

    batch: int
    """Frames painted together."""
    queued: int
    """Capacity of each channel, in frames."""
    drop_oldest: bool
    """True: a full channel drops its oldest frame. False: it blocks its writer (back-pressure)."""
    batches_in_flight: int | None = None
    """Batches submitted before the first result is fetched; None for as many as the engine declares."""
    join_timeout_seconds: float | None = None
    """How long to wait, at the end, for a thread inside a read or a computation before it is left behind; None for no limit."""


LIVE = Buffering(1, queued=1, drop_oldest=True, batches_in_flight=1, join_timeout_seconds=JOIN_TIMEOUT_SECONDS)
"""Lowest latency: frames that cannot be painted in time are dropped."""


def offline(batch: int) -> Buffering:
    """Highest throughput: no frame is dropped, and the engine always has a batch in its queue."""
    return Buffering(batch, queued=batch, drop_oldest=False)


def read_all(source: Source, nv12: bool = True) -> Iterator[Frame]:
    """Yield the frames of a source and close it, in the reading thread. Raises InputError if an item is not a valid frame."""
    try:
        while (frame := source.read()) is not None:
            check_frame(frame, nv12)
            yield frame
    finally:
        source.close()


def check_frame(frame: Any, nv12: bool) -> None:
    """Raise InputError unless it is a Frame with a picture, RGB or NV12 if that is allowed, and an exact time.

    Sources may be user code.
    """
    if not isinstance(frame, Frame):
        raise InputError(f"the source gave {kind_of(frame)}; expected a Frame")
    if not is_picture(frame.image, nv12):
        raise InputError(f"the source gave a frame of {kind_of(frame.image)}; expected (H, W, 3) uint8 RGB")
    if not isinstance(frame.pts_seconds, Rational):
        raise InputError(f"the source gave a frame at {frame.pts_seconds!r:.40}; expected a Fraction for pts_seconds")


def batched(frames: Iterable[Frame], looks: LookSource, size: int) -> Iterator[list[tuple[Frame, Look]]]:
    """Yield lists of up to `size` consecutive frames of one shape and one body, each with the look of its presentation time.

    An error of the frames or the looks is raised after the frames before it.
    """
    batch: list[tuple[Frame, Look]] = []
    try:
        for frame in frames:
            look = looks.at(frame.pts_seconds)
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


class FailedTicket:
    """The ticket of a batch that could not be read or submitted. It holds the error until the earlier batches are fetched."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def result(self) -> list[Image]:
        raise self._error


class SubmittedBatch(NamedTuple):
    """Frames with their looks, and the ticket of their paintings."""

    batch: list[tuple[Frame, Look]]
    ticket: Ticket

    def result(self) -> list[Painted]:
        """Wait for the paintings."""
        paintings = zip(self.batch, self.ticket.result(), strict=True)
        return [Painted(replace(frame, image=painting), frame.image, look) for (frame, look), painting in paintings]


def submitted(frames: Iterable[Frame], engine: Engine, looks: LookSource, size: int) -> Iterator[SubmittedBatch]:
    """Submit batch after batch. An error is yielded as the last batch, whose ticket raises it."""
    try:
        for batch in batched(frames, looks, size):
            yield SubmittedBatch(batch, engine.submit([(np.ascontiguousarray(frame.image), look) for frame, look in batch]))
    except Exception as error:
        yield SubmittedBatch([], FailedTicket(error))


def fetched(batches: Iterable[SubmittedBatch], in_flight: int) -> Generator[Painted, None, None]:
    """Yield the painted frames in order, while later batches are being painted: `in_flight` batches at a time. Close it."""
    pending: deque[SubmittedBatch] = deque()
    try:
        for batch in batches:
            pending.append(batch)
            if len(pending) >= in_flight:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        for batch in pending:  # nobody reads them, but the engine reuses buffers only after their results were fetched
            with suppress(Exception):
                batch.ticket.result()


def paint_frames(
    frames: Iterable[Frame], engine: Engine, looks: LookSource, buffering: Buffering, stages: Sequence[Stage] = ()
) -> Iterator[Frame]:
    """Yield the painted frames, in order, times unchanged. An error is raised after the frames before it."""
    batches = submitted(frames, engine, looks, buffering.batch)
    with closing(fetched(batches, buffering.batches_in_flight or engine.batches_in_flight)) as painted:
        transformed: Iterator[Painted] = painted
        for stage in stages:
            transformed = stage(transformed)
        for item in transformed:
            yield item.frame


class Pipeline:
    """Yields the painted frames of a source: iterate over it or poll it, as a context manager.

    On exit, at the end, early or after an error, all threads are joined and the source is closed, unless `is_stuck`.
    An error of the source, the look source, the engine or a stage is raised where the caller takes frames.
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
        """Batches that could not be painted: 1 if an error of the engine, the looks or a stage ended the run."""
        return int(self._painted.error is not None and self._painted.error is not self._read.error)

    @property
    def dropped(self) -> int:
        """Frames dropped so far in favour of newer ones."""
        return self._read.dropped + self._painted.dropped

    def poll(self, timeout_seconds: float) -> Frame | None:
        """Return the next painted frame, or None after the timeout. Raises StopIteration at the end."""
        return self._painted.poll(timeout_seconds)

    def __iter__(self) -> Iterator[Frame]:
        return self._painted

    def __enter__(self) -> "Pipeline":
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._read.close()  # first, so that a painting thread that waits for a frame wakes up
        finally:  # also if KeyboardInterrupt ends the wait for a stuck source
            self._painted.close()
