"""A camera that stops, ends, repeats its last frame or vanishes, with an injected clock."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from clock import Clock

from livestyle.errors import DeviceError
from livestyle.frame import Frame, StreamInfo
from livestyle.sources.reconnecting import Reconnecting

Reading = int | str | None
"""What a camera gives: the grey level of a frame, the message of an error, or its end."""


class Camera:
    """A camera at 10 frames a second that gives what is listed."""

    def __init__(self, readings: Iterator[Reading], clock: Clock) -> None:
        self.info = StreamInfo(16, 16, live=True)
        self.notes: list[str] = []
        self.damage: list[str] = []
        self.closed = False
        self._readings, self._clock, self._number = readings, clock, -1

    def read(self) -> Frame | None:
        self._clock.now += 0.1
        self._number += 1
        reading = next(self._readings)
        if isinstance(reading, str):
            raise DeviceError(reading)
        if reading is None:
            return None
        return Frame(np.full((16, 16, 3), reading, np.uint8), Fraction(self._number, 10), self._clock.now)

    def close(self) -> None:
        self.closed = True


class Bench:
    """A reconnecting source, whose camera cannot be opened while the clock is in one of the outages."""

    def __init__(self, readings: list[Reading], outages: Sequence[tuple[float, float]] = ()) -> None:
        self.clock = Clock()
        self.begin = self.clock.now
        self.opened: list[float] = []
        self.cameras: list[Camera] = []
        self.states: list[str] = []
        self._readings, self._outages = iter(readings), outages
        self.source = Reconnecting(self._open(), self._open, "camera 0", clock=self.clock, wait=self._wait)

    def _open(self) -> Camera:
        now = round(self.clock.now - self.begin, 3)
        self.opened.append(now)
        if any(begin <= now < end for begin, end in self._outages):
            raise DeviceError("cannot open camera 0")
        self.cameras.append(Camera(self._readings, self.clock))
        return self.cameras[-1]

    def _wait(self, seconds: float) -> bool:
        self.states.append(self.source.state)
        self.clock.now += seconds
        return False

    def read(self) -> tuple[int, float]:
        """The grey level and the presentation time of the next frame."""
        frame = self.source.read()
        assert frame is not None
        return int(frame.image[0, 0, 0]), float(frame.pts_seconds)


@pytest.mark.parametrize(
    ("failure", "state"),
    [("camera 0 no longer gives frames; is it plugged in?", "camera 0 no longer gives frames"), (None, "camera 0 has ended")],
)
def test_a_camera_that_stops_is_opened_again(failure: Reading, state: str) -> None:
    bench = Bench([1, 2, failure, 3, 4])
    assert [bench.read(), bench.read()] == [(1, 0), (2, 0.1)]
    assert bench.source.state == ""
    # .1 for the reading that failed, .5 until the next attempt, .1 for the reading after it
    level, pts_seconds = bench.read()
    assert (level, pts_seconds) == (3, pytest.approx(0.8, abs=1e-5))
    assert bench.read() == (4, pytest.approx(0.9, abs=1e-5))
    assert bench.source.state == ""
    assert bench.source.damage == []  # shorter than a second
    assert [camera.closed for camera in bench.cameras] == [True, False]
    assert bench.states == [state]


def test_attempts_are_repeated_with_longer_and_longer_waits() -> None:
    bench = Bench([1, "unplugged; look", 2, 3, "unplugged", 4], outages=[(0.1, 30)])
    bench.read()
    assert bench.read() == (2, pytest.approx(31.7))
    # .2 after the failed reading; then .5, 1, 2, 4, 8, 8 ...
    assert bench.opened == pytest.approx([0, 0.7, 1.7, 3.7, 7.7, 15.7, 23.7, 31.7])
    assert bench.source.damage == ["unplugged: no new frames for 32 s, after 0 s"]
    bench.read()
    bench.read()
    assert bench.opened[-1] == pytest.approx(31.7 + 0.3 + 0.5)  # the first wait is short again


def test_a_camera_that_repeats_its_last_frame_is_opened_again() -> None:
    bench = Bench([1] + [2] * 22 + [3, 4])
    found = [bench.read()[0] for _ in range(21)]
    assert found == [1, *[2] * 20]
    assert bench.source.state == ""
    states = []
    while bench.read()[0] == 2:
        states.append(bench.source.state)
    assert states[-1] == "camera 0 repeats its last frame"
    assert len(bench.cameras) == 2
    assert bench.source.state == ""
    assert bench.source.damage == ["camera 0 repeats its last frame: no new frames for 3 s, after 0 s"]
    assert bench.source.notes == []


def test_a_still_picture_is_accepted_after_the_camera_was_opened_again_once() -> None:
    bench = Bench([1] + [2] * 300 + [3])
    while bench.read()[0] != 3:
        pass
    assert len(bench.opened) == 2
    assert bench.source.state == ""
    assert bench.source.damage == []
    assert bench.source.notes == ["camera 0 shows a still picture: after it was opened again, it repeats the same frame"]


def test_a_still_picture_after_a_first_black_frame_is_accepted() -> None:
    bench = Bench([1] + [2] * 22 + [0] + [2] * 100 + ["unplugged"], outages=[(10, 15)])
    while bench.clock.now < bench.begin + 12:
        assert bench.read()[0] in (0, 1, 2)
    assert len(bench.opened) == 2
    assert bench.source.state == ""


def test_another_picture_that_stands_still_is_taken_for_an_outage_again() -> None:
    bench = Bench([1] + [2] * 60 + [3] * 60 + [4])
    while bench.read()[0] != 4:
        pass
    assert len(bench.opened) == 3
    assert len(bench.source.notes) == 1


def test_an_outage_after_a_still_picture_begins_when_frames_stop() -> None:
    bench = Bench([1] + [2] * 300 + ["unplugged", 3], outages=[(30, 40)])
    while bench.read()[0] != 3:
        pass
    (damage,) = bench.source.damage
    assert damage.startswith("unplugged: no new frames for 1")


def test_the_state_is_kept_during_an_outage_and_stop_ends_it() -> None:
    bench = Bench([1, "unplugged"], outages=[(0.1, 1e9)])
    bench.read()
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        assert bench.source.state == "unplugged"
        if len(waits) == 4:
            bench.source.stop()
        return len(waits) == 4

    bench.source._wait = wait
    assert bench.source.read() is None
    assert waits == [0.5, 1, 2, 4]
    bench.source.close()


def test_the_wait_ends_at_once_when_another_thread_stops_the_source() -> None:
    def reopen() -> Camera:
        raise DeviceError("gone")

    source = Reconnecting(Camera(iter(["unplugged"]), Clock()), reopen, "camera 0")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(source.read)
        source.stop()
        assert read.result(timeout=60) is None
    source.close()
