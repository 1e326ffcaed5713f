"""The only threading in livestyle: a bounded channel that a thread of its own fills from an iterable.

Items, the end and any error of the iterable come out in order at the reader's side. A reader that
leaves early closes the channel; the thread then closes its iterable and is joined. So a chain of
generators with a channel at each joint is a pipeline that starts, ends and fails as one.
"""

import time
from collections import deque
from collections.abc import Generator, Iterable
from threading import Condition, Thread
from threading import enumerate as all_threads
from typing import Generic, TypeVar

T = TypeVar("T")
THREAD_NAME = "livestyle-channel"


class Channel(Generic[T]):
    """Iterate over it, or poll it; close it when done (it is a context manager).

    capacity: how many items wait between the two sides.
    drop_oldest: False waits while the channel is full (back-pressure: nothing is ever lost); True
    throws the oldest waiting item away and counts it in `dropped` (live: the newest wins).
    join_timeout_seconds: how long close() waits for a thread that is inside a library's call which nothing can interrupt
    (a camera that stalls, a model that is compiled); None for as long as it takes. Then the thread is left behind, and
    `is_stuck`: it closes its items and ends when the call returns.
    """

    def __init__(
        self, items: Iterable[T], capacity: int, drop_oldest: bool = False, join_timeout_seconds: float | None = None
    ) -> None:
        self.received = 0
        """Items that the iterable gave."""
        self.dropped = 0
        self.error: BaseException | None = None
        """What ended the iterable too early."""
        self._join_timeout_seconds = join_timeout_seconds
        self._items = items
        self._capacity = capacity
        self._drop_oldest = drop_oldest
        self._waiting: deque[T] = deque()
        self._changed = Condition()
        self._ended = False  # the writer has nothing more
        self._closed = False  # the reader wants nothing more
        self._thread = Thread(target=self._fill, name=THREAD_NAME, daemon=True)
        self._thread.start()

    def _fill(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                self.received += 1
                if not self._put(item):
                    break
        except BaseException as caught:  # whatever it is, the reader gets it
            error = caught
        finally:
            if isinstance(self._items, Generator):
                try:
                    self._items.close()  # its own upstream channels close here
                except BaseException as caught:
                    error = error or caught
            with self._changed:
                self._ended, self.error = True, error
                self._changed.notify_all()

    def _put(self, item: T) -> bool:
        """False if the reader has gone."""
        with self._changed:
            while not self._closed and not self._drop_oldest and len(self._waiting) >= self._capacity:
                self._changed.wait()
            if len(self._waiting) >= self._capacity:
                self._waiting.popleft()
                self.dropped += 1
            if not self._closed:
                self._waiting.append(item)
                self._changed.notify_all()
            return not self._closed

    def poll(self, timeout_seconds: float | None = None) -> T | None:
        """The next item, waiting as long as told; None if none came. Raises StopIteration at the end, or the writer's error."""
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        with self._changed:
            while not self._waiting and not self._ended and not self._closed:
                remaining = None if deadline is None else deadline - time.monotonic()
                if remaining is not None and remaining <= 0:
                    return None
                self._changed.wait(remaining)
            if self._waiting:
                item = self._waiting.popleft()
                self._changed.notify_all()
                return item
            if self.error is not None:
                raise self.error
            raise StopIteration

    def __iter__(self) -> "Channel[T]":
        return self

    def __next__(self) -> T:
        item = self.poll()
        assert item is not None  # without a timeout there is an item, or poll raises
        return item

    def close(self) -> None:
        """Throw away what waits, end the writer and join its thread."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
        self._thread.join(self._join_timeout_seconds)

    @property
    def is_stuck(self) -> bool:
        """Whether the thread was left behind by close(): then nothing that it uses may be closed."""
        return self._closed and self._thread.is_alive()

    def __enter__(self) -> "Channel[T]":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def is_any_left_behind() -> bool:
    """Whether a thread still runs, after all channels are closed. The interpreter cannot end well then: it would tear
    down libraries while the thread is inside them. os._exit can.
    """
    return any(thread.name == THREAD_NAME for thread in all_threads())
