"""What every sink has to do. To add one: a function (folder, info) -> (sink, files it leaves when complete), in SINKS."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from livestyle.errors import OutputError
from livestyle.frame import Frame, Sink, StreamInfo
from livestyle.sinks.video import VideoWriter

INFO = StreamInfo(64, 48, rate=Fraction(10), time_base=Fraction(1, 10))

Factory = Callable[[Path, StreamInfo], tuple[Sink, list[str]]]


def video_writer(name: str, **options: str) -> Factory:
    return lambda folder, info: (VideoWriter(folder / name, info, **options), [name])


SINKS: dict[str, Factory] = {
    "mp4": video_writer("out.mp4"),
    "mov": video_writer("out.mov"),
    "mkv": video_writer("out.mkv"),
    "webm": video_writer("out.webm"),
}


@pytest.fixture(params=SINKS)
def opened(request, tmp_path):
    sink, files = SINKS[request.param](tmp_path, INFO)
    yield sink, files
    sink.close(RuntimeError("the test is over"))


def frame(number):
    return Frame(np.full((48, 64, 3), number * 20, np.uint8), Fraction(number, 10))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_complete_leaves_its_files(opened, tmp_path):
    sink, files = opened
    for number in range(5):
        sink.write(frame(number))
    sink.close()
    assert names(tmp_path) == files
    assert all((tmp_path / name).stat().st_size for name in files)


def test_an_error_leaves_nothing(opened, tmp_path):
    sink, _ = opened
    sink.write(frame(0))
    sink.close(ValueError("something else broke"))
    assert names(tmp_path) == []


def test_an_interrupt_keeps_what_was_written(opened, tmp_path):
    sink, files = opened
    for number in range(5):
        sink.write(frame(number))
    sink.close(KeyboardInterrupt())
    left = names(tmp_path)
    assert left
    assert not set(left) & set(files)


def test_closes_twice(opened, tmp_path):
    sink, files = opened
    sink.write(frame(0))
    sink.close()
    sink.close()
    sink.close(ValueError("too late to matter"))
    assert names(tmp_path) == files


def test_leaves_the_frame_alone(opened):
    sink, _ = opened
    given = frame(3)
    copy = given.image.copy()
    sink.write(given)
    assert np.array_equal(given.image, copy)


def test_refuses_a_frame_of_another_size(opened):
    sink, _ = opened
    with pytest.raises(OutputError, match="32x24"):
        sink.write(Frame(np.zeros((24, 32, 3), np.uint8), Fraction(0)))


def test_without_a_frame_there_is_no_file(opened, tmp_path):
    sink, _ = opened
    with pytest.raises(OutputError):
        sink.close()
    assert names(tmp_path) == []
