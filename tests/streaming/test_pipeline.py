"""The pipeline: no frame is lost, errors are raised, each frame has its look, all threads are joined.

Most tests use simple sources and engines without files and networks; some paint with a network.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from livestyle.engines.base import Batch, Done, Ticket
from livestyle.errors import InputError, TooLargeError
from livestyle.frame import Frame, Image, StreamInfo
from livestyle.look import Look, Mix
from livestyle.networks import ARCHITECTURES
from livestyle.networks.body import Body
from livestyle.streaming.looks import ConstantLook, SwitchedLook
from livestyle.streaming.pipeline import LIVE, Buffering, FailedTicket, Painted, Pipeline, Stage, batched, offline, paint_frames
from livestyle.style_files.gallery import Gallery
from livestyle.stylizer import Stylizer

SECONDS = 60  # limit for waiting: a thread that takes longer hangs
BODY, OTHER_BODY = (Body(ARCHITECTURES[name], {}) for name in ("lite", "full"))
LOOK = Look(BODY, np.zeros((2, 3), np.float32), name="ash")
CONSTANT = ConstantLook(LOOK)


def pipeline_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "livestyle-channel"]


@pytest.fixture(autouse=True)
def _all_threads_joined() -> Iterator[None]:
    yield
    assert pipeline_threads() == []


class Copier:
    """An engine whose paintings are copies of the photos. It records the names of the looks of each batch.

    before_submit: called with the number of the batch, from 0; it may block or raise.
    """

    name, precision, gpu, takes_nv12 = "copier", "uint8", 0, False
    batches = (1,)

    def __init__(self, batches_in_flight: int = 3, before_submit: Callable[[int], None] | None = None) -> None:
        self.batches_in_flight = batches_in_flight
        self.notes: list[str] = []
        self.looks: list[list[str]] = []
        self._before_submit = before_submit

    def prepare(self, body: Body) -> None:
        pass

    def submit(self, batch: Batch) -> Ticket:
        if self._before_submit is not None:
            self._before_submit(len(self.looks))
        assert len({image.shape for image, _ in batch}) == len({look.body for _, look in batch}) == 1
        assert all(image.flags.c_contiguous for image, _ in batch)
        self.looks.append([look.name for _, look in batch])
        return Done([image.copy() for image, _ in batch])

    def close(self) -> None:
        pass


def frame(number: int, height: int = 9, width: int = 12) -> Frame:
    """A frame whose brightness is its number, at a time that is no multiple of a frame duration."""
    return Frame(np.full((height, width, 3), number, np.uint8), Fraction(number * number + 1, 7), captured_at=float(number))


class Shelf:
    """A source of given frames, after which `read` raises `error`, if given. It counts its calls."""

    info = StreamInfo(12, 9)

    def __init__(self, frames: Iterable[Frame], error: Exception | None = None, close_error: Exception | None = None) -> None:
        self.notes: list[str] = []
        self.damage: list[str] = []
        self.reads = 0
        self.closed = 0
        self.readers: set[int] = set()
        self.ended = Event()
        self._frames, self._error, self._close_error = iter(frames), error, close_error

    def read(self) -> Frame | None:
        self.reads += 1
        self.readers.add(threading.get_ident())
        found = next(self._frames, None)
        if found is None:
            self.ended.set()
            if self._error is not None:
                raise self._error
        return found

    def close(self) -> None:
        self.closed += 1
        if self._close_error is not None:
            raise self._close_error


def endless() -> Iterator[Frame]:
    number = 0
    while True:
        yield frame(number % 250)
        number += 1


def same(painted: Frame, expected: Frame) -> bool:
    times = painted.pts_seconds == expected.pts_seconds and painted.captured_at == expected.captured_at
    return times and np.array_equal(painted.image, expected.image)


def read_until_error(frames: Iterable[Frame]) -> tuple[list[int], Exception]:
    """Read frames until an error. Returns the numbers of the frames before it, and the error."""
    numbers = []
    try:
        for found in frames:
            numbers.append(int(found.image[0, 0, 0]))
    except Exception as error:
        return numbers, error
    pytest.fail(f"{numbers} and no error")


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 20])
@pytest.mark.parametrize("batch", [1, 2, 3, 5])
def test_offline_drops_reorders_and_repeats_no_frame(batch: int, count: int) -> None:
    frames = [frame(number) for number in range(count)]
    source = Shelf(frames)
    with Pipeline(source, Copier(), CONSTANT, offline(batch)) as pipeline:
        painted = list(pipeline)
    assert len(painted) == count
    assert all(same(*pair) for pair in zip(painted, frames, strict=True))
    assert pipeline.dropped == 0
    assert source.closed == 1
    assert source.reads == count + 1  # not read again after the end
    assert len(source.readers) == 1
    assert source.readers != {threading.get_ident()}


@pytest.mark.parametrize("declared", [1, 2, 4])
@pytest.mark.parametrize("chosen", [None, 1, 3])
def test_the_number_of_batches_in_flight_is_the_chosen_one_or_that_of_the_engine(chosen: int | None, declared: int) -> None:
    unfetched, largest = [0], [0]

    class Counted(Done):
        def result(self) -> list[Image]:
            unfetched[0] -= 1
            return super().result()

    class Counting(Copier):
        def submit(self, batch: Batch) -> Ticket:
            unfetched[0] += 1
            largest[0] = max(largest[0], unfetched[0])
            return Counted(super().submit(batch).result())

    frames = [frame(number) for number in range(11)]
    painted = paint_frames(frames, Counting(declared), CONSTANT, Buffering(1, 1, drop_oldest=False, batches_in_flight=chosen))
    assert all(same(*pair) for pair in zip(painted, frames, strict=True))
    assert largest == [chosen or declared]


@pytest.mark.parametrize("in_flight", [1, 2, 4])
def test_any_number_of_batches_in_flight(in_flight: int) -> None:
    frames = [frame(number) for number in range(11)]
    with Pipeline(Shelf(frames), Copier(in_flight), CONSTANT, Buffering(2, 1, drop_oldest=False)) as pipeline:
        assert all(same(*pair) for pair in zip(pipeline, frames, strict=True))


def test_frames_may_change_size() -> None:
    heights = [9, 9, 9, 4, 4, 9, 1, 9, 9, 9, 9, 3]
    frames = [frame(number, height, 5 + height) for number, height in enumerate(heights)]
    with Pipeline(Shelf(frames), Copier(), CONSTANT, offline(3)) as pipeline:
        assert all(same(*pair) for pair in zip(pipeline, frames, strict=True))


class Cycle:
    """A look source that returns the next of the given looks at each call; then it raises `error`."""

    def __init__(self, looks: Iterable[Look | Mix], error: Exception | None = None) -> None:
        self.asked: list[Fraction] = []
        self._looks, self._error = iter(looks), error

    def at(self, seconds: Fraction) -> Look | Mix:
        self.asked.append(seconds)
        look = next(self._looks, None)
        if look is None:
            assert self._error is not None
            raise self._error
        return look


def named(name: str) -> Look:
    """Make a look with this name; if it is in capitals, with another body."""
    return replace(LOOK, name=name, body=OTHER_BODY if name.isupper() else BODY)


class Filler:
    """An engine that paints the grey level that `greys` gives for the look's name."""

    name, precision, gpu, takes_nv12 = "filler", "uint8", 0, False
    batches, batches_in_flight = (1,), 3

    def __init__(self, greys: Mapping[str, int]) -> None:
        self.notes: list[str] = []
        self._greys = greys

    def prepare(self, body: Body) -> None:
        pass

    def submit(self, batch: Batch) -> Ticket:
        return Done([np.full_like(image, self._greys[look.name]) for image, look in batch])

    def close(self) -> None:
        pass


def test_a_mix_is_painted_in_both_looks() -> None:
    one, other = named("a"), named("B")
    looks = [one, *(Mix(one, other, share) for share in (0, 0.25, 1)), other, Mix(other, one, 0.25)]
    frames = [frame(number) for number in range(len(looks))]
    with Pipeline(Shelf(frames), Filler({"a": 100, "B": 200}), Cycle(looks), offline(2)) as pipeline:
        painted = list(pipeline)
    assert [item.pts_seconds for item in painted] == [item.pts_seconds for item in frames]
    assert [np.unique(item.image).tolist() for item in painted] == [[100], [100], [125], [200], [200], [175]]


def test_batches_hold_frames_of_one_size() -> None:
    heights = [9, 9, 9, 4, 4, 9, 9, 9, 9, 9, 9]
    batches = batched([frame(number, height) for number, height in enumerate(heights)], CONSTANT, 3)
    numbers = [[int(found.image[0, 0, 0]) for found, _ in batch] for batch in batches]
    assert numbers == [[0, 1, 2], [3, 4], [5, 6, 7], [8, 9, 10]]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("aaaaaaa", ["aaa", "aaa", "a"]),
        ("abcabca", ["abc", "abc", "a"]),  # looks of one body share a batch
        ("abCDeff", ["ab", "CD", "eff"]),
        ("AaAa", ["A", "a", "A", "a"]),
        ("abAbcde", ["ab", "A", "bcd", "e"]),
    ],
)
def test_a_batch_mixes_looks_of_one_body_alone(names: str, expected: list[str]) -> None:
    engine, looks = Copier(), Cycle(named(name) for name in names)
    frames = [frame(number) for number in range(len(names))]
    with Pipeline(Shelf(frames), engine, looks, offline(3)) as pipeline:
        assert all(same(*pair) for pair in zip(pipeline, frames, strict=True))
    assert ["".join(batch) for batch in engine.looks] == expected
    assert looks.asked == [each.pts_seconds for each in frames]  # once per frame, in order


@pytest.mark.parametrize("count", [0, 1, 4, 5])
@pytest.mark.parametrize("batch", [1, 3])
def test_an_error_of_the_looks_is_raised_after_the_frames_before_it(batch: int, count: int) -> None:
    error, source = ZeroDivisionError("a playlist with a bug"), Shelf(endless())
    with Pipeline(source, Copier(), Cycle([LOOK] * count, error), offline(batch)) as pipeline:
        assert read_until_error(pipeline) == (list(range(count)), error)
    assert pipeline.failed == 1
    assert source.closed == 1


def test_a_look_set_by_another_thread_is_used_from_the_next_frame_on() -> None:
    looks, engine = SwitchedLook(named("a")), Copier()

    def frames() -> Iterator[Frame]:
        for number in range(8):
            if number == 5:  # in the reading thread; the frames before it have been painted
                switch = threading.Thread(target=lambda: setattr(looks, "look", named("b")))
                switch.start()
                switch.join()
            yield frame(number)

    list(paint_frames(frames(), engine, looks, offline(1)))
    assert "".join(look for batch in engine.looks for look in batch) == "aaaaabbb"


def test_a_network_paints_each_frame_in_its_look(style_folder: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [replace(frame(number), image=rng.integers(0, 255, (9, 12, 3), np.uint8)) for number in range(7)]
    with Stylizer("ash", device="cpu", gallery=Gallery([style_folder])) as stylizer:
        styles = ["ash", "birch", "ash", "coal", "coal", "ash", "birch"]  # coal has its own body
        looks = [stylizer.look(style, strength=1 - number / 10) for number, style in enumerate(styles)]
        expected = [stylizer(found.image, look) for found, look in zip(frames, looks, strict=True)]
        with Pipeline(Shelf(frames), stylizer.engine, Cycle(looks), offline(3)) as pipeline:
            for painted, picture in zip(pipeline, expected, strict=True):
                np.testing.assert_array_equal(painted.image, picture)


def halved(painted: Iterable[Painted]) -> Iterator[Painted]:
    """Show the photo at half its brightness."""
    for item in painted:
        yield item._replace(frame=replace(item.frame, image=item.photo // 2))


def brighter(painted: Iterable[Painted]) -> Iterator[Painted]:
    """Add the length of the look's name, 3, to the painting."""
    for item in painted:
        yield item._replace(frame=replace(item.frame, image=item.frame.image + len(item.look.name)))


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ([], [0, 1, 2, 3, 4]),
        ([halved, brighter], [3, 3, 4, 4, 5]),
        ([brighter, halved], [0, 0, 1, 1, 2]),  # `halved` uses only the photo: the first stage has no effect
    ],
)
def test_stages_transform_the_painted_frames_one_after_another(stages: list[Stage], expected: list[int]) -> None:
    with Pipeline(Shelf(frame(number) for number in range(5)), Copier(), CONSTANT, offline(2), stages) as pipeline:
        assert [int(found.image[0, 0, 0]) for found in pipeline] == expected


def test_an_error_of_a_stage_is_raised_after_the_frames_before_it() -> None:
    error = ValueError("a stage with a bug")

    def failing(painted: Iterable[Painted]) -> Iterator[Painted]:
        for number, item in enumerate(painted):
            if number == 3:
                raise error
            yield item

    source = Shelf(endless())
    with Pipeline(source, Copier(), CONSTANT, offline(2), [failing]) as pipeline:
        assert read_until_error(pipeline) == ([0, 1, 2], error)
    assert pipeline.failed == 1
    assert source.closed == 1


def test_live_drops_and_counts_all_but_the_newest_frames() -> None:
    source = Shelf(frame(number) for number in range(50))
    with Pipeline(source, Copier(), CONSTANT, LIVE) as pipeline:
        assert source.ended.wait(SECONDS)  # a camera does not wait for its reader
        shown = [int(found.image[0, 0, 0]) for found in pipeline]
        assert shown == sorted(set(shown))
        assert shown[-1] == 49
        assert len(shown) + pipeline.dropped == 50
        assert pipeline.dropped > 40  # each channel holds one, one is being painted; a few may have passed before


def test_live_paints_and_shows_the_newest_frame_at_every_step() -> None:
    """While a frame is painted, the newest one waits for the engine; while the caller is busy, the newest one waits for it."""
    begun, may_paint, read = ([Event() for _ in range(9)] for _ in range(3))

    def frames() -> Iterator[Frame]:
        yield frame(0)
        assert begun[0].wait(SECONDS)
        yield from map(frame, range(1, 10))  # while 0 is painted
        read[0].set()
        assert begun[1].wait(SECONDS)
        yield from map(frame, range(10, 20))  # while 9 is painted
        read[1].set()

    def before_submit(number: int) -> None:
        begun[number].set()
        assert may_paint[number].wait(SECONDS)

    source = Shelf(frames())
    with Pipeline(source, Copier(before_submit=before_submit), CONSTANT, LIVE) as pipeline:
        assert read[0].wait(SECONDS)
        may_paint[0].set()
        first = pipeline.poll(SECONDS)
        assert first is not None
        assert same(first, frame(0))
        assert read[1].wait(SECONDS)
        may_paint[1].set()  # the caller is busy while 9 and 19 are painted
        may_paint[2].set()
        assert source.ended.wait(SECONDS)
        assert begun[2].wait(SECONDS)
        shown = [int(found.image[0, 0, 0]) for found in pipeline]
        assert shown in ([19], [9, 19])  # 9 if the caller takes it before 19 is painted
        assert pipeline.captured == 20
        assert 1 + len(shown) + pipeline.dropped == 20


def test_poll_returns_none_after_its_timeout() -> None:
    go_on = Event()

    def frames() -> Iterator[Frame]:
        assert go_on.wait(SECONDS)
        yield frame(3)

    with Pipeline(Shelf(frames()), Copier(), CONSTANT, LIVE) as pipeline:
        assert pipeline.poll(0) is None
        go_on.set()
        painted = pipeline.poll(SECONDS)
        assert painted is not None
        assert same(painted, frame(3))
        with pytest.raises(StopIteration):
            pipeline.poll(SECONDS)


@pytest.mark.parametrize("count", [0, 1, 4, 5, 6])
@pytest.mark.parametrize("batch", [1, 3])
def test_an_error_of_the_source_is_raised_after_the_frames_before_it(batch: int, count: int) -> None:
    error = InputError("disk removed")
    source = Shelf([frame(number) for number in range(count)], error)
    with Pipeline(source, Copier(), CONSTANT, offline(batch)) as pipeline:
        assert read_until_error(pipeline) == (list(range(count)), error)
    assert source.closed == 1


def test_an_error_of_closing_the_source_is_raised() -> None:
    error = InputError("cannot close")
    with Pipeline(Shelf([frame(0)], close_error=error), Copier(), CONSTANT, offline(2)) as pipeline:
        assert read_until_error(pipeline) == ([0], error)


def test_an_error_of_a_live_source_is_raised_after_the_newest_frame() -> None:
    with Pipeline(Shelf([frame(0), frame(1)], InputError("unplugged")), Copier(), CONSTANT, LIVE) as pipeline:
        numbers, error = read_until_error(pipeline)
    assert numbers[-1] == 1
    assert str(error) == "unplugged"


def failing_from(batch: int) -> Copier:
    def before_submit(number: int) -> None:
        if number == batch:
            raise TooLargeError("out of memory")

    return Copier(before_submit=before_submit)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("more", [0, 3, 100])
def test_an_error_of_the_engine_is_raised_after_the_frames_before_it(batch: int, more: int) -> None:
    source = Shelf(frame(number) for number in range(5 + more))
    with Pipeline(source, failing_from(4 // batch), CONSTANT, offline(batch)) as pipeline:
        numbers, error = read_until_error(pipeline)
    assert numbers == [0, 1, 2, 3]
    assert isinstance(error, TooLargeError)
    assert source.closed == 1


@pytest.mark.parametrize("in_flight", [1, 3])
def test_an_error_of_a_ticket_is_raised_after_the_frames_before_it(in_flight: int) -> None:
    class Failing(Copier):
        def submit(self, batch: Batch) -> Ticket:
            ticket = super().submit(batch)
            return FailedTicket(TooLargeError("out of memory")) if len(self.looks) == 3 else ticket

    with Pipeline(Shelf(endless()), Failing(in_flight), CONSTANT, offline(2)) as pipeline:
        numbers, error = read_until_error(pipeline)
    assert numbers == [0, 1, 2, 3]
    assert isinstance(error, TooLargeError)


def test_nv12_frames_need_an_engine_that_takes_them() -> None:
    nv12 = replace(frame(4), image=np.full((12, 10), 4, np.uint8))
    engine = Copier()
    with Pipeline(Shelf([frame(3), nv12]), engine, CONSTANT, offline(2)) as pipeline:
        numbers, error = read_until_error(pipeline)
    assert numbers == [3]
    assert isinstance(error, InputError)
    engine.takes_nv12 = True
    with Pipeline(Shelf([nv12]), engine, CONSTANT, offline(2)) as pipeline:
        assert same(next(iter(pipeline)), nv12)


def pictured(*shape: int, dtype: Any = np.uint8) -> Frame:
    return replace(frame(0), image=np.zeros(shape, dtype))


@pytest.mark.parametrize(
    "thing",
    [
        *(pictured(*shape) for shape in ((9, 12, 4), (9, 12, 1), (0, 12, 3), (9, 0, 3), (0, 0, 3))),
        *(pictured(*shape) for shape in ((3,), (13, 10), (12, 11), (0, 0))),
        *(pictured(9, 12, 3, dtype=dtype) for dtype in (np.float32, np.int64, bool, object)),
        replace(frame(0), image=None),  # type: ignore[arg-type]
        replace(frame(0), image=[[[1, 2, 3]]]),  # type: ignore[arg-type]
        replace(frame(0), pts_seconds="soon"),  # type: ignore[arg-type]
        replace(frame(0), pts_seconds=0.5),  # type: ignore[arg-type]
        np.zeros((9, 12, 3), np.uint8),
        "frame",
        0,
    ],
    ids=lambda thing: f"{thing!r:.60}",
)
@pytest.mark.parametrize("buffering", [LIVE, offline(4)], ids=["live", "offline"])
def test_an_item_that_is_not_a_valid_frame_raises_input_error(thing: Any, buffering: Buffering) -> None:
    """Sources may be user code. Valid frames of the same batch are painted first."""
    source = Shelf([frame(1), thing, frame(2)])
    with Pipeline(source, Copier(), CONSTANT, buffering) as pipeline:
        numbers, error = read_until_error(pipeline)
    assert numbers == [1]
    assert isinstance(error, InputError)
    assert str(error).startswith("the source gave ")
    assert source.closed == 1


def test_rows_of_another_architecture_raise_the_error_of_the_engine(style_folder: Path) -> None:
    source = Shelf(endless())
    with Stylizer("ash", device="cpu", gallery=Gallery([style_folder])) as stylizer:
        look = stylizer.default_look
        broken = Cycle([look, look, replace(look, rows=np.zeros((2, 5), np.float32))])
        with Pipeline(source, stylizer.engine, broken, offline(1)) as pipeline:
            painted = [next(iter(pipeline)) for _ in range(2)]
            with pytest.raises(RuntimeError):
                next(iter(pipeline))
    assert len(painted) == 2
    assert source.closed == 1


@pytest.mark.parametrize("buffering", [LIVE, offline(1), offline(3), Buffering(2, 1, drop_oldest=False)], ids=str)
@pytest.mark.parametrize("taken", [0, 1, 5])
def test_a_caller_may_stop_early(buffering: Buffering, taken: int) -> None:
    source = Shelf(endless())
    with Pipeline(source, Copier(), CONSTANT, buffering) as pipeline:
        for _, _frame in zip(range(taken), pipeline, strict=False):
            pass
    assert source.closed == 1
    assert pipeline_threads() == []


def test_stopping_while_the_source_blocks() -> None:
    """The painting thread waits for a frame, the reading thread for the source: both end as soon as the source returns."""
    reading, go_on = Event(), Event()

    def frames() -> Iterator[Frame]:
        yield frame(0)
        reading.set()
        assert go_on.wait(SECONDS)
        yield frame(1)

    source = Shelf(frames())
    pipeline = Pipeline(source, Copier(), CONSTANT, offline(1))
    stopping = threading.Thread(target=pipeline.__exit__, args=(None, None, None))
    assert reading.wait(SECONDS)
    stopping.start()
    go_on.set()
    stopping.join(SECONDS)
    assert not stopping.is_alive()
    assert source.closed == 1


@pytest.mark.parametrize("stuck", ["source", "engine"])
def test_a_live_run_leaves_a_stuck_thread_behind(stuck: str) -> None:
    """A read or a computation inside a library cannot be interrupted."""
    inside, go_on = Event(), Event()

    def block() -> None:
        inside.set()
        assert go_on.wait(SECONDS)

    def frames() -> Iterator[Frame]:
        yield frame(0)
        if stuck == "source":
            block()

    source, engine = Shelf(frames()), Copier(before_submit=lambda _: block() if stuck == "engine" else None)
    with Pipeline(source, engine, CONSTANT, replace(LIVE, join_timeout_seconds=0.01)) as pipeline:
        assert inside.wait(SECONDS)
    assert pipeline.is_stuck
    assert source.closed == (stuck == "engine")  # a source that is being read is not closed
    go_on.set()
    for thread in pipeline_threads():
        thread.join(SECONDS)
    assert not pipeline.is_stuck
    assert source.closed == 1


def test_captured_dropped_and_failed_frames_are_counted() -> None:
    source = Shelf(frame(number) for number in range(6))
    with Pipeline(source, failing_from(4), CONSTANT, offline(1)) as pipeline:
        numbers, _ = read_until_error(pipeline)
        assert numbers == [0, 1, 2, 3]
        assert (pipeline.dropped, pipeline.failed) == (0, 1)
        assert pipeline.captured >= 5
    with Pipeline(Shelf([frame(0), frame(1)], InputError("unplugged")), Copier(), CONSTANT, offline(1)) as pipeline:
        read_until_error(pipeline)
        assert (pipeline.captured, pipeline.dropped, pipeline.failed) == (2, 0, 0)


@pytest.mark.parametrize("close_error", [None, InputError("cannot close")], ids=str)
@pytest.mark.parametrize("error", [KeyboardInterrupt(), ZeroDivisionError()], ids=repr)
def test_an_error_of_the_caller_passes_through_the_pipeline(error: BaseException, close_error: Exception | None) -> None:
    source = Shelf(endless(), close_error=close_error)

    def run() -> None:
        with Pipeline(source, Copier(), CONSTANT, offline(2)) as pipeline:
            next(iter(pipeline))
            raise error

    with pytest.raises(type(error)):
        run()
    assert source.closed == 1


def broken_stage(painted: Iterable[Painted]) -> Iterator[Painted]:
    for _ in zip(range(2), painted, strict=False):
        pass
    raise ValueError("a stage with a bug")
    yield from painted


@pytest.mark.parametrize("ending", ["stopped early", "error of the source", "error of a stage"])
def test_every_ticket_is_fetched(ending: str) -> None:
    """Even after an early stop or an error, as a GPU engine reuses buffers only once their ticket was fetched."""
    tickets, fetched = [], []

    class Counted(Done):
        def result(self) -> list[Image]:
            fetched.append(self)
            return super().result()

    class Counting(Copier):
        def submit(self, batch: Batch) -> Ticket:
            tickets.append(Counted(super().submit(batch).result()))
            return tickets[-1]

    stages = [broken_stage] if ending == "error of a stage" else []
    source = Shelf([frame(number) for number in range(9)], InputError("unplugged"))
    error: Exception | None = None  # a kept error keeps the frames of its traceback, and the generators in them, alive
    with Pipeline(source, Counting(4), CONSTANT, Buffering(2, 1, drop_oldest=False), stages) as pipeline:
        if ending == "stopped early":
            next(iter(pipeline))
        else:
            _, error = read_until_error(pipeline)
    assert len(tickets) >= 4
    assert tickets == fetched
    assert (error is None) == (ending == "stopped early")


def test_an_engine_paints_several_runs_one_after_another() -> None:
    engine = Copier()
    for number in range(6):
        with Pipeline(Shelf([frame(number)], InputError("unplugged")), engine, CONSTANT, offline(2)) as pipeline:
            assert read_until_error(pipeline)[0] == [number]
