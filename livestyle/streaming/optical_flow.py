"""Dense optical flow: where each pixel of one picture is in another.

A flow from one picture to another is (H, W, 2), x and y in pixels: the point at p in the one is at p + flow[p] in the other.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.frame import FloatArray, Image

Mask = NDArray[np.bool_]

FAST = cv2.DISOPTICAL_FLOW_PRESET_FAST
EXACT = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM

LEAST_SIDE = 32  # pixels: DIS halves pictures as many times as their width allows, and fails if they become too small
WIDEST = 4  # largest ratio of width to height, for the same reason


def find_flow(one: Image, other: Image, preset: int) -> FloatArray:
    """Estimate the flow from one grey picture (H, W) uint8 to another: (H, W, 2). DIS, Kroeger et al. 2016."""
    height, width = one.shape
    below, right = max(0, LEAST_SIDE - height, -(-width // WIDEST) - height), max(0, LEAST_SIDE - width)
    if below or right:
        one, other = (_extended(picture, below, right) for picture in (one, other))
    start: Any = None  # an array would be used as the initial flow
    return np.asarray(cv2.DISOpticalFlow.create(preset).calc(one, other, start), np.float32)[:height, :width]


def _extended(picture: Image, below: int, right: int) -> Image:
    """Repeat the last row and column."""
    return np.asarray(cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_REPLICATE), np.uint8)


def places(flow: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return p + flow[p]: x and y, (H, W) each."""
    height, width = flow.shape[:2]
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    return flow[..., 0] + x, flow[..., 1] + y[:, None]


def warped(other: NDArray[Any], flow: FloatArray) -> NDArray[Any]:
    """Sample the other picture (H, W, ...) at p + flow[p], so that it aligns with the one. Its borders are repeated outwards."""
    x, y = places(flow)
    return np.asarray(cv2.remap(other, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def seen_in_both(flow: FloatArray, back: FloatArray) -> Mask:
    """(H, W): which pixels of the one are visible in the other. flow: from the one to the other; back: the reverse.

    Excludes pixels where the two flows disagree, where the flow changes abruptly, and that are outside the other picture.
    Ruder et al. 2016, section 4.1; Lai et al. 2018.
    """
    there = warped(back, flow)  # (H, W, 2)
    square = _square(flow)
    agree = _square(flow + there) <= 0.01 * (square + _square(there)) + 0.5
    across, down = np.zeros_like(square), np.zeros_like(square)
    across[:, :-1] = _square(np.diff(flow, axis=1))
    down[:-1] = _square(np.diff(flow, axis=0))
    smooth = across + down <= 0.01 * square + 0.002
    return agree & smooth & inside(flow)


def inside(flow: FloatArray) -> Mask:
    """(H, W): which pixels are within the other picture."""
    height, width = flow.shape[:2]
    x, y = places(flow)
    within: Mask = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return within


def _square(flow: FloatArray) -> FloatArray:
    """Squared length of each vector: (H, W)."""
    return flow[..., 0] * flow[..., 0] + flow[..., 1] * flow[..., 1]
