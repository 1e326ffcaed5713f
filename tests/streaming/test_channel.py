"""Channels: order, ends, errors, back-pressure, and no thread left behind. Events, not sleep, say what has happened."""

import itertools
import threading
from collections.abc import Iterator
from threading import Event

import pytest

from livestyle.streaming.channel import Channel, is_any_left_behind

SECONDS = 60  # after which a thread that is waited for has hung


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("livestyle")}


@pytest.fixture(autouse=True)
def _all_joined() -> Iterator[None]:
    yield
    assert threads() == set()


def read_until(expected: type[BaseException], items: Iterator[int]) -> tuple[list[int], BaseException]:
    """What came before the error, and the error."""
    got = []
    try:
        for item in items:
            got.append(item)
    except expected as error:
        return got, error
    pytest.fail(f"{got} and no error")


class Numbers:
    """A generator that says how far it is: `reached(n)` once it is asked for item n, `closed` at its end."""

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
def test_all_items_in_order_and_then_the_end(capacity: int) -> None:
    with Channel(iter(range(500)), capacity) as channel:
        assert list(channel) == list(range(500))
        with pytest.raises(StopIteration):
            channel.poll()
        assert channel.dropped == 0


def test_nothing_at_all() -> None:
    with Channel[int]([], 1) as channel:
        assert list(channel) == []


@pytest.mark.parametrize("error", [ValueError("item 5"), KeyboardInterrupt(), SystemExit(3)], ids=repr)
def test_an_error_comes_after_the_items_before_it(error: BaseException) -> None:
    numbers = Numbers(5, error)
    with Channel(numbers(), 2) as channel:
        assert read_until(type(error), channel) == ([0, 1, 2, 3, 4], error)
        with pytest.raises(type(error)):  # and stays
            channel.poll()


def test_an_error_while_closing_is_told_at_the_end() -> None:
    def items() -> Iterator[int]:
        try:
            yield 1
        finally:
            raise OSError("cannot close")

    with Channel(items(), 1) as channel:
        assert channel.poll() == 1
        with pytest.raises(OSError, match="cannot close"):
            channel.poll()


def test_the_writer_is_never_further_ahead_than_the_capacity() -> None:
    capacity, numbers = 3, Numbers()
    with Channel(numbers(), capacity) as channel:
        for taken in range(100):
            # it fills the channel and holds one more in its hand, and no other
            assert numbers.reached(taken + capacity)
            assert numbers.made <= taken + capacity + 1
            assert channel.poll() == taken
    assert numbers.made <= 100 + capacity + 1


def test_dropping_keeps_the_newest_and_counts() -> None:
    numbers = Numbers(10)
    with Channel(numbers(), 3, drop_oldest=True) as channel:
        assert numbers.finished.wait(SECONDS)  # it never waits for a reader
        assert list(channel) == [7, 8, 9]
        assert channel.dropped == 7


def test_dropping_loses_no_error() -> None:
    numbers = Numbers(4, ValueError("camera unplugged"))
    with Channel(numbers(), 1, drop_oldest=True) as channel:
        assert numbers.closed.wait(SECONDS)
        assert channel.poll() == 3
        with pytest.raises(ValueError, match="unplugged"):
            channel.poll()
        assert channel.dropped == 3


def test_poll_gives_up_when_told() -> None:
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
def test_leaving_early_ends_the_writer_and_closes_its_items(drop_oldest: bool) -> None:
    numbers = Numbers()
    with Channel(numbers(), 2, drop_oldest) as channel:
        channel.poll()
    assert numbers.closed.is_set()
    assert threads() == set()
    with pytest.raises(StopIteration):
        channel.poll()  # nothing left over


def test_closing_while_the_writer_waits_for_room() -> None:
    numbers = Numbers()
    channel = Channel(numbers(), 2)
    assert numbers.reached(2)  # two wait, the third is in its hand
    channel.close()
    channel.close()
    assert numbers.closed.is_set()
    assert numbers.made == 3


def test_a_thread_that_is_stuck_is_left_behind() -> None:
    asked, go_on = Event(), Event()
    closed = Event()

    def items() -> Iterator[int]:
        try:
            yield 1
            asked.set()
            assert go_on.wait(SECONDS)
            yield 2
        finally:
            closed.set()

    channel = Channel(items(), 1, join_timeout_seconds=0)
    assert channel.poll() == 1
    assert asked.wait(SECONDS)
    channel.close()
    assert channel.is_stuck
    assert is_any_left_behind()
    assert not closed.is_set()
    with pytest.raises(StopIteration):  # a reader does not wait for it
        channel.poll()
    go_on.set()
    assert closed.wait(SECONDS)  # then it ends by itself
    channel._thread.join(SECONDS)
    assert not channel.is_stuck
    assert not is_any_left_behind()


def test_a_thread_that_ends_is_not_stuck() -> None:
    with Channel(Numbers()(), 1, join_timeout_seconds=SECONDS) as channel:
        assert channel.poll() == 0
    assert not channel.is_stuck
    assert channel.received >= 1


def test_an_error_of_the_reader_passes_through() -> None:
    numbers = Numbers()
    with pytest.raises(KeyError), Channel(numbers(), 1) as channel:
        raise KeyError(channel.poll())
    assert numbers.closed.is_set()


def doubled(items: Iterator[int], fail_at: int | None = None) -> Iterator[int]:
    for item in items:
        if item == fail_at:
            raise ValueError(f"item {item}")
        yield 2 * item


def chain(numbers: Numbers, fail_at: int | None = None) -> Iterator[int]:
    with Channel(numbers(), 2) as first, Channel(doubled(first, fail_at), 2) as second:
        yield from second


def test_a_chain_is_one_line() -> None:
    assert list(chain(Numbers(100))) == list(range(0, 200, 2))


def test_a_chain_that_fails_at_its_start() -> None:
    error = ValueError("source")
    assert read_until(ValueError, chain(Numbers(10, error))) == (list(range(0, 20, 2)), error)


def test_a_chain_that_fails_in_the_middle() -> None:
    numbers = Numbers()
    got, error = read_until(ValueError, chain(numbers, fail_at=7))
    assert got == list(range(0, 14, 2))
    assert str(error) == "item 7"
    assert numbers.closed.is_set()


def test_a_chain_left_early_at_every_length() -> None:
    for length in range(8):
        numbers = Numbers()
        items = chain(numbers)
        for expected in range(length):
            assert next(items) == 2 * expected
        if length:
            items.close()  # type: ignore[attr-defined]
            assert numbers.closed.is_set()
    assert threads() == set()
