import io
from fractions import Fraction

import numpy as np
import pytest

from livestyle.errors import OutputError
from livestyle.frame import Frame, StreamInfo
from livestyle.sinks.raw import RawFrames

INFO = StreamInfo(2, 1, rate=Fraction(10))


def written(*times: float) -> list[int]:
    """Write a frame at each of these times, in tenths of a second. Returns the numbers of the frames in the output."""
    file = io.BytesIO()
    sink = RawFrames(file, INFO)
    for number, time in enumerate(times):
        sink.write(Frame(np.full((1, 2, 3), number, np.uint8), Fraction(time) / 10))
    sink.close()
    data = file.getvalue()
    assert len(data) % 6 == 0
    return [data[start] for start in range(0, len(data), 6)]


def test_frames_at_the_rate_are_written_once() -> None:
    assert written(0, 1, 2, 3) == [0, 1, 2, 3]


def test_a_dropped_frame_is_replaced_by_the_one_before() -> None:
    assert written(5, 6, 9, 10) == [0, 1, 1, 1, 2, 3]


def test_frames_above_the_rate_are_left_out() -> None:
    assert written(0, 0.25, 0.4, 1, 1.25, 2) == [0, 3, 5]


def test_frames_repeated_in_a_pause_are_left_out() -> None:
    assert written(0, 1, 1, 1, 2) == [0, 1, 4]


def test_a_long_gap_is_not_filled() -> None:
    assert written(0, 1, 600, 601, 603) == [0, 1, 2, 3, 3, 4]


def test_a_closed_pipe_is_an_output_error() -> None:
    file = io.BytesIO()
    sink = RawFrames(file, INFO)
    file.close()
    with pytest.raises(OutputError, match="cannot be written"):
        sink.write(Frame(np.zeros((1, 2, 3), np.uint8), Fraction(0)))
