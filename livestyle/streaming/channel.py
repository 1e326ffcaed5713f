"""Bounded queues between threads, and channels: queues that are filled from an iterable by their own thread.

The reader receives the items of the iterable in order, then its end or its error. A reader that stops early closes the
channel; the thread then closes its iterable and is joined. Generators that are chained by channels therefore start, end and
fail together.
"""

import time
from collections import deque
from collections.abc import Generator, Iterable
from threading import Condition, Thread
from threading import enumerate as all_threads
from typing import Generic, Self, TypeVar

T = TypeVar("T")
THREAD_NAME = "livestyle-channel"


class BoundedQueue(Generic[T]):
    """Passes items from one writing thread to one reading thread, which iterates over the queue or polls it.

    capacity: maximum number of items in the queue.
    drop_oldest: False blocks the writer while the queue is full (back-pressure: no item is lost); True discards the oldest
    item and counts it in `dropped`.
    """

    def __init__(self, capacity: int, drop_oldest: bool = False) -> None:
        self.dropped = 0
        """Items discarded because the queue was full."""
        self.error: BaseException | None = None
        """The error that the writer passed to `end`, or None."""
        self._capacity = capacity
        self._drop_oldest = drop_oldest
        self._items: deque[T] = deque()
        self._changed = Condition()
        self._ended = False  # by the writer: no more items follow
        self._closed = False  # by the reader: no more items are read

    def put(self, item: T) -> bool:
        """Append an item; unless `drop_oldest`, wait for space. If the queue is closed, discard the item and return False."""
        with self._changed:
            while not self._closed and not self._drop_oldest and len(self._items) >= self._capacity:
                self._changed.wait()
            if len(self._items) >= self._capacity:
                self._items.popleft()
                self.dropped += 1
            if not self._closed:
                self._items.append(item)
                self._changed.notify_all()
            return not self._closed

    def end(self, error: BaseException | None = None) -> None:
        """Mark the end (called by the writer). The reader still receives the queued items, then the error if there is one."""
        with self._changed:
            self._ended, self.error = True, error
            self._changed.notify_all()

    def poll(self, timeout_seconds: float | None = None) -> T | None:
        """Return the next item, or None after the timeout. At the end, raises the error of the writer, or StopIteration."""
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        with self._changed:
            while not self._items and not self._ended and not self._closed:
                remaining = None if deadline is None else deadline - time.monotonic()
                if remaining is not None and remaining <= 0:
                    return None
                self._changed.wait(remaining)
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            if self.error is not None:
                raise self.error
            raise StopIteration

    def poll_all(self) -> list[T]:
        """Return the queued items, at most as many as fit into the queue. Does not wait. At the end, raises as `poll`."""
        items: list[T] = []
        while len(items) < self._capacity and (item := self.poll(0)) is not None:
            items.append(item)
        return items

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        item = self.poll()
        assert item is not None  # without a timeout, poll returns an item or raises
        return item

    def close(self) -> None:
        """Discard the queued items and unblock the writer, whose `put` returns False from now on (called by the reader)."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()


class Channel(BoundedQueue[T]):
    """A queue that is filled from an iterable by a thread of its own. Close it after use, or use it as a context manager.

    join_timeout_seconds: how long `close` waits for a thread inside a library call that cannot be interrupted (a stalled
    camera, a model being compiled); None for no limit. After the timeout the channel `is_stuck`; once the call returns, the
    thread closes the iterable and ends.
    """

    def __init__(
        self, items: Iterable[T], capacity: int, drop_oldest: bool = False, join_timeout_seconds: float | None = None
    ) -> None:
        super().__init__(capacity, drop_oldest)
        self.received = 0
        """Items that the iterable has yielded."""
        self._join_timeout_seconds = join_timeout_seconds
        self._iterable = items
        self._thread = Thread(target=self._fill, name=THREAD_NAME, daemon=True)
        self._thread.start()

    def _fill(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._iterable:
                self.received += 1
                if not self.put(item):
                    break
        except BaseException as caught:  # any error: it is raised in the reading thread
            error = caught
        finally:
            if isinstance(self._iterable, Generator):
                try:
                    self._iterable.close()  # closes the channels that it reads from
                except BaseException as caught:
                    error = error or caught
            self.end(error)

    def close(self) -> None:
        """Discard the items in the queue, stop the thread and join it. Idempotent."""
        super().close()
        self._thread.join(self._join_timeout_seconds)

    @property
    def is_stuck(self) -> bool:
        """Whether the thread is still running after `close`. It may still use the iterable's resources: do not close those."""
        return self._closed and self._thread.is_alive()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def is_any_left_behind() -> bool:
    """Whether the thread of a channel or output is still running. Call it after all of them were closed.

    If so, end the interpreter by os._exit: a normal exit would unload libraries while the thread is inside them.
    """
    return any(thread.name == THREAD_NAME for thread in all_threads())
