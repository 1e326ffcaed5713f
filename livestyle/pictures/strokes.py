"""Larger strokes: a photo painted at a smaller size, brought back to its own with the photo's detail."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.frame import Image

SHARPNESS = 2.0  # of the strokes' edges, which enlarging blurs; more gives steps
LEAST_GAIN = 0.5  # of the photo's detail where the painting does not follow the photo
GRAIN = 3  # grey levels; detail below is noise of the camera
WINDOW = 5  # painted pixels in which photo and painting are compared
FLAT = 25.0  # squared grey levels: a photo that varies less says nothing about the painting
BYTES_PER_PIXEL = 24  # of the photo, while it is enlarged


def paint_larger(paint: Callable[[Image], Image], photo: Image, stroke_size: float) -> Image:
    """(H, W, 3) uint8 RGB -> the same shape, painted at 1 / stroke_size of its size. `paint` keeps the shape of a picture."""
    height, width = photo.shape[:2]
    small_size = max(1, round(width / stroke_size)), max(1, round(height / stroke_size))
    if stroke_size <= 1 or small_size == (width, height):
        return paint(photo)
    small = np.asarray(cv2.resize(photo, small_size, interpolation=cv2.INTER_AREA), np.uint8)  # (h, w, 3)
    painted = paint(small)
    grey = np.asarray(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), np.uint8)  # (H, W)
    small_grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)  # (h, w)
    seen = _enlarged(small_grey, width, height)
    detail = np.asarray(cv2.subtract(grey, seen, dtype=cv2.CV_16S), np.int16)  # (H, W), what the painter did not see
    gain = cv2.resize(_gain(small_grey, painted), (width, height), interpolation=cv2.INTER_LINEAR)
    kept = cv2.multiply(_without_grain(detail), gain, scale=1 / 128, dtype=cv2.CV_16S)  # (H, W)
    del detail, gain, grey, seen
    enlarged = _enlarged(painted, width, height)
    return np.asarray(cv2.add(enlarged, cv2.merge([kept, kept, kept]), dtype=cv2.CV_8U), np.uint8)


def _enlarged(painted: Image, width: int, height: int) -> Image:
    """(h, w[, 3]) uint8 -> (height, width[, 3]) with sharp edges and no halos: nothing is brighter or darker than around it."""
    enlarged = cv2.resize(painted, (width, height), interpolation=cv2.INTER_CUBIC)
    factor = max(width / painted.shape[1], height / painted.shape[0])
    around = cv2.getStructuringElement(cv2.MORPH_RECT, (2 * round(factor / 2) + 1,) * 2)
    darkest, brightest = cv2.erode(enlarged, around), cv2.dilate(enlarged, around)
    blurred = cv2.GaussianBlur(enlarged, (0, 0), 0.8 * factor)
    sharp = cv2.addWeighted(enlarged, 1 + SHARPNESS, blurred, -SHARPNESS, 0)
    return np.asarray(cv2.min(cv2.max(sharp, darkest), brightest), np.uint8)


def _gain(grey: Image, painted: Image) -> Image:
    """How much of the photo's contrast the painting has at each place, in 128ths: (h, w) and (h, w, 3) uint8 -> (h, w) uint8."""
    photo = grey.astype(np.float32)
    painting = cv2.cvtColor(painted, cv2.COLOR_RGB2GRAY).astype(np.float32)

    def mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.blur(values, (WINDOW, WINDOW)), np.float32)

    covariance = mean(photo * painting) - mean(photo) * mean(painting)
    variance = mean(photo * photo) - mean(photo) ** 2
    slope = mean(np.clip(covariance / (variance + FLAT), LEAST_GAIN, 1))  # of the painting's grey over the photo's
    return np.round(slope * 128).astype(np.uint8)


def _without_grain(detail: NDArray[np.int16]) -> NDArray[np.int16]:
    """Nearer to 0 by GRAIN levels."""
    return np.asarray(cv2.subtract(detail, np.clip(detail, -GRAIN, GRAIN)), np.int16)
