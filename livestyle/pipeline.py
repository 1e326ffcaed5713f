"""Joins source and stylizer; the caller's thread takes the painted frames and serves the sink.

    source ─▶ channel ─▶ paint ─▶ channel ─▶ caller

Reading, painting and whatever the caller does overlap.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from livestyle.channel import Channel
from livestyle.engines import Ticket
from livestyle.frame import Frame, Image, Source


class Painter(Protocol):
    """What a pipeline wants of a stylizer."""

    def submit(self, frames: Sequence[Image]) -> Ticket:
        """Start painting frames of one size."""


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


LIVE = Pace(batch=1, in_flight=0, waiting=1, drop_oldest=True)


def offline(batch: int) -> Pace:
    """Nothing is ever dropped; the device always has the next batch waiting."""
    return Pace(batch=batch, in_flight=2, waiting=batch, drop_oldest=False)


def read_all(source: Source) -> Iterator[Frame]:
    """The source's frames to its end; closes it, in the thread that read it."""
    try:
        while (frame := source.read()) is not None:
            yield frame
    finally:
        source.close()


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


def submitted(frames: Iterable[Frame], stylizer: Painter, size: int) -> Iterator[tuple[list[Frame], Ticket]]:
    """Each batch, and the ticket for its painting. An error is the last ticket."""
    try:
        for batch in batched(frames, size):
            yield batch, stylizer.submit([frame.image for frame in batch])
    except Exception as error:
        yield [], Failed(error)


def paint(frames: Iterable[Frame], stylizer: Painter, pace: Pace) -> Iterator[Frame]:
    """The painted frames, in order, times unchanged. An error comes after the frames before it."""
    pending: deque[tuple[list[Frame], Ticket]] = deque()
    try:
        for work in submitted(frames, stylizer, pace.batch):
            pending.append(work)
            if len(pending) > pace.in_flight:
                yield from _fetch(*pending.popleft())
        while pending:
            yield from _fetch(*pending.popleft())
    finally:
        for _, ticket in pending:  # whoever wanted them has gone: the engine wants its buffers back
            with suppress(Exception):
                ticket.result()


def _fetch(batch: list[Frame], ticket: Ticket) -> Iterator[Frame]:
    for frame, image in zip(batch, ticket.result(), strict=True):
        yield replace(frame, image=image)


class Pipeline:
    """Iterate over it for the painted frames, or poll it; use it as a context manager.

    On leaving, whether at the end, early or by an error, all threads are joined and the source is
    closed. An error of the source or of the engine is raised where the caller takes frames.
    """

    def __init__(self, source: Source, stylizer: Painter, pace: Pace) -> None:
        self._read = Channel(read_all(source), pace.waiting, pace.drop_oldest)
        self._painted = Channel(paint(self._read, stylizer, pace), pace.waiting, pace.drop_oldest)

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
