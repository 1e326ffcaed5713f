"""Reduce flicker: mix the previous painting into the new one, along the motion of the photos.

The network paints every frame independently, so its strokes do not follow motion. Here the previous painting is warped by
the optical flow of the photos, and mixed into the new painting where both photos show the same thing; elsewhere the new
painting is left unchanged. Mixing different strokes would fade them more with every frame, so the contrast of the mixture is
raised to that of the new painting.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import cv2
import numpy as np

from livestyle.frame import FloatArray, Image
from livestyle.look import Look, Mix, bodies
from livestyle.streaming.optical_flow import FAST, find_flow, places, seen_in_both, warped
from livestyle.streaming.pipeline import Painted, Stage

MOST_PAST = 0.8  # largest share of the past painting, so that old strokes disappear after a few frames
SMALL_SIDE, LARGEST_STEP = 180, 4  # estimate motion on photos whose shorter side is 180 pixels, or a quarter if that is larger
AGREE, DISAGREE = 6.0, 18.0  # difference of two photos in grey levels: up to AGREE the same thing, from DISAGREE on another
LEAST_AGREEING = 0.25  # share of the pixels; less means a cut. Measured: .4 and more within scenes, .11 and less across cuts
STROKE = 5  # pixels: strokes are the difference from the mean over a square of this side
REGION = 8  # pixels: side of the squares in which the contrast of the strokes is measured
MOST_GAIN = 1.5  # by which contrast is raised
LARGEST_ROWS_CHANGE = 0.15  # relative to the rows. Measured: .28 and more between styles, .06 in a crossfade of 12 frames
LARGEST_STRENGTH_CHANGE = 0.09  # a key changes the strength by .1
LARGEST_SHARE_CHANGE = 0.1  # of a crossfade between two bodies


def smoothing(strength: float) -> Sequence[Stage]:
    """Stages that smooth with a strength from 0 (no stage) to 1."""
    return [partial(smoothed, strength=strength)] if strength > 0 else []


def smoothed(painted: Iterable[Painted], strength: float) -> Iterator[Painted]:
    """Mix each painting with the previous one. Frames must be RGB. strength: above 0, up to 1.

    Restarts with an unchanged painting at a scene cut, if the size changes, and if the look jumps.
    """
    share = np.float32(MOST_PAST * strength)
    past: Painted | None = None  # the last painting, smoothed; its photo is scaled down
    for item in painted:
        photo = _small(item.photo)
        if past is not None and past.frame.image.shape == item.frame.image.shape and not _jumps(past.look, item.look):
            flow, agreement = _follow(photo, past.photo)
            if np.count_nonzero(agreement) >= LEAST_AGREEING * agreement.size:
                mixed = _mixed(item.frame.image, past.frame.image, flow, agreement * share)
                item = item._replace(frame=replace(item.frame, image=mixed))
        past = item._replace(photo=photo)
        yield item


def _jumps(one: Look | Mix, other: Look | Mix) -> bool:
    """Whether the looks of consecutive frames differ by more than one step of a crossfade."""
    if one is other:
        return False
    if isinstance(one, Mix) or isinstance(other, Mix):
        before, after = _shares(one), _shares(other)
        return any(abs(before.get(body, 0) - after.get(body, 0)) > LARGEST_SHARE_CHANGE for body in before | after)
    if one.keep_colors != other.keep_colors or one.body != other.body:
        return True
    change = np.linalg.norm(other.rows - one.rows)
    strength_change = abs(other.strength - one.strength)
    return bool(change > LARGEST_ROWS_CHANGE * np.linalg.norm(one.rows) or strength_change > LARGEST_STRENGTH_CHANGE)


def _shares(look: Look | Mix) -> dict[Hashable, float]:
    """The share of each body in the picture."""
    return dict(zip(bodies(look), (1 - look.share, look.share) if isinstance(look, Mix) else (1.0,), strict=True))


def _small(photo: Image) -> Image:
    """Scale a photo, (H, W, 3), down to (h, w, 3) and blur it, to remove details smaller than the new pixels."""
    height, width = photo.shape[:2]
    short = min(height, width)
    step = max(1, short / max(SMALL_SIDE, short / LARGEST_STEP))
    small = cv2.resize(photo, (round(width / step), round(height / step)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), 0.8), np.uint8)


def _follow(photo: Image, past: Image) -> tuple[FloatArray, FloatArray]:
    """Estimate the flow from a small photo, (h, w, 3), to the past one: (h, w, 2), and its reliability, (h, w) in [0, 1]."""
    grey, past_grey = (np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8) for picture in (photo, past))
    flow = find_flow(grey, past_grey, FAST)
    seen = seen_in_both(flow, find_flow(past_grey, grey, FAST))
    difference = cv2.absdiff(photo, warped(past, flow).astype(np.uint8)).max(2).astype(np.float32)
    alike = np.clip((DISAGREE - difference) / (DISAGREE - AGREE), 0, 1)
    # pixels beside an unreliable region are unreliable too; the next ones get a lower weight
    agreement = cv2.blur(cv2.erode(np.where(seen, alike, np.float32(0)), np.ones((3, 3), np.uint8)), (3, 3))
    return flow, np.asarray(agreement, np.float32)


def _mixed(painting: Image, past: Image, flow: FloatArray, share: FloatArray) -> Image:
    """Mix the past painting into the new one, both (H, W, 3). flow, (h, w, 2), and share of the past, (h, w), are smaller."""
    height, width = painting.shape[:2]
    scale = np.array([width / flow.shape[1], height / flow.shape[0]], np.float32)
    x, y = places(_enlarged(flow, width, height) * scale)
    moved = cv2.remap(past, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)  # (H, W, 3)
    weight = _enlarged(share, width, height)  # (H, W)
    mixed = np.asarray(cv2.blendLinear(moved, painting, weight, 1 - weight), np.uint8)  # (H, W, 3)
    gain = 1 + _enlarged(_missing_contrast(mixed, painting), width, height) * (weight > 0)  # (H, W)
    return np.asarray(cv2.blendLinear(mixed, cv2.blur(mixed, (STROKE, STROKE)), gain, 1 - gain), np.uint8)


def _missing_contrast(mixed: Image, painting: Image) -> FloatArray:
    """Gain that raises the contrast of `mixed` to that of `painting`, minus 1, per region: (h, w) in [0, MOST_GAIN - 1]."""
    # half a grey level is added, as flat regions have only rounding errors
    ratio = (_contrast(painting) + 0.5) / (_contrast(mixed) + 0.5)
    return np.clip(ratio, 1, MOST_GAIN) - 1


def _contrast(picture: Image) -> FloatArray:
    """Contrast of the strokes of a picture, (H, W, 3), in grey levels, per region: (h, w), averaged over neighbouring regions."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    strokes = cv2.absdiff(grey, cv2.blur(grey, (STROKE, STROKE))).astype(np.float32)
    size = tuple(-(-side // REGION) for side in (picture.shape[1], picture.shape[0]))
    return np.asarray(cv2.blur(cv2.resize(strokes, size, interpolation=cv2.INTER_AREA), (3, 3)), np.float32)


def _enlarged(field: FloatArray, width: int, height: int) -> FloatArray:
    """Scale a field, (h, w, ...), up to (height, width, ...) by linear interpolation."""
    return np.asarray(cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
