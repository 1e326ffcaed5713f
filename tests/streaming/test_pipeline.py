"""From a source through the stylizer to the caller: nothing lost, errors told, all threads joined.

The sources are small real ones, without a file; the stylizer and its network are livestyle's own.
"""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from livestyle.errors import InputError, LivestyleError
from livestyle.frame import Frame, StreamInfo
from livestyle.look import Look
from livestyle.streaming.pipeline import LIVE, Pace, Pipeline, batched, offline
from livestyle.style_files.gallery import Gallery
from livestyle.stylizer import Stylizer

SECONDS = 60  # after which something that is waited for has hung


def pipeline_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "livestyle-channel"]


@pytest.fixture(autouse=True)
def _all_joined() -> Iterator[None]:
    yield
    assert pipeline_threads() == []


@pytest.fixture(scope="module")
def shared(style_folder: Path) -> Iterator[Stylizer]:
    with Stylizer("ash", device="cpu", gallery=Gallery([style_folder])) as opened:
        yield opened


@pytest.fixture
def stylizer(shared: Stylizer) -> Stylizer:
    """Returns the photo: what comes out can be told apart."""
    shared.style, shared.strength = "ash", 0
    return shared


def frame(number: int, height: int = 9, width: int = 12) -> Frame:
    """Its brightness is its number; its time is no round number of anything."""
    return Frame(np.full((height, width, 3), number, np.uint8), Fraction(number * number + 1, 7), captured_at=float(number))


class Shelf:
    """A source of given frames; then an error, if there is one."""

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
    """The numbers that came, and the error after them."""
    numbers = []
    try:
        for found in frames:
            numbers.append(int(found.image[0, 0, 0]))
    except Exception as error:
        return numbers, error
    pytest.fail(f"{numbers} and no error")


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 20])
@pytest.mark.parametrize("batch", [1, 2, 3, 5])
def test_offline_nothing_is_dropped_reordered_or_doubled(stylizer: Stylizer, batch: int, count: int) -> None:
    frames = [frame(number) for number in range(count)]
    source = Shelf(frames)
    with Pipeline(source, stylizer, offline(batch)) as pipeline:
        painted = list(pipeline)
    assert len(painted) == count
    assert all(same(*pair) for pair in zip(painted, frames, strict=True))
    assert pipeline.dropped == 0
    assert source.closed == 1
    assert source.reads == count + 1  # not asked again after the end
    assert len(source.readers) == 1
    assert source.readers != {threading.get_ident()}


@pytest.mark.parametrize("in_flight", [0, 1, 3])
def test_any_number_in_flight(stylizer: Stylizer, in_flight: int) -> None:
    frames = [frame(number) for number in range(11)]
    with Pipeline(Shelf(frames), stylizer, Pace(2, in_flight, 1, drop_oldest=False)) as pipeline:
        assert all(same(*pair) for pair in zip(pipeline, frames, strict=True))


def test_sizes_that_change_on_the_way(stylizer: Stylizer) -> None:
    heights = [9, 9, 9, 4, 4, 9, 1, 9, 9, 9, 9, 3]
    frames = [frame(number, height, 5 + height) for number, height in enumerate(heights)]
    with Pipeline(Shelf(frames), stylizer, offline(3)) as pipeline:
        assert all(same(*pair) for pair in zip(pipeline, frames, strict=True))


def test_batches_hold_frames_of_one_size() -> None:
    heights = [9, 9, 9, 4, 4, 9, 9, 9, 9, 9, 9]
    batches = batched([frame(number, height) for number, height in enumerate(heights)], 3)
    numbers = [[int(found.image[0, 0, 0]) for found in batch] for batch in batches]
    assert numbers == [[0, 1, 2], [3, 4], [5, 6, 7], [8, 9, 10]]


def test_the_painting_is_the_stylizer_s(stylizer: Stylizer) -> None:
    stylizer.strength = 1
    rng = np.random.default_rng(0)
    frames = [replace(frame(number), image=rng.integers(0, 255, (9, 12, 3), np.uint8)) for number in range(5)]
    with Pipeline(Shelf(frames), stylizer, offline(2)) as pipeline:
        for painted, original in zip(pipeline, frames, strict=True):
            assert np.abs(painted.image.astype(int) - stylizer(original.image)).max() <= 1


def test_live_the_newest_wins_and_the_others_are_counted(stylizer: Stylizer) -> None:
    source = Shelf(frame(number) for number in range(50))
    with Pipeline(source, stylizer, LIVE) as pipeline:
        assert source.ended.wait(SECONDS)  # a camera waits for nobody
        shown = [int(found.image[0, 0, 0]) for found in pipeline]
        assert shown == sorted(set(shown))
        assert shown[-1] == 49
        assert len(shown) + pipeline.dropped == 50
        assert pipeline.dropped > 40  # one waits on each side, one is painted; a few more may have passed before


def test_poll_waits_no_longer_than_told(stylizer: Stylizer) -> None:
    go_on = Event()

    def frames() -> Iterator[Frame]:
        assert go_on.wait(SECONDS)
        yield frame(3)

    with Pipeline(Shelf(frames()), stylizer, LIVE) as pipeline:
        assert pipeline.poll(0) is None
        go_on.set()
        painted = pipeline.poll(SECONDS)
        assert painted is not None
        assert same(painted, frame(3))
        with pytest.raises(StopIteration):
            pipeline.poll(SECONDS)


@pytest.mark.parametrize("count", [0, 1, 4, 5, 6])
@pytest.mark.parametrize("batch", [1, 3])
def test_an_error_of_the_source_comes_after_the_frames_before_it(stylizer: Stylizer, batch: int, count: int) -> None:
    error = InputError("the disk is gone")
    source = Shelf([frame(number) for number in range(count)], error)
    with Pipeline(source, stylizer, offline(batch)) as pipeline:
        assert read_until_error(pipeline) == (list(range(count)), error)
    assert source.closed == 1


def test_an_error_of_closing_the_source_is_told(stylizer: Stylizer) -> None:
    error = InputError("cannot close")
    with Pipeline(Shelf([frame(0)], close_error=error), stylizer, offline(2)) as pipeline:
        assert read_until_error(pipeline) == ([0], error)


def test_an_error_of_the_live_source_is_told(stylizer: Stylizer) -> None:
    with Pipeline(Shelf([frame(0), frame(1)], InputError("unplugged")), stylizer, LIVE) as pipeline:
        numbers, error = read_until_error(pipeline)
    assert numbers[-1] == 1
    assert str(error) == "unplugged"


NV12 = replace(frame(4), image=np.zeros((12, 10), np.uint8))  # which a CPU does not take


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("more", [0, 3, 100])
def test_an_error_of_the_painter_comes_after_the_frames_before_it(stylizer: Stylizer, batch: int, more: int) -> None:
    source = Shelf([*(frame(number) for number in range(4)), NV12, NV12, *(frame(9) for _ in range(more))])
    with Pipeline(source, stylizer, offline(batch)) as pipeline:
        numbers, error = read_until_error(pipeline)
    assert numbers == [0, 1, 2, 3]
    assert isinstance(error, LivestyleError)
    assert source.closed == 1


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
@pytest.mark.parametrize("pace", [LIVE, offline(4)], ids=["live", "offline"])
def test_what_is_no_frame_is_told(stylizer: Stylizer, thing: Any, pace: Pace) -> None:
    """By a user's own source; in the same batch are frames that are right, and come first."""
    source = Shelf([frame(1), thing, frame(2)])
    with Pipeline(source, stylizer, pace) as pipeline:
        numbers, error = read_until_error(pipeline)
    assert numbers == [1]
    assert isinstance(error, InputError)
    assert str(error).startswith("the source gave ")
    assert source.closed == 1


def test_a_look_that_breaks_on_the_way(stylizer: Stylizer) -> None:
    source = Shelf(endless())
    look = stylizer._look
    with Pipeline(source, stylizer, offline(2)) as pipeline:
        next(iter(pipeline))
        stylizer._look = replace(look, rows=np.zeros((2, 5), np.float32))
        try:
            _, error = read_until_error(pipeline)
        finally:
            stylizer._look = look
    assert isinstance(error, RuntimeError)
    assert source.closed == 1


@pytest.mark.parametrize("pace", [LIVE, offline(1), offline(3), Pace(2, 3, 1, drop_oldest=False)], ids=str)
@pytest.mark.parametrize("taken", [0, 1, 5])
def test_a_caller_may_leave_early(stylizer: Stylizer, pace: Pace, taken: int) -> None:
    source = Shelf(endless())
    with Pipeline(source, stylizer, pace) as pipeline:
        for _, _frame in zip(range(taken), pipeline, strict=False):
            pass
    assert source.closed == 1
    assert pipeline_threads() == []


def test_leaving_while_the_source_waits(stylizer: Stylizer) -> None:
    """The painter waits for a frame, the reader for the source: both end as soon as the source moves."""
    asked, go_on = Event(), Event()

    def frames() -> Iterator[Frame]:
        yield frame(0)
        asked.set()
        assert go_on.wait(SECONDS)
        yield frame(1)

    source = Shelf(frames())
    pipeline = Pipeline(source, stylizer, offline(1))
    leaving = threading.Thread(target=pipeline.__exit__, args=(None, None, None))
    assert asked.wait(SECONDS)
    leaving.start()
    go_on.set()
    leaving.join(SECONDS)
    assert not leaving.is_alive()
    assert source.closed == 1


@pytest.mark.parametrize("stuck", ["source", "painter"])
def test_live_ends_whatever_is_stuck(stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch, stuck: str) -> None:
    """Nothing can end a read or a computation in a library: the live pace leaves their threads behind."""
    inside, go_on = Event(), Event()

    def wait() -> None:
        inside.set()
        assert go_on.wait(SECONDS)

    def frames() -> Iterator[Frame]:
        yield frame(0)
        if stuck == "source":
            wait()

    submit = stylizer.submit
    monkeypatch.setattr(stylizer, "submit", lambda *words: (stuck == "painter" and wait()) or submit(*words))
    source = Shelf(frames())
    with Pipeline(source, stylizer, replace(LIVE, join_timeout_seconds=0.01)) as pipeline:
        assert inside.wait(SECONDS)
    assert pipeline.is_stuck
    assert source.closed == (stuck == "painter")  # nobody closes a source that is being read
    go_on.set()
    for thread in pipeline_threads():
        thread.join(SECONDS)
    assert not pipeline.is_stuck
    assert source.closed == 1


def test_frames_are_counted(stylizer: Stylizer) -> None:
    source = Shelf([*(frame(number) for number in range(4)), NV12, frame(5)])
    with Pipeline(source, stylizer, Pace(1, 0, 1, drop_oldest=False)) as pipeline:
        numbers, _ = read_until_error(pipeline)
        assert numbers == [0, 1, 2, 3]
        assert (pipeline.dropped, pipeline.failed) == (0, 1)
        assert pipeline.captured >= 5
    with Pipeline(Shelf([frame(0), frame(1)], InputError("gone")), stylizer, Pace(1, 0, 1, drop_oldest=False)) as pipeline:
        read_until_error(pipeline)
        assert (pipeline.captured, pipeline.dropped, pipeline.failed) == (2, 0, 0)


@pytest.mark.parametrize("close_error", [None, InputError("cannot close")], ids=str)
@pytest.mark.parametrize("error", [KeyboardInterrupt(), ZeroDivisionError()], ids=repr)
def test_an_error_of_the_caller_passes_through(stylizer: Stylizer, error: BaseException, close_error: Exception | None) -> None:
    source = Shelf(endless(), close_error=close_error)

    def run() -> None:
        with Pipeline(source, stylizer, offline(2)) as pipeline:
            next(iter(pipeline))
            raise error

    with pytest.raises(type(error)):
        run()
    assert source.closed == 1


def test_no_ticket_is_left_behind(stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU's buffers come back with their tickets: also those of a run that was left early or failed."""
    submitted, fetched = [], []
    submit = stylizer.submit

    class Counted:
        def __init__(self, frames: list[np.ndarray], look: Look) -> None:
            self._ticket = submit(frames, look)
            submitted.append(self)

        def result(self) -> list[np.ndarray]:
            fetched.append(self)
            return self._ticket.result()

    monkeypatch.setattr(stylizer, "submit", Counted)
    with Pipeline(Shelf(endless()), stylizer, Pace(2, 3, 1, drop_oldest=False)) as pipeline:
        for _ in zip(range(3), pipeline, strict=False):
            pass
    source = Shelf([frame(number) for number in range(9)], InputError("gone"))
    with Pipeline(source, stylizer, Pace(2, 3, 1, drop_oldest=False)) as pipeline:
        read_until_error(pipeline)
    assert submitted == fetched
    assert len(submitted) >= 4


def test_one_stylizer_for_many_runs(stylizer: Stylizer) -> None:
    for number in range(6):
        with Pipeline(Shelf([frame(number)], InputError("gone")), stylizer, offline(2)) as pipeline:
            assert read_until_error(pipeline)[0] == [number]
