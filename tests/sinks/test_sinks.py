"""The contract of every sink. To test another sink, add a function (folder, info) -> (sink, names of its files) to SINKS."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from livestyle.errors import OutputError
from livestyle.frame import Frame, Sink, StreamInfo
from livestyle.sinks.video.writer import VideoWriter
from livestyle.streaming.fan_out import FanOut, Output, Policy

INFO = StreamInfo(64, 48, rate=Fraction(10), time_base=Fraction(1, 10))

Opened = tuple[Sink, list[str]]
Factory = Callable[[Path, StreamInfo], Opened]


def video_writer(name: str) -> Factory:
    return lambda folder, info: (VideoWriter(folder / name, info), [name])


def fan_out(policy: Policy) -> Factory:
    def opened(folder: Path, info: StreamInfo) -> Opened:
        outputs = [Output(name, VideoWriter(folder / name, info), policy) for name in ("one.mkv", "two.mp4")]
        return FanOut(outputs), ["one.mkv", "two.mp4"]

    return opened


SINKS: dict[str, Factory] = {
    "mp4": video_writer("out.mp4"),
    "mov": video_writer("out.mov"),
    "mkv": video_writer("out.mkv"),
    "webm": video_writer("out.webm"),
    "fan-out inline": fan_out(Policy.INLINE),
    "fan-out wait": fan_out(Policy.WAIT),
    "fan-out drop oldest": fan_out(Policy.DROP_OLDEST),
}


@pytest.fixture(params=SINKS)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    sink, files = SINKS[request.param](tmp_path, INFO)
    yield sink, files
    with suppress(OutputError):  # a fan-out reports a second failed output with a second call
        sink.close(RuntimeError("end of the test"))


def frame(number: int) -> Frame:
    return Frame(np.full((48, 64, 3), number * 20, np.uint8), Fraction(number, 10))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_completed_sink_leaves_its_files(opened: Opened, tmp_path: Path) -> None:
    sink, files = opened
    for number in range(5):
        sink.write(frame(number))
    sink.close()
    assert names(tmp_path) == files
    assert all((tmp_path / name).stat().st_size for name in files)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("unrelated"), OSError("disk full")], ids=repr)
def test_close_with_an_error_keeps_the_frames_under_another_name(opened: Opened, tmp_path: Path, error: BaseException) -> None:
    sink, files = opened
    for number in range(5):
        sink.write(frame(number))
    sink.close(error)
    left = names(tmp_path)
    assert left
    assert not set(left) & set(files)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("unrelated")], ids=repr)
def test_close_with_an_error_before_the_first_frame_leaves_no_file(opened: Opened, tmp_path: Path, error: BaseException) -> None:
    sink, _ = opened
    sink.close(error)
    assert names(tmp_path) == []


def test_close_is_idempotent(opened: Opened, tmp_path: Path) -> None:
    sink, files = opened
    sink.write(frame(0))
    sink.close()
    sink.close()
    sink.close(ValueError("after close"))
    assert names(tmp_path) == files


def test_write_does_not_modify_the_frame(opened: Opened) -> None:
    sink, _ = opened
    given = frame(3)
    copy = given.image.copy()
    sink.write(given)
    assert np.array_equal(given.image, copy)


def test_frame_of_another_size_raises(opened: Opened) -> None:
    """The error is raised by write, or by close if the sink writes in its own thread."""
    sink, _ = opened

    def write_and_close() -> None:
        sink.write(Frame(np.zeros((24, 32, 3), np.uint8), Fraction(0)))
        sink.close()

    with pytest.raises(OutputError, match="32x24"):
        write_and_close()


def test_close_without_a_frame_raises_and_leaves_no_file(opened: Opened, tmp_path: Path) -> None:
    sink, _ = opened
    with pytest.raises(OutputError):
        sink.close()
    assert names(tmp_path) == []
