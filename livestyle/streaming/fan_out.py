"""Write each frame to several sinks. Each has its own policy, and its failure does not affect the others.

    caller ─▶ fan-out ─▶ window, in the caller's thread
                      ─▶ queue ─▶ thread: recording
                      ─▶ queue ─▶ thread: network stream; the queue drops its oldest frame if the stream is slow
"""

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
    """Where an output is written, and what happens if it is slower than the frames."""

    INLINE = auto()
    """In the caller's thread: for a window, which only the main thread may serve."""
    WAIT = auto()
    """In its own thread; a full queue blocks the caller: for a recording, where no frame may be lost."""
    DROP_OLDEST = auto()
    """In its own thread; a full queue drops its oldest frame: for a network stream or a virtual camera."""


@dataclass(frozen=True)
class Output:
    """A sink, and how it is written. The fan-out closes the sink."""

    name: str
    """Unique among the outputs of a fan-out."""
    sink: Sink
    policy: Policy
    join_timeout_seconds: float | None = None
    """How long to wait, at the end, for its thread, before it is left behind and reported as a failure.
    None: no limit, as completing a long recording may take long."""


def raise_failure(_name: str, error: BaseException) -> NoReturn:
    """Raise the error of a failed output to the caller of the fan-out."""
    raise error


class FanOut:
    """A sink that writes each frame to all of its outputs. Frames are shared between them, not copied.

    A sink that raises in `write` or `close` is closed with that error and removed; the other outputs continue. Each failure
    is reported once, by on_failure(name, error), which is called in the caller's thread by `write`, `report_failures` or
    `close`. An error in the thread of an output is therefore reported by a later call. By default the error is raised, after
    the call has written to, or closed, the other outputs.

    All methods must be called by one thread. KeyboardInterrupt in that thread is not a failure of an output: it passes, and
    the caller closes the fan-out with it.
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
        """Add an output; it gets the next frame. Raises ValueError if there is an output of that name."""
        if output.name in self._writers:
            raise ValueError(f"there is an output {output.name} already")
        self._writers[output.name] = _InlineWriter(output) if output.policy is Policy.INLINE else _ThreadWriter(output)

    def remove(self, name: str) -> None:
        """Complete an output, wait for it, and remove it.

        Raises its error if it fails, or if it had failed and that was not reported yet; on_failure is not called.
        Raises KeyError if there is no such output: also after its failure was reported.
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
        """Remove and report the outputs that have failed. `write` does so too; call this while no frames arrive."""
        for name, writer in list(self._writers.items()):
            if writer.failure is not None:
                writer.join()
                self._report(name)

    def close(self, error: BaseException | None = None) -> None:
        """Write the queued frames, close all sinks with that error, join all threads, then report failures. Idempotent."""
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
        """The sink's error. `join` closes the sink with it."""
        self._error: BaseException | None = None
        self._closed = False

    def write(self, frame: Frame) -> None:
        if self.failure is not None:  # not reported yet
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
        """The sink's error. The sink is closed, unless its thread was left behind."""
        self._name, self._join_timeout_seconds = output.name, output.join_timeout_seconds
        self._error: BaseException | None = None
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
        self._queue.end()

    def join(self) -> None:
        self._thread.join(self._join_timeout_seconds)
        if self._thread.is_alive():
            seconds = self._join_timeout_seconds
            self.failure = OutputError(f"the output {self._name} did not end within {seconds} s; it may be incomplete")

    def _run(self) -> None:
        failure: BaseException | None = None
        try:
            for frame in self._queue:
                self.sink.write(frame)
        except BaseException as error:  # of any kind: the caller's thread reports it
            failure = error
        self._queue.close()  # a caller that waits for space continues
        try:
            self.sink.close(failure or self._error)
        except BaseException as error:
            failure = failure or error
        self.failure = failure
