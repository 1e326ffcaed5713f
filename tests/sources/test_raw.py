"""Raw frames from pipes and files."""

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clock import Clock

from livestyle.errors import InputError
from livestyle.sources.raw import RawFrames

WIDTH, HEIGHT = 4, 3
FRAME_BYTES = 3 * WIDTH * HEIGHT


def frame_bytes(*levels: int) -> bytes:
    """A frame of each of the grey levels."""
    return b"".join(bytes([level]) * FRAME_BYTES for level in levels)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The reading and the writing end of a pipe."""
    ends = os.pipe()
    yield ends
    for end in ends:
        with suppress(OSError):  # the test has closed it
            os.close(end)


Open = Callable[[bytes], RawFrames]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(pipe: tuple[int, int], clock: Clock) -> Open:
    """Function opened(data): a source of a pipe that contains the data, and that the writer has closed."""

    def open_raw(data: bytes) -> RawFrames:
        os.write(pipe[1], data)
        os.close(pipe[1])
        return RawFrames(WIDTH, HEIGHT, rate=10, descriptor=pipe[0], clock=clock, wait=clock.sleep)

    return open_raw


def test_rows_columns_and_channels_are_in_the_order_of_the_bytes(opened: Open) -> None:
    frame = opened(bytes(range(FRAME_BYTES))).read()
    assert frame is not None
    assert np.array_equal(frame.image, np.arange(FRAME_BYTES).reshape(HEIGHT, WIDTH, 3))


def test_frames_that_are_all_there_are_read_at_the_rate(opened: Open) -> None:
    source = opened(frame_bytes(1, 2, 3))
    frames = [frame for _ in range(3) if (frame := source.read())]
    assert [frame.image[0, 0, 0] for frame in frames] == [1, 2, 3]
    assert [frame.captured_at for frame in frames] == pytest.approx([100, 100.1, 100.2])
    assert [frame.pts_seconds for frame in frames] == [0, Fraction(1, 10), Fraction(1, 5)]
    assert source.read() is None
    assert source.damage == []


def test_delayed_frames_are_read_at_once_for_up_to_a_second(opened: Open, clock: Clock) -> None:
    source = opened(frame_bytes(*range(30)))
    source.read()
    clock.now += 0.35
    assert [frame.captured_at for _ in range(4) if (frame := source.read())] == pytest.approx([100.35, 100.35, 100.35, 100.4])
    clock.now += 50
    late = [frame.captured_at for _ in range(13) if (frame := source.read())]
    assert late == pytest.approx([150.4] * 11 + [150.5, 150.6])


def test_frame_that_is_larger_than_the_pipe_is_whole(pipe: tuple[int, int]) -> None:
    source = RawFrames(500, 400, descriptor=pipe[0])
    data = np.random.default_rng(0).bytes(500 * 400 * 3)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(source.read)
        with os.fdopen(pipe[1], "wb") as writer:
            writer.write(data)
        frame = read.result(timeout=60)
    source.close()
    assert frame is not None
    assert frame.image.tobytes() == data


def test_incomplete_last_frame_is_damage(opened: Open) -> None:
    source = opened(frame_bytes(1) + b"12345")
    assert source.read() is not None
    assert source.read() is None
    assert source.read() is None
    assert source.damage == ["standard input ended within a frame: 5 of its 36 bytes; is the size right?"]


@pytest.mark.parametrize(
    ("data", "message"), [(b"", "it is empty"), (b"12345", "the first frame of 4x3 is incomplete: 5 of its 36 bytes")]
)
def test_less_than_one_frame_is_an_input_error(opened: Open, data: bytes, message: str) -> None:
    source = opened(data)
    with pytest.raises(InputError, match=f"no frame on standard input: {message}"):
        source.read()
    source.close()


@pytest.mark.skipif(sys.platform == "win32", reason="cannot end a read from a pipe")
@pytest.mark.parametrize("data", [b"", b"12345"])
def test_stop_ends_a_read_from_a_pipe_that_nothing_is_written_to(pipe: tuple[int, int], data: bytes) -> None:
    source = RawFrames(WIDTH, HEIGHT, descriptor=pipe[0])
    os.write(pipe[1], data)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(source.read)
        source.stop()
        assert read.result(timeout=60) is None
    source.close()
    assert source.damage == []
    os.fstat(pipe[0])  # is not closed


def test_state_reports_that_no_frame_has_arrived_for_two_seconds(pipe: tuple[int, int], clock: Clock) -> None:
    source = RawFrames(WIDTH, HEIGHT, descriptor=pipe[0], clock=clock)
    assert source.state == ""
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(source.read)
        while source.state == "" and not read.done():  # the thread has not begun to wait
            clock.now += 1.9
        assert source.state == "standard input gives no frames"
        os.write(pipe[1], frame_bytes(1))
        assert read.result(timeout=60) is not None
    clock.now += 5
    assert source.state == ""
    source.close()


@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminals")
def test_terminal_is_an_input_error() -> None:
    ends = os.openpty()
    try:
        with pytest.raises(InputError, match="standard input is a terminal; pipe raw frames into it") as caught:
            RawFrames(WIDTH, HEIGHT, descriptor=ends[1])
    finally:
        for end in ends:
            os.close(end)
    assert "-f rawvideo -pix_fmt rgb24 - | livestyle webcam --camera -" in caught.value.advice


@pytest.mark.skipif(sys.platform == "win32", reason="cannot open a folder")
def test_folder_is_an_input_error(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(InputError, match="cannot read standard input: "):
            RawFrames(WIDTH, HEIGHT, descriptor=folder)
    finally:
        os.close(folder)


@pytest.mark.parametrize("rate", [0, -1, 1001, Fraction(1, 11)])
def test_rate_out_of_range_is_an_input_error(rate: Fraction, pipe: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=r"the rate must be from 0\.1 to 1000"):
        RawFrames(WIDTH, HEIGHT, rate=rate, descriptor=pipe[0])
