"""The shift error and the lattice: values worked out by hand, and the script that defines them."""

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livestyle.frame import Image
from livestyle.train.measure.shift_error import LEAST_HEIGHT, LEAST_WIDTH, lattice, shift_error

DEFINITION = Path(__file__).resolve().parents[3] / "shared" / "shift_error.py"


def noise(height: int, width: int) -> Image:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def darken_even_columns(photo: Image) -> Image:
    """Darkens every other column by 10 levels, counted from the picture's left side, as aliasing with a period of 2 does."""
    painted = photo.copy()
    painted[:, ::2] -= np.minimum(painted[:, ::2], 10)
    return painted


def test_painter_of_single_pixels_has_no_shift_error() -> None:
    photo = noise(100, 120)
    assert shift_error(lambda photo: 255 - photo, photo, 255 - photo) == 0


def test_shift_error_of_stripes_fixed_to_the_picture_by_hand() -> None:
    """Stripes with a period of 2 differ by 10 everywhere for shifts by 1, 3 and not for shifts by 2, 4 and 6: sqrt(2/5 100)."""
    photo = np.full((100, 120, 3), 128, np.uint8)
    assert shift_error(darken_even_columns, photo, darken_even_columns(photo)) == pytest.approx((2 / 5 * 100) ** 0.5)


def test_rim_is_not_compared() -> None:
    def frame(photo: Image) -> Image:
        painted = photo.copy()
        painted[:34] = painted[:, :34] = 0  # a shift by 6 moves it to pixel 39
        return painted

    photo = noise(100, 120)
    assert shift_error(frame, photo, frame(photo)) == 0


def test_photo_needs_one_pixel_inside_the_rim_after_each_shift() -> None:
    assert (LEAST_WIDTH, LEAST_HEIGHT) == (2 * 40 + 6 + 1, 2 * 40 + 5 + 1)
    least = np.full((LEAST_HEIGHT, LEAST_WIDTH, 3), 128, np.uint8)
    assert shift_error(darken_even_columns, least, darken_even_columns(least)) == pytest.approx(40**0.5)
    for small in (least[1:], least[:, 1:]):
        assert shift_error(darken_even_columns, small, darken_even_columns(small)) is None


def test_lattice_by_hand() -> None:
    """Columns 7 to 8, 15 to 16 ... differ by 80, others not: averages of (0, 0, 0, 0, 0, 0, 0, 80) vary by sqrt(7) of their mean.

    The 24 differences between 25 columns hold three whole periods. Rows have no edges.
    """
    painted = np.zeros((30, 25, 3), np.uint8)
    painted[:, 8:16] = painted[:, 24:] = 80
    assert lattice(painted) == pytest.approx((7**0.5 + 0) / 2)


def test_lattice_of_even_edges_is_0() -> None:
    y, x = np.mgrid[:33, :41]
    assert lattice(np.repeat((2 * x + 3 * y)[..., None], 3, 2).astype(np.uint8)) == pytest.approx(0, abs=1e-12)
    assert lattice(np.full((20, 20, 3), 7, np.uint8)) == 0


@pytest.fixture(scope="module")
def definition() -> dict[str, Any]:
    """The names of ../shared/shift_error.py, without the call of main at its end."""
    if not DEFINITION.exists():
        pytest.skip("../shared/shift_error.py, which defines the shift error, is not there")
    names: dict[str, Any] = {"__name__": "shared_shift_error"}
    tree = ast.parse(DEFINITION.read_text())
    tree.body = [node for node in tree.body if not isinstance(node, ast.Expr)]
    exec(compile(tree, str(DEFINITION), "exec"), names)
    return names


def test_figures_equal_those_of_the_definition(definition: dict[str, Any]) -> None:
    def blend(photo: Image) -> Image:  # averages neighbours, and adds a grid with a period of 4
        wide = photo.astype(np.float64)
        wide = (wide + np.roll(wide, 1, 0) + np.roll(wide, 1, 1)) / 4
        wide[::4] += 40
        wide[:, ::4] += 20
        return wide.astype(np.uint8)

    photo = noise(110, 140)
    painted = blend(photo)
    assert shift_error(blend, photo, painted) == pytest.approx(definition["shift_error"](blend, photo, painted.astype(float)))
    assert lattice(painted) == pytest.approx(definition["lattice"](painted.astype(float)))
