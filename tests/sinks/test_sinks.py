"""What every sink has to do. To add one: a function (folder, info) -> (sink, files it leaves when complete), in SINKS."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from livestyle.errors import OutputError
from livestyle.frame import Frame, Sink, StreamInfo
from livestyle.sinks.video.writer import VideoWriter

INFO = StreamInfo(64, 48, rate=Fraction(10), time_base=Fraction(1, 10))

Opened = tuple[Sink, list[str]]
Factory = Callable[[Path, StreamInfo], Opened]


def video_writer(name: str) -> Factory:
    return lambda folder, info: (VideoWriter(folder / name, info), [name])


SINKS: dict[str, Factory] = {
    "mp4": video_writer("out.mp4"),
    "mov": video_writer("out.mov"),
    "mkv": video_writer("out.mkv"),
    "webm": video_writer("out.webm"),
}


@pytest.fixture(params=SINKS)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    sink, files = SINKS[request.param](tmp_path, INFO)
    yield sink, files
    sink.close(RuntimeError("the test is over"))


def frame(number: int) -> Frame:
    return Frame(np.full((48, 64, 3), number * 20, np.uint8), Fraction(number, 10))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_complete_leaves_its_files(opened: Opened, tmp_path: Path) -> None:
    sink, files = opened
    for number in range(5):
        sink.write(frame(number))
    sink.close()
    assert names(tmp_path) == files
    assert all((tmp_path / name).stat().st_size for name in files)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("something else broke"), OSError("disk full")], ids=repr)
def test_an_error_keeps_what_was_written(opened: Opened, tmp_path: Path, error: BaseException) -> None:
    sink, files = opened
    for number in range(5):
        sink.write(frame(number))
    sink.close(error)
    left = names(tmp_path)
    assert left
    assert not set(left) & set(files)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("something else broke")], ids=repr)
def test_an_error_before_the_first_frame_leaves_nothing(opened: Opened, tmp_path: Path, error: BaseException) -> None:
    sink, _ = opened
    sink.close(error)
    assert names(tmp_path) == []


def test_closes_twice(opened: Opened, tmp_path: Path) -> None:
    sink, files = opened
    sink.write(frame(0))
    sink.close()
    sink.close()
    sink.close(ValueError("too late to matter"))
    assert names(tmp_path) == files


def test_leaves_the_frame_alone(opened: Opened) -> None:
    sink, _ = opened
    given = frame(3)
    copy = given.image.copy()
    sink.write(given)
    assert np.array_equal(given.image, copy)


def test_refuses_a_frame_of_another_size(opened: Opened) -> None:
    sink, _ = opened
    with pytest.raises(OutputError, match="32x24"):
        sink.write(Frame(np.zeros((24, 32, 3), np.uint8), Fraction(0)))


def test_without_a_frame_there_is_no_file(opened: Opened, tmp_path: Path) -> None:
    sink, _ = opened
    with pytest.raises(OutputError):
        sink.close()
    assert names(tmp_path) == []
