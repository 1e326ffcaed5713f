"""Channels: order, end, errors, back-pressure, joined threads. Tests wait for events; none sleeps."""

import itertools
import threading
from collections.abc import Iterator
from threading import Event

import pytest

from livestyle.streaming.channel import BoundedQueue, Channel, is_any_left_behind

SECONDS = 60  # limit for waiting: a thread that takes longer hangs


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("livestyle")}


@pytest.fixture(autouse=True)
def _all_threads_joined() -> Iterator[None]:
    yield
    assert threads() == set()


def read_until(expected: type[BaseException], items: Iterator[int]) -> tuple[list[int], BaseException]:
    """Read items until an error of this type. Returns the items before it, and the error."""
    got = []
    try:
        for item in items:
            got.append(item)
    except expected as error:
        return got, error
    pytest.fail(f"{got} and no error")


class Numbers:
    """A generator of integers with events.

    `reached(n)` waits until item n was requested. `finished` is set after the last item, `closed` when the generator ends.
    count: number of items; None for no end. error: raised after the last item.
    """

    def __init__(self, count: int | None = None, error: BaseException | None = None) -> None:
        self.made = 0
        self.finished = Event()
        self.closed = Event()
        self._marks = [Event() for _ in range(200)]
        self._numbers = itertools.count() if count is None else iter(range(count))
        self._error = error

    def reached(self, number: int) -> bool:
        return self._marks[number].wait(SECONDS)

    def __call__(self) -> Iterator[int]:
        try:
            for number in self._numbers:
                self._marks[min(number, 199)].set()
                self.made += 1
                yield number
            self.finished.set()
            if self._error is not None:
                raise self._error
        finally:
            self.closed.set()


@pytest.mark.parametrize("capacity", [1, 2, 7])
def test_all_items_arrive_in_order_before_the_end(capacity: int) -> None:
    with Channel(iter(range(500)), capacity) as channel:
        assert list(channel) == list(range(500))
        with pytest.raises(StopIteration):
            channel.poll()
        assert channel.dropped == 0


def test_an_empty_iterable_ends_at_once() -> None:
    with Channel[int]([], 1) as channel:
        assert list(channel) == []


@pytest.mark.parametrize("error", [ValueError("item 5"), KeyboardInterrupt(), SystemExit(3)], ids=repr)
def test_an_error_is_raised_after_the_items_before_it(error: BaseException) -> None:
    numbers = Numbers(5, error)
    with Channel(numbers(), 2) as channel:
        assert read_until(type(error), channel) == ([0, 1, 2, 3, 4], error)
        with pytest.raises(type(error)):  # again
            channel.poll()


def test_an_error_of_closing_the_iterable_is_raised_at_the_end() -> None:
    def items() -> Iterator[int]:
        try:
            yield 1
        finally:
            raise OSError("cannot close")

    with Channel(items(), 1) as channel:
        assert channel.poll() == 1
        with pytest.raises(OSError, match="cannot close"):
            channel.poll()


def test_the_writer_is_at_most_the_capacity_and_one_item_ahead() -> None:
    capacity, numbers = 3, Numbers()
    with Channel(numbers(), capacity) as channel:
        for taken in range(100):
            # the writer fills the channel, then waits with one more item
            assert numbers.reached(taken + capacity)
            assert numbers.made <= taken + capacity + 1
            assert channel.poll() == taken
    assert numbers.made <= 100 + capacity + 1


def test_drop_oldest_keeps_the_newest_items_and_counts_the_others() -> None:
    numbers = Numbers(10)
    with Channel(numbers(), 3, drop_oldest=True) as channel:
        assert numbers.finished.wait(SECONDS)  # the writer does not wait for the reader
        assert list(channel) == [7, 8, 9]
        assert channel.dropped == 7


def test_drop_oldest_raises_the_error_after_the_newest_item() -> None:
    numbers = Numbers(4, ValueError("camera unplugged"))
    with Channel(numbers(), 1, drop_oldest=True) as channel:
        assert numbers.closed.wait(SECONDS)
        assert channel.poll() == 3
        with pytest.raises(ValueError, match="unplugged"):
            channel.poll()
        assert channel.dropped == 3


def test_poll_returns_none_after_its_timeout() -> None:
    go_on = Event()

    def items() -> Iterator[int]:
        assert go_on.wait(SECONDS)
        yield 1

    with Channel(items(), 1) as channel:
        assert channel.poll(0) is None
        assert channel.poll(0.001) is None
        go_on.set()
        assert channel.poll(SECONDS) == 1
        with pytest.raises(StopIteration):
            channel.poll(SECONDS)


@pytest.mark.parametrize("drop_oldest", [False, True])
def test_stopping_early_ends_the_thread_and_closes_the_iterable(drop_oldest: bool) -> None:
    numbers = Numbers()
    with Channel(numbers(), 2, drop_oldest) as channel:
        channel.poll()
    assert numbers.closed.is_set()
    assert threads() == set()
    with pytest.raises(StopIteration):
        channel.poll()  # no item is left


def test_close_unblocks_a_writer_that_waits_for_space() -> None:
    numbers = Numbers()
    channel = Channel(numbers(), 2)
    assert numbers.reached(2)  # two are in the channel, the third waits
    channel.close()
    channel.close()
    assert numbers.closed.is_set()
    assert numbers.made == 3


def test_a_stuck_thread_is_left_behind_and_ends_later() -> None:
    blocked, go_on = Event(), Event()
    closed = Event()

    def items() -> Iterator[int]:
        try:
            yield 1
            blocked.set()
            assert go_on.wait(SECONDS)
            yield 2
        finally:
            closed.set()

    channel = Channel(items(), 1, join_timeout_seconds=0)
    assert channel.poll() == 1
    assert blocked.wait(SECONDS)
    channel.close()
    assert channel.is_stuck
    assert is_any_left_behind()
    assert not closed.is_set()
    with pytest.raises(StopIteration):  # the reader does not wait for the thread
        channel.poll()
    go_on.set()
    assert closed.wait(SECONDS)  # the thread closes the iterable and ends
    channel._thread.join(SECONDS)
    assert not channel.is_stuck
    assert not is_any_left_behind()


def test_a_thread_that_ends_is_not_stuck() -> None:
    with Channel(Numbers()(), 1, join_timeout_seconds=SECONDS) as channel:
        assert channel.poll() == 0
    assert not channel.is_stuck
    assert channel.received >= 1


def test_an_error_of_the_reader_passes_through_the_channel() -> None:
    numbers = Numbers()
    with pytest.raises(KeyError), Channel(numbers(), 1) as channel:
        raise KeyError(channel.poll())
    assert numbers.closed.is_set()


def doubled(items: Iterator[int], fail_at: int | None = None) -> Iterator[int]:
    """Yield each item times 2. Raises ValueError at the item fail_at."""
    for item in items:
        if item == fail_at:
            raise ValueError(f"item {item}")
        yield 2 * item


def chain(numbers: Numbers, fail_at: int | None = None) -> Iterator[int]:
    """Pass numbers through a channel, `doubled` and a second channel."""
    with Channel(numbers(), 2) as first, Channel(doubled(first, fail_at), 2) as second:
        yield from second


def test_a_chain_yields_all_items_in_order() -> None:
    assert list(chain(Numbers(100))) == list(range(0, 200, 2))


def test_a_chain_raises_the_error_of_its_first_iterable() -> None:
    error = ValueError("source")
    assert read_until(ValueError, chain(Numbers(10, error))) == (list(range(0, 20, 2)), error)


def test_a_chain_raises_the_error_of_a_later_iterable_and_closes_the_first() -> None:
    numbers = Numbers()
    got, error = read_until(ValueError, chain(numbers, fail_at=7))
    assert got == list(range(0, 14, 2))
    assert str(error) == "item 7"
    assert numbers.closed.is_set()


def test_a_chain_may_be_closed_after_any_number_of_items() -> None:
    for length in range(8):
        numbers = Numbers()
        items = chain(numbers)
        for expected in range(length):
            assert next(items) == 2 * expected
        if length:
            items.close()  # type: ignore[attr-defined]
            assert numbers.closed.is_set()
    assert threads() == set()


def test_poll_all_returns_what_is_queued_then_raises_the_error() -> None:
    queue = BoundedQueue[int](3, drop_oldest=True)
    assert queue.poll_all() == []
    for number in range(5):
        queue.put(number)
    assert queue.poll_all() == [2, 3, 4]
    queue.end(ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        queue.poll_all()
