"""The painter that all sessions share: batches, turns, errors, and its end."""

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, wait
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import picture
from server_process import PATIENCE_SECONDS, difference

from livestyle.engines.base import Batch, Done, Ticket
from livestyle.errors import InputError, LivestyleError
from livestyle.frame import Image
from livestyle.look import Look, Mix
from livestyle.networks.body import Body
from livestyle.server.painter import SharedPainter
from livestyle.streaming.channel import THREAD_NAME
from livestyle.streaming.mixing import submit
from livestyle.style_files.gallery import Gallery
from livestyle.stylizer import Stylizer

BROKEN = 13  # value of the pixels of a frame that the engine cannot paint


class HeldEngine:
    """An engine whose paintings are the photos. It paints a batch when the test lets it, and records what it painted.

    A batch is recorded as a string of the frames' first values, which are letters.
    """

    name, precision, batches, batches_in_flight, takes_nv12, gpu = "held", "float32", (1, 2, 4), 1, False, 0

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.painted: list[str] = []
        self.started = threading.Semaphore(0)
        self.allowed = threading.Semaphore(0)

    def prepare(self, body: Body) -> None:
        pass

    def submit(self, batch: Batch) -> Ticket:
        self.started.release()
        assert self.allowed.acquire(timeout=PATIENCE_SECONDS)
        self.painted.append("".join(chr(frame[0, 0, 0]) for frame, _ in batch))
        if any(frame[0, 0, 0] == BROKEN for frame, _ in batch):
            raise InputError("this frame cannot be painted")
        return Done([frame for frame, _ in batch])

    def close(self) -> None:
        pass

    def wait_for_start(self) -> None:
        """Wait until the next batch has begun."""
        assert self.started.acquire(timeout=PATIENCE_SECONDS)

    def allow(self, batches: int = 100) -> None:
        self.allowed.release(batches)


@pytest.fixture
def looks(style_folder: Path) -> Iterator[dict[str, Look]]:
    """Looks of untrained styles: ash and birch have the same body, coal has another."""
    with Stylizer("ash", "lite", "cpu", gallery=Gallery([style_folder])) as stylizer:
        yield {name: stylizer.look(name) for name in ("ash", "birch", "coal")}


@pytest.fixture
def engine() -> HeldEngine:
    return HeldEngine()


@pytest.fixture
def painter(engine: HeldEngine) -> Iterator[SharedPainter]:
    painter = SharedPainter(engine)
    yield painter
    engine.allow()
    painter.close()


def frame(letter: str, width: int = 8) -> Image:
    return np.full((6, width, 3), ord(letter), np.uint8)


def results(futures: list["Future[Image]"]) -> list[Image]:
    return [future.result(PATIENCE_SECONDS) for future in futures]


def test_batches_have_one_size_and_one_body(engine: HeldEngine, painter: SharedPainter, looks: dict[str, Look]) -> None:
    mix = Mix(looks["ash"], looks["coal"], 0.5)
    futures = [painter.paint(frame("0"), looks["ash"])]
    engine.wait_for_start()  # the others wait, in this order
    futures += [
        painter.paint(frame("a"), looks["ash"]),
        painter.paint(frame("b"), looks["coal"]),
        painter.paint(frame("c"), looks["birch"]),  # the body of ash
        painter.paint(frame("d", width=10), looks["ash"]),
        painter.paint(frame("e"), mix),
        painter.paint(frame("f", width=10), looks["birch"]),
        painter.paint(frame("g"), looks["coal"]),
        painter.paint(frame("h"), mix),
    ]
    engine.allow()
    results(futures)
    assert engine.painted == ["0", "ac", "bg", "df", "eh", "eh"]  # a mix is painted in both looks
    assert (painter.batches, painter.frames) == (5, 9)


def test_batches_have_the_sizes_that_the_engine_prefers(
    engine: HeldEngine, painter: SharedPainter, looks: dict[str, Look]
) -> None:
    futures = [painter.paint(frame("0"), looks["ash"])]
    engine.wait_for_start()
    futures += [painter.paint(frame(letter), looks["ash"]) for letter in "abcdefg"]
    engine.allow()
    results(futures)
    assert engine.painted == ["0", "abcd", "ef", "g"]


def test_turns_are_fair(engine: HeldEngine, painter: SharedPainter, looks: dict[str, Look]) -> None:
    """Two sessions with frames of different sizes, which cannot be painted together. Each sends its next frame at once."""
    engine.batches = (1,)
    painter.paint(frame("0"), looks["ash"])
    engine.wait_for_start()
    ended = threading.Barrier(3)

    def session(letter: str, width: int, left: int) -> None:
        def answered(_: object) -> None:
            if left > 1:
                session(letter, width, left - 1)
            else:
                threading.Thread(target=ended.wait, args=(PATIENCE_SECONDS,)).start()

        painter.paint(frame(letter, width), looks["ash"]).add_done_callback(answered)

    session("a", 8, 5)
    session("b", 10, 5)
    engine.allow()
    ended.wait(PATIENCE_SECONDS)
    assert engine.painted == ["0", *"abababab", *"ab"]


def test_error_belongs_to_its_batch(engine: HeldEngine, painter: SharedPainter, looks: dict[str, Look]) -> None:
    first = painter.paint(frame("0"), looks["ash"])
    engine.wait_for_start()
    broken = [painter.paint(frame(chr(BROKEN)), looks["ash"]), painter.paint(frame("a"), looks["ash"])]
    other = painter.paint(frame("b", width=10), looks["ash"])
    engine.allow()
    results([first, other])
    for future in broken:
        with pytest.raises(InputError, match="cannot be painted"):
            future.result(PATIENCE_SECONDS)
    assert painter.paint(frame("c"), looks["ash"]).result(PATIENCE_SECONDS)[0, 0, 0] == ord("c")


def test_cancelled_frames_are_not_painted(engine: HeldEngine, painter: SharedPainter, looks: dict[str, Look]) -> None:
    futures = [painter.paint(frame("0"), looks["ash"])]
    engine.wait_for_start()
    futures += [painter.paint(frame(letter), looks["ash"]) for letter in "abcd"]
    assert not futures[0].cancel()  # it is being painted
    assert futures[2].cancel()
    alone = painter.paint(frame("e", width=10), looks["ash"])
    assert alone.cancel()
    futures.append(painter.paint(frame("f", width=12), looks["ash"]))
    engine.allow()
    results([each for each in futures if not each.cancelled()])
    assert engine.painted == ["0", "acd", "f"]


def test_close_cancels_the_waiting_frames_and_ends_the_thread(
    engine: HeldEngine, painter: SharedPainter, looks: dict[str, Look]
) -> None:
    first = painter.paint(frame("0"), looks["ash"])
    engine.wait_for_start()
    waiting = painter.paint(frame("a"), looks["ash"])
    closing = threading.Thread(target=painter.close)
    closing.start()
    with pytest.raises(CancelledError):
        waiting.result(PATIENCE_SECONDS)
    engine.allow()
    closing.join(PATIENCE_SECONDS)
    assert first.result(PATIENCE_SECONDS)[0, 0, 0] == ord("0")  # it was being painted
    assert engine.painted == ["0"]
    painter.close()
    with pytest.raises(LivestyleError, match="ending"):
        painter.paint(frame("b"), looks["ash"])


def test_painter_leaves_no_thread(looks: dict[str, Look]) -> None:
    def count() -> int:
        return sum(thread.name == THREAD_NAME for thread in threading.enumerate())

    before = count()
    painter = SharedPainter(HeldEngine())
    assert count() == before + 1
    painter.close()
    assert count() == before


def test_each_frame_of_a_batch_is_painted_in_its_look(style_folder: Path) -> None:
    with Stylizer("ash", "lite", "cpu", gallery=Gallery([style_folder])) as stylizer:
        ash, birch, coal = (stylizer.look(name) for name in ("ash", "birch", "coal"))
        faint = stylizer.look("birch", strength=0.3, keep_colors=True)
        requests: list[tuple[Image, Any]] = [
            (picture(number, 32, 24), look)
            for number, look in enumerate([ash, birch, coal, faint, Mix(ash, coal, 0.25), birch, Mix(coal, birch, 0.5), ash])
        ]
        painter = SharedPainter(stylizer.engine)
        try:
            futures = [painter.paint(*request) for request in requests]
            assert not wait(futures, PATIENCE_SECONDS).not_done
        finally:
            painter.close()
        for request, future in zip(requests, futures, strict=True):
            assert difference(future.result(), submit(stylizer.engine, [request]).result()[0]) < 0.5
        assert painter.frames == len(requests)
