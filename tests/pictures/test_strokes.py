"""Larger strokes: a smaller photo is painted, and the painting is enlarged with the photo's detail."""

import cv2
import numpy as np

from livestyle.frame import Image
from livestyle.pictures.strokes import paint_larger


def photo(height: int = 120, width: int = 180) -> Image:
    """A step, with lines of one pixel on both sides of it."""
    image = np.full((height, width, 3), 60, np.uint8)
    image[:, width // 2 :] = 180
    image[10::12] = 100
    return image


def test_stroke_size_1_returns_the_painting_unchanged() -> None:
    assert np.array_equal(paint_larger(lambda small: 255 - small, photo(), 1), 255 - photo())


def test_the_painter_gets_a_smaller_photo() -> None:
    shapes = []

    def paint(small: Image) -> Image:
        shapes.append(small.shape)
        return small

    for stroke_size in (3, 2.5, 50):
        assert paint_larger(paint, photo(), stroke_size).shape == photo().shape
    assert shapes == [(40, 60, 3), (48, 72, 3), (2, 4, 3)]


def test_detail_lost_in_the_smaller_photo_is_restored() -> None:
    enlarged = paint_larger(lambda small: small, photo(), 3)
    only_enlarged = cv2.resize(
        cv2.resize(photo(), (60, 40), interpolation=cv2.INTER_AREA), (180, 120), interpolation=cv2.INTER_CUBIC
    )
    lost = np.abs(only_enlarged.astype(int) - photo()).mean()
    assert np.abs(enlarged.astype(int) - photo()).mean() < lost / 2


def test_edges_are_sharp_and_have_no_halos() -> None:
    step = np.full((60, 90, 3), 60, np.uint8)
    step[:, 45:] = 180
    row = paint_larger(lambda small: small, step, 3)[30, :, 0].astype(int)
    assert row.min() >= 60 - 6
    assert row.max() <= 180 + 6
    assert (np.abs(row - step[30, :, 0]) > 12).sum() <= 2


def test_strokes_are_enlarged_by_the_stroke_size() -> None:
    def stripes(small: Image) -> Image:
        """Stripes, two pixels bright and two pixels dark, whatever the photo is."""
        columns = np.arange(small.shape[1]) // 2 % 2 * 200
        return np.broadcast_to(columns[None, :, None], small.shape).astype(np.uint8)

    flat = np.full((60, 96, 3), 128, np.uint8)
    row = paint_larger(stripes, flat, 4)[30, :, 0]
    assert np.flatnonzero(np.diff((row > 100).astype(int))).tolist() == [7, 15, 23, 31, 39, 47, 55, 63, 71, 79, 87]


def test_camera_noise_is_not_restored_as_detail() -> None:
    grain = np.random.default_rng(0).integers(-2, 3, (60, 90, 3)) + 128
    result = paint_larger(lambda small: np.full_like(small, 90), grain.astype(np.uint8), 3)
    assert (result == 90).all()
