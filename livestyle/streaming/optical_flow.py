"""Dense optical flow: the motion of each pixel from one picture to another.

A flow from `one` to `other` is (H, W, 2), x and y in pixels: the point at p in `one` is at p + flow[p] in `other`.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.frame import FloatArray, Image

Mask = NDArray[np.bool_]

FAST = cv2.DISOPTICAL_FLOW_PRESET_FAST
EXACT = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM

LEAST_SIDE = 32  # pixels. DIS halves pictures as often as their width allows, and fails if they become too small
WIDEST = 4  # largest width / height, for the same reason


def find_flow(one: Image, other: Image, preset: int) -> FloatArray:
    """Estimate the flow from one grey picture, (H, W) uint8, to another, by DIS (Kroeger et al. 2016).

    preset: FAST or EXACT. Returns (H, W, 2) fp32.
    """
    height, width = one.shape
    below, right = max(0, LEAST_SIDE - height, -(-width // WIDEST) - height), max(0, LEAST_SIDE - width)
    if below or right:
        one, other = (_extended(picture, below, right) for picture in (one, other))
    start: Any = None  # an array would be used as the initial flow
    return np.asarray(cv2.DISOpticalFlow.create(preset).calc(one, other, start), np.float32)[:height, :width]


def _extended(picture: Image, below: int, right: int) -> Image:
    """Pad a grey picture by repeating its last row and column. below, right: pixels to add."""
    return np.asarray(cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_REPLICATE), np.uint8)


def places(flow: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return p + flow[p] for every pixel p: x and y, (H, W) each."""
    height, width = flow.shape[:2]
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    return flow[..., 0] + x, flow[..., 1] + y[:, None]


def warped(other: NDArray[Any], flow: FloatArray) -> NDArray[Any]:
    """Warp `other`, (H, W, ...), to align with `one`: sample it at p + flow[p]. Outside, its border pixels are repeated."""
    x, y = places(flow)
    return np.asarray(cv2.remap(other, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def seen_in_both(flow: FloatArray, back: FloatArray) -> Mask:
    """Mask (H, W) of the pixels of `one` that are visible in `other`. flow: from `one` to `other`; back: from `other` to `one`.

    Excludes pixels where the two flows disagree, where the flow changes abruptly, or that move out of the picture (Ruder et
    al. 2016, section 4.1; Lai et al. 2018).
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
    """Mask (H, W) of the pixels p for which p + flow[p] is inside the picture."""
    height, width = flow.shape[:2]
    x, y = places(flow)
    within: Mask = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return within


def _square(flow: FloatArray) -> FloatArray:
    """Squared length of each vector of a flow: (H, W)."""
    return flow[..., 0] * flow[..., 0] + flow[..., 1] * flow[..., 1]
