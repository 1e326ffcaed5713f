"""Write each frame to several sinks. Each has its own policy, and the failure of one does not affect the others.

    caller ─▶ fan-out ─▶ window, in the caller's thread
                      ─▶ queue ─▶ thread: recording
                      ─▶ queue ─▶ thread: network stream; the queue drops its oldest frame if the stream is slow
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from threading import Thread
from typing import NoReturn

from livestyle.errors import OutputError
from livestyle.frame import Frame, Sink
from livestyle.streaming.channel import THREAD_NAME, BoundedQueue

QUEUED_FRAMES = 4
"""Capacity of the queue of an output with its own thread. A full queue blocks the caller or drops frames."""


class Policy(Enum):
    """Which thread writes an output, and what happens if frames arrive faster than they can be written."""

    INLINE = auto()
    """Write in the caller's thread: for a window, which only the main thread may update."""
    WAIT = auto()
    """Write in a thread of the output; a full queue blocks the caller: for a recording, where no frame may be lost."""
    DROP_OLDEST = auto()
    """Write in a thread of the output; a full queue drops its oldest frame: for a network stream or a virtual camera."""


@dataclass(frozen=True)
class Output:
    """A sink with its policy. The fan-out closes the sink."""

    name: str
    """Unique among the outputs of a fan-out."""
    sink: Sink
    policy: Policy
    join_timeout_seconds: float | None = None
    """How long the thread of this output may take to end. After that, it is left behind, which is a failure. Counted from the
    first call that ends the output, so that several stuck outputs take no longer than one. None for no limit: completing a long
    recording may take long."""


def raise_failure(_name: str, error: BaseException) -> NoReturn:
    """Raise the error of a failed output to the caller of the fan-out."""
    raise error


class FanOut:
    """A sink that writes each frame to all of its outputs. Frames are shared between them, not copied.

    A sink that raises in `write` or `close` is closed with that error and removed; the other outputs continue. Each failure
    is reported once: `write`, `report_failures` or `close` call on_failure(name, error), in the caller's thread. A failure in
    the thread of an output is therefore reported by a later call. The default on_failure raises the error, after the call has
    written to, or closed, the other outputs.

    All methods must be called by one thread. KeyboardInterrupt in that thread is not a failure of an output: it is raised to
    the caller, which passes it to `close`.
    """

    def __init__(self, outputs: Iterable[Output] = (), on_failure: Callable[[str, BaseException], None] = raise_failure) -> None:
        self.notes: list[str] = []
        """Notes of the outputs that have ended."""
        self._dropped: Counter[str] = Counter()  # by outputs that have ended
        self._on_failure = on_failure
        self._writers: dict[str, _InlineWriter | _ThreadWriter] = {}
        for output in outputs:
            self.add(output)

    @property
    def dropped(self) -> Counter[str]:
        """Frames dropped so far, by output name; includes outputs that have ended."""
        return self._dropped + Counter({name: writer.dropped for name, writer in self._writers.items()})

    def add(self, output: Output) -> None:
        """Add an output, which receives the frames from the next one on. Raises ValueError if the name is in use."""
        if output.name in self._writers:
            raise ValueError(f"there is already an output named {output.name}")
        self._writers[output.name] = _InlineWriter(output) if output.policy is Policy.INLINE else _ThreadWriter(output)

    def remove(self, name: str) -> None:
        """Complete an output, wait until it has ended, and remove it.

        Raises its error if it fails now, or if it failed before and that was not reported yet; on_failure is not called.
        Raises KeyError if there is no output of this name, for example because its failure was reported.
        """
        writer = self._writers[name]
        writer.end(None)
        writer.join()
        if (failure := self._take(name)) is not None:
            raise failure

    def write(self, frame: Frame) -> None:
        """Write a frame to all outputs, then report failures."""
        for writer in self._writers.values():
            writer.write(frame)
        self.report_failures()

    def report_failures(self) -> None:
        """Remove and report the outputs that have failed. `write` does this too; call it while no frames arrive."""
        for name, writer in list(self._writers.items()):
            if writer.failure is not None:
                writer.join()
                self._report(name)

    def end(self) -> None:
        """Begin to end the outputs that have a thread, without waiting for them. Call `close` next, and write no more frames."""
        for writer in self._writers.values():
            writer.end(None)

    def close(self, error: BaseException | None = None) -> None:
        """Write the queued frames, close all sinks with `error`, join all threads, then report failures. Idempotent."""
        for writer in self._writers.values():
            writer.end(error)
        for writer in self._writers.values():
            writer.join()
        for name in list(self._writers):
            self._report(name)

    def _report(self, name: str) -> None:
        if (failure := self._take(name)) is not None:
            self._on_failure(name, failure)

    def _take(self, name: str) -> BaseException | None:
        """Remove an output that has ended; return its failure."""
        writer = self._writers.pop(name)
        self.notes += [note for note in writer.sink.notes if note not in self.notes]
        self._dropped[name] += writer.dropped
        return writer.failure


class _InlineWriter:
    """Writes an output in the caller's thread."""

    dropped = 0

    def __init__(self, output: Output) -> None:
        self.sink = output.sink
        self.failure: BaseException | None = None
        """The error of the sink, with which `join` closes it."""
        self._error: BaseException | None = None
        self._closed = False

    def write(self, frame: Frame) -> None:
        if self.failure is not None:  # which was not reported yet
            return
        try:
            self.sink.write(frame)
        except Exception as error:
            self.failure = error

    def end(self, error: BaseException | None) -> None:
        self._error = error

    def join(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self.sink.close(self.failure or self._error)
        except Exception as error:
            self.failure = self.failure or error


class _ThreadWriter:
    """Writes an output in a thread of its own, which also closes the sink."""

    def __init__(self, output: Output) -> None:
        self.sink = output.sink
        self.failure: BaseException | None = None
        """The error of the sink. Once it is set, the sink is closed, unless its thread was left behind."""
        self._name, self._join_timeout_seconds = output.name, output.join_timeout_seconds
        self._error: BaseException | None = None
        self._end_at: float | None = None  # when `end` was called first
        self._queue = BoundedQueue[Frame](QUEUED_FRAMES, drop_oldest=output.policy is Policy.DROP_OLDEST)
        self._thread = Thread(target=self._run, name=THREAD_NAME, daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        return self._queue.dropped

    def write(self, frame: Frame) -> None:
        self._queue.put(frame)  # discarded if the sink has failed

    def end(self, error: BaseException | None) -> None:
        self._error = error
        self._end_at = time.monotonic() if self._end_at is None else self._end_at
        self._queue.end()

    def join(self) -> None:
        remaining = self._join_timeout_seconds
        if remaining is not None and self._end_at is not None:
            remaining = max(0.0, self._end_at + remaining - time.monotonic())
        self._thread.join(remaining)
        if self._thread.is_alive():
            seconds = self._join_timeout_seconds
            self.failure = OutputError(f"the output {self._name} did not end within {seconds} s; it may be incomplete")

    def _run(self) -> None:
        failure: BaseException | None = None
        try:
            for frame in self._queue:
                self.sink.write(frame)
        except BaseException as error:  # any error: it is reported in the caller's thread
            failure = error
        self._queue.close()  # unblocks a caller that waits for space
        try:
            self.sink.close(failure or self._error)
        except BaseException as error:
            failure = failure or error
        self.failure = failure
