"""Sizes to paint at."""

from typing import Any

import numpy as np
import pytest

from livestyle.errors import LivestyleError, OutputError
from livestyle.size import LARGEST_SIDE, LARGEST_VIDEO_SIDE, Size, as_size, fit_size, video_size


@pytest.mark.parametrize(
    ("given", "size"),
    [(None, None), (720, (None, 720)), ((1280, 720), (1280, 720)), ((None, 9), (None, 9)), (np.int64(9), (None, 9))],
)
def test_size_is_a_box_or_a_height(given: Any, size: Size | None) -> None:
    assert as_size(given) == size


@pytest.mark.parametrize("given", [0, -1, LARGEST_SIDE + 1, (0, 9), (9, 0), (9, None), (1, 2, 3), "720", 7.5, np.nan], ids=str)
def test_invalid_size_is_refused(given: Any) -> None:
    with pytest.raises(LivestyleError, match="is not a size"):
        as_size(given)


@pytest.mark.parametrize(
    ("size", "expected"),
    [(None, (40, 30)), ((None, 15), (20, 15)), ((20, 100), (20, 15)), ((100, 15), (20, 15)), ((None, 60), (80, 60))],
)
def test_picture_is_scaled_to_fit_with_its_aspect_ratio(size: Size | None, expected: tuple[int, int]) -> None:
    assert fit_size(40, 30, size) == expected


@pytest.mark.parametrize(
    ("width", "height", "size", "expected"),
    [
        *((1920, 1080, (None, 480), (854, 480)), (1280, 536, (None, 480), (1146, 480))),
        *((1920, 1080, (None, 481), (856, 480)), (1080, 1920, (853, 853), (480, 852)), (3, 1000, (None, 100), (2, 100))),
        *((853, 481, None, (853, 481)), (64, 48, (None, 1), (2, 2))),
    ],
)
def test_sides_of_scaled_videos_are_even(width: int, height: int, size: Size | None, expected: tuple[int, int]) -> None:
    assert video_size(width, height, size) == expected


def test_video_too_large_for_encoders_is_refused() -> None:
    assert video_size(16, 9, (None, 9216)) == (LARGEST_VIDEO_SIDE, 9216)
    with pytest.raises(OutputError, match=f"at most {LARGEST_VIDEO_SIDE} pixels"):
        video_size(16, 9, (None, 9218))
