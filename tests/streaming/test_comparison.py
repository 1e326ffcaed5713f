"""Photo and painting side by side, in RGB and in NV12."""

from fractions import Fraction

import numpy as np
import pytest

from livestyle.frame import Frame
from livestyle.look import Look
from livestyle.networks import ARCHITECTURES
from livestyle.networks.body import Body
from livestyle.streaming.comparison import compare, compared, with_photos
from livestyle.streaming.pipeline import Painted

LOOK = Look(Body(ARCHITECTURES["lite"], {}), np.zeros((2, 3), np.float32))


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.0, [255, 255, 200, 200, 200, 200, 200, 200, 200]),
        (0.5, [10, 10, 10, 10, 255, 255, 200, 200, 200]),
        (0.9, [10, 10, 10, 10, 10, 10, 10, 10, 255]),
        (1.0, [10, 10, 10, 10, 10, 10, 10, 10, 255]),
    ],
)
def test_compare_joins_photo_line_and_painting(share: float, expected: list[int]) -> None:
    photo, painting = (np.full((2, 9, 3), grey, np.uint8) for grey in (10, 200))
    joined = compare(photo, painting, share)
    assert joined.shape == (2, 9, 3)
    assert joined[0, :, 0].tolist() == joined[1, :, 2].tolist() == expected
    assert photo.max() == 10
    assert painting.min() == 200


def test_compare_divides_the_chroma_of_nv12_at_a_pair() -> None:
    """4x6 pixels: four rows of luma, two of chroma pairs. Half of the width is 3, which would divide a pair."""
    photo, painting = (np.full((6, 6), grey, np.uint8) for grey in (10, 200))
    joined = compare(photo, painting, 0.5)
    assert joined.tolist() == [[10, 10, 255, 255, 200, 200]] * 4 + [[10, 10, 128, 128, 200, 200]] * 2


def test_stages_keep_the_times_and_attach_photos() -> None:
    photo, painting = (np.full((2, 8, 3), grey, np.uint8) for grey in (10, 200))
    item = Painted(Frame(painting, Fraction(1, 3), 2.0, Fraction(1, 25)), photo, LOOK)
    (found,) = with_photos(compared([item]))
    assert (found.frame.pts_seconds, found.frame.captured_at) == (Fraction(1, 3), 2.0)
    assert np.array_equal(found.frame.image, compare(photo, painting, 0.5))
    assert found.frame.photo is photo
