"""Steadier paintings of moving pictures, with the previous frame's help.

The network paints each frame for itself, and its strokes do not follow what moves. Here the previous painting is brought
along with the photos' motion and mixed in, where the photos agree that it belongs there; elsewhere the new painting stays
as it is. Mixing strokes that differ would wash them out more with every frame, so the mixture gets back the contrast that
the new painting has: the past decides where strokes are, not how strong they are.
"""

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from livestyle.frame import FloatArray, Image
from livestyle.look import Look
from livestyle.streaming.optical_flow import FAST, find_flow, places, seen_in_both, warped

MOST_PAST = 0.8  # its greatest share: what no photo confirms any more is gone after a few frames
SMALL_SIDE, LARGEST_STEP = 180, 4  # motion is looked for in a photo of so many rows or columns, or of a fourth of its own
AGREE, DISAGREE = 6.0, 18.0  # grey levels between two photos: up to the first it is the same thing, from the second on another
LEAST_AGREEING = 0.25  # of a frame; with less there is a cut. Seen: .4 and more within scenes, .11 and less across cuts
STROKE = 5  # pixels: what differs from the mean over so many is a stroke
REGION = 8  # pixels, over which the strokes' contrast is measured, and its neighbours' too
MOST_GAIN = 1.5


@dataclass(frozen=True)
class Past:
    """What the next frame needs of this one."""

    look: Look
    photo: Image
    """(h, w, 3) uint8 RGB, small and soft."""
    painting: Image
    """(H, W, 3) uint8 RGB, as it was shown."""


class Smoothing(Protocol):
    """Frames are given in their order, each with the past that the one before gave back, None at the start."""

    def __call__(self, past: Past | None, photo: Image, painting: Image, look: Look) -> tuple[Image, Past | None]:
        """(H, W, 3) uint8 RGB, twice, and the look of the painting -> what is shown, and the next frame's past."""


class Unsmoothed:
    """Every frame for itself."""

    def __call__(self, past: Past | None, photo: Image, painting: Image, look: Look) -> tuple[Image, None]:
        return painting, None


class Smoothed:
    """strength: above 0, to 1. Begins anew at a cut, where the look changes, and where the size does."""

    def __init__(self, strength: float) -> None:
        self._share = np.float32(MOST_PAST * strength)

    def __call__(self, past: Past | None, photo: Image, painting: Image, look: Look) -> tuple[Image, Past]:
        small = _small(photo)
        if past is None or past.look != look or past.painting.shape != painting.shape:
            return painting, Past(look, small, painting)
        flow, agreement = _follow(small, past.photo)
        if np.count_nonzero(agreement) < LEAST_AGREEING * agreement.size:
            return painting, Past(look, small, painting)
        shown = _mixed(painting, past.painting, flow, agreement * self._share)
        return shown, Past(look, small, shown)


def smoothing(strength: float) -> Smoothing:
    """strength: from 0, none, to 1."""
    return Smoothed(strength) if strength > 0 else Unsmoothed()


def _small(photo: Image) -> Image:
    """(h, w, 3), soft, so that what is smaller than its pixels does not matter."""
    height, width = photo.shape[:2]
    short = min(height, width)
    step = max(1, short / max(SMALL_SIDE, short / LARGEST_STEP))
    small = cv2.resize(photo, (round(width / step), round(height / step)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), 0.8), np.uint8)


def _follow(photo: Image, past: Image) -> tuple[FloatArray, FloatArray]:
    """Two small photos, (h, w, 3) -> the flow to the past one, (h, w, 2), and how far it may be trusted, (h, w) in 0..1."""
    grey, past_grey = (np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8) for picture in (photo, past))
    flow = find_flow(grey, past_grey, FAST)
    seen = seen_in_both(flow, find_flow(past_grey, grey, FAST))
    difference = cv2.absdiff(photo, warped(past, flow).astype(np.uint8)).max(2).astype(np.float32)
    alike = np.clip((DISAGREE - difference) / (DISAGREE - AGREE), 0, 1)
    # a pixel at the rim of what agrees is not trusted, and its neighbour half
    agreement = cv2.blur(cv2.erode(np.where(seen, alike, np.float32(0)), np.ones((3, 3), np.uint8)), (3, 3))
    return flow, np.asarray(agreement, np.float32)


def _mixed(painting: Image, past: Image, flow: FloatArray, share: FloatArray) -> Image:
    """The painting with a share of the past one in it. flow: (h, w, 2) and share: (h, w), of a smaller size."""
    height, width = painting.shape[:2]
    scale = np.array([width / flow.shape[1], height / flow.shape[0]], np.float32)
    x, y = places(_enlarged(flow, width, height) * scale)
    moved = cv2.remap(past, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    weight = _enlarged(share, width, height)
    mixed = np.asarray(cv2.blendLinear(moved, painting, weight, 1 - weight), np.uint8)
    gain = 1 + _enlarged(_missing_contrast(mixed, painting), width, height) * (weight > 0)
    return np.asarray(cv2.blendLinear(mixed, cv2.blur(mixed, (STROKE, STROKE)), gain, 1 - gain), np.uint8)


def _missing_contrast(mixed: Image, painting: Image) -> FloatArray:
    """How much more contrast the painting's strokes have, (h, w) from 0 to MOST_GAIN - 1."""
    ratio = (_contrast(painting) + 0.5) / (_contrast(mixed) + 0.5)  # half a level: flat places have no strokes, but rounding
    return np.clip(ratio, 1, MOST_GAIN) - 1


def _contrast(picture: Image) -> FloatArray:
    """Of strokes, in grey levels, (h, w): by regions."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    strokes = cv2.absdiff(grey, cv2.blur(grey, (STROKE, STROKE))).astype(np.float32)
    size = tuple(-(-side // REGION) for side in (picture.shape[1], picture.shape[0]))
    return np.asarray(cv2.blur(cv2.resize(strokes, size, interpolation=cv2.INTER_AREA), (3, 3)), np.float32)


def _enlarged(field: FloatArray, width: int, height: int) -> FloatArray:
    return np.asarray(cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
