"""Paint with larger brush strokes: paint a smaller photo, enlarge the painting, and restore the photo's detail."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.frame import Image

SHARPNESS = 2.0  # strength of the sharpening of the strokes' edges, which enlarging blurs; higher values make them jagged
LEAST_GAIN = 0.5  # share of the photo's detail that is restored where the painting does not follow the photo
GRAIN = 3  # grey levels; detail weaker than this is camera noise
NEIGHBOURHOOD = 5  # side of the square in which photo and painting are compared, in pixels of the painting
FLAT = 25.0  # squared grey levels; where the photo's variance is lower, the comparison is unreliable
BYTES_PER_PIXEL = 24  # peak memory of `paint_larger`, per pixel of the photo


def paint_larger(paint: Callable[[Image], Image], photo: Image, stroke_size: float) -> Image:
    """Paint (H, W, 3) uint8 RGB at 1 / stroke_size of its width and height, then enlarge the painting to (H, W, 3) uint8 RGB.

    paint: (h, w, 3) uint8 RGB -> the same shape. stroke_size: up to 1, the photo is painted at its own size.
    """
    height, width = photo.shape[:2]
    small_size = max(1, round(width / stroke_size)), max(1, round(height / stroke_size))
    if stroke_size <= 1 or small_size == (width, height):
        return paint(photo)
    small = np.asarray(cv2.resize(photo, small_size, interpolation=cv2.INTER_AREA), np.uint8)  # (h, w, 3)
    painted = paint(small)
    grey = np.asarray(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), np.uint8)  # (H, W)
    small_grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)  # (h, w)
    seen = _enlarged(small_grey, width, height)
    detail = np.asarray(cv2.subtract(grey, seen, dtype=cv2.CV_16S), np.int16)  # (H, W), what is missing in the small photo
    gain = cv2.resize(_gain(small_grey, painted), (width, height), interpolation=cv2.INTER_LINEAR)
    kept = cv2.multiply(_without_grain(detail), gain, scale=1 / 128, dtype=cv2.CV_16S)  # (H, W)
    del detail, gain, grey, seen
    enlarged = _enlarged(painted, width, height)
    return np.asarray(cv2.add(enlarged, cv2.merge([kept, kept, kept]), dtype=cv2.CV_8U), np.uint8)


def _enlarged(painted: Image, width: int, height: int) -> Image:
    """Enlarge (h, w[, 3]) uint8 to (height, width[, 3]), with sharp edges.

    Each value is clipped to the range of its neighbourhood, so that sharpening makes no halos.
    """
    enlarged = cv2.resize(painted, (width, height), interpolation=cv2.INTER_CUBIC)
    factor = max(width / painted.shape[1], height / painted.shape[0])
    around = cv2.getStructuringElement(cv2.MORPH_RECT, (2 * round(factor / 2) + 1,) * 2)
    darkest, brightest = cv2.erode(enlarged, around), cv2.dilate(enlarged, around)
    blurred = cv2.GaussianBlur(enlarged, (0, 0), 0.8 * factor)
    sharp = cv2.addWeighted(enlarged, 1 + SHARPNESS, blurred, -SHARPNESS, 0)
    return np.asarray(cv2.min(cv2.max(sharp, darkest), brightest), np.uint8)


def _gain(grey: Image, painted: Image) -> Image:
    """The local contrast of the painting relative to the photo's, in units of 1/128: (h, w) uint8.

    grey: the small photo, (h, w) uint8. painted: its painting, (h, w, 3) uint8.
    """
    photo = grey.astype(np.float32)
    painting = cv2.cvtColor(painted, cv2.COLOR_RGB2GRAY).astype(np.float32)

    def mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.blur(values, (NEIGHBOURHOOD, NEIGHBOURHOOD)), np.float32)

    covariance = mean(photo * painting) - mean(photo) * mean(painting)
    variance = mean(photo * photo) - mean(photo) ** 2
    slope = mean(np.clip(covariance / (variance + FLAT), LEAST_GAIN, 1))  # of the painting's grey over the photo's
    return np.round(slope * 128).astype(np.uint8)


def _without_grain(detail: NDArray[np.int16]) -> NDArray[np.int16]:
    """Move each value towards 0 by GRAIN (soft thresholding): (H, W) int16 -> (H, W) int16."""
    return np.asarray(cv2.subtract(detail, np.clip(detail, -GRAIN, GRAIN)), np.int16)
