"""Temporal stability of painted video: the warping error, and the flicker of a still scene.

Compare a style's figure with that of the unpainted clip, and with its style loss, because a style that changes little is steady
too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.errors import InputError
from livestyle.frame import FloatArray, Image
from livestyle.pictures.pixels import resize
from livestyle.pictures.reading import read_picture
from livestyle.sources.demo import Lake
from livestyle.sources.video.file import VideoFile
from livestyle.streaming.optical_flow import EXACT, Mask, find_flow, inside, seen_in_both, warped
from livestyle.train.content.drawn import tiles

Paint = Callable[[Image], Image]
"""(H, W, 3) uint8 RGB -> the same shape, such as a Stylizer. Called with a clip's frames in order."""

NOISE_SIGMA = 2.0  # of a camera in good light, grey levels
LEAST_SEEN = 0.25  # the share of a frame that is visible in the next: .4 and more in real clips, .11 and less across cuts
FINER = 3  # scenes are drawn at three times the resolution of the frames that are sampled from them
TRAVEL = 0.25  # a scene is larger than a frame by this share of its side


@dataclass(frozen=True)
class Steadiness:
    """The result on one clip."""

    clip: str
    measure: str
    """"warping error" or "flicker"; lower is steadier."""
    frames: int
    painted: float
    photos: float
    """The same measure of the unpainted clip."""

    @property
    def ratio(self) -> float:
        """painted / photos."""
        return self.painted / self.photos if self.photos else float("inf")


class Clip(Protocol):
    """Frames, and a measure for paintings of them."""

    @property
    def name(self) -> str: ...

    @property
    def measure(self) -> str: ...

    @property
    def frames(self) -> Sequence[Image]: ...

    def unsteadiness(self, pictures: Sequence[Image]) -> float:
        """The measure of one picture per frame, in order."""


@dataclass(frozen=True)
class MovingClip:
    """A clip with known optical flow. Its measure is the warping error."""

    name: str
    frames: list[Image]
    """(H, W, 3) uint8 RGB."""
    flows: list[FloatArray]
    """From each frame, except the last, to the next, (H, W, 2) in pixels."""
    seen: list[Mask]
    """The pixels that are visible in the next frame too, (H, W)."""
    measure: str = "warping error"

    def unsteadiness(self, pictures: Sequence[Image]) -> float:
        """The mean warping error of consecutive pictures; 0 if no pixel is visible in two."""
        known = zip(pairwise(pictures), self.flows, self.seen, strict=True)
        errors = [warping_error(*pair, flow, seen) for pair, flow, seen in known if seen.any()]
        return float(np.mean(errors)) if errors else 0.0


@dataclass(frozen=True)
class StillClip:
    """A still scene with sensor noise. Its measure is the flicker."""

    name: str
    frames: list[Image]
    measure: str = "flicker"

    def unsteadiness(self, pictures: Sequence[Image]) -> float:
        return flicker(pictures)


def measure_steadiness(paint: Paint, clip: Clip) -> Steadiness:
    """Paint a clip and measure the result, and the clip itself."""
    painted = clip.unsteadiness([paint(frame) for frame in clip.frames])
    return Steadiness(clip.name, clip.measure, len(clip.frames), painted, clip.unsteadiness(clip.frames))


def warping_error(previous: NDArray[Any], current: NDArray[Any], flow: FloatArray, seen: Mask) -> float:
    """Mean of (W(current) - previous)^2 over the channels of the pixels that are visible in both, where W warps the current
    picture to the previous one (Lai et al. 2018, section 4; also divided by the number of channels, as in their program).

    previous, current: (H, W, 3), uint8, or floats in [0, 1]. flow: from previous to current, (H, W, 2). seen: the visible pixels,
    (H, W). NaN if there are none.
    """
    difference = warped(_unit(current), flow) - _unit(previous)
    return float(np.square(difference[seen], dtype=np.float64).mean()) if seen.any() else float("nan")


def flicker(pictures: Sequence[Image]) -> float:
    """The standard deviation over time of each pixel and channel, averaged over both, in grey levels (0-255)."""
    total, squares = np.zeros((2, *pictures[0].shape))  # the values are integers, so sums of squares are exact
    for picture in pictures:
        total += picture
        squares += np.square(picture, dtype=np.float64)
    count = len(pictures)
    variance = (squares - total * total / count) / (count - 1)
    return float(np.sqrt(variance.clip(0)).mean())


def _unit(picture: NDArray[Any]) -> FloatArray:
    """uint8, or floats in [0, 1] -> fp32 in [0, 1]."""
    return picture.astype(np.float32) / np.float32(255 if picture.dtype == np.uint8 else 1)


# clips from files


def read_clip(path: Path, frames: int, height: int) -> MovingClip:
    """Read the first frames of a video, scaled down to at most this height, with optical flow by DIS.

    At a cut, no pixel counts as visible in both frames. Raises InputError if the video cannot be read, or no motion is found.
    """
    source = VideoFile(path, size=lambda w, h: _limit_height(w, h, height))
    pictures: list[Image] = []
    try:
        while len(pictures) < frames and (frame := source.read()) is not None:
            pictures.append(frame.image)
    finally:
        source.close()
    clip = track_motion(path.stem, pictures)
    if not any(seen.any() for seen in clip.seen):
        raise InputError(f"no motion can be tracked in the first {frames} frames of {path}; name another clip")
    return clip


def track_motion(name: str, pictures: list[Image]) -> MovingClip:
    """A clip of these frames, with optical flow by DIS."""
    grey = [np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8) for picture in pictures]
    flows, seen = [], []
    for previous, current in pairwise(grey):
        flow = find_flow(previous, current, EXACT)
        both = seen_in_both(flow, find_flow(current, previous, EXACT))
        flows.append(flow)
        seen.append(both if both.mean() >= LEAST_SEEN else np.zeros_like(both))
    return MovingClip(name, pictures, flows, seen)


def read_still(path: Path, frames: int, height: int) -> StillClip:
    """Read a photo, scaled down to at most this height, and add fresh sensor noise for each frame. Raises InputError."""
    photo = read_picture(path).image
    return still(path.stem, resize(photo, *_limit_height(photo.shape[1], photo.shape[0], height)), frames)


def _limit_height(width: int, height: int, most: int) -> tuple[int, int]:
    """(width, height), scaled down if the height is above `most`."""
    return (width, height) if height <= most else (max(1, round(width * most / height)), most)


def still(name: str, photo: Image, frames: int) -> StillClip:
    """A clip of a photo, (H, W, 3) uint8 RGB, with fresh noise in each frame, rounded to 8 bits."""
    rng = np.random.default_rng(0)
    noisy = [photo + rng.normal(0, NOISE_SIGMA, photo.shape) for _ in range(frames)]
    return StillClip(name, [np.clip(np.rint(picture), 0, 255).astype(np.uint8) for picture in noisy])


# clips drawn by code


def drawn_clips(frames: int, width: int, height: int) -> list[MovingClip]:
    """A pan, a zoom and a rotation over the demo scene, and a tiled disc that passes in front of it, all with exact flow.

    A frame's pixels are sampled with a Gaussian from a picture of a higher resolution, so that no shift changes their sharpness.
    """
    scene = _spots(Lake(*(round(side * FINER * (1 + TRAVEL)) for side in (width, height))).draw(0.0))
    times = [number - (frames - 1) / 2 for number in range(frames)]
    return [
        _moving("pan", scene, [_view(width, height, shift=(1.7 * t, -0.6 * t)) for t in times], (width, height)),
        _moving("zoom", scene, [_view(width, height, zoom=1.012**t) for t in times], (width, height)),
        _moving("rotation", scene, [_view(width, height, degrees=0.4 * t) for t in times], (width, height)),
        _passing(
            scene,
            [_view(width, height, shift=(-0.8 * t, 0.3 * t)) for t in times],
            [_view(width, height, shift=(2.3 * t, 0.4 * t)) for t in times],
            (width, height),
        ),
    ]


def _spots(picture: NDArray[Any]) -> FloatArray:
    return np.asarray(cv2.GaussianBlur(picture.astype(np.float32), (0, 0), FINER / 2), np.float32)


def _view(width: int, height: int, shift: tuple[float, float] = (0, 0), zoom: float = 1, degrees: float = 0) -> FloatArray:
    """The affine transform, (2, 3), from a frame's pixels to the scene's, about the centre.

    shift: in pixels of the frame. zoom: larger than 1 enlarges the scene.
    """
    turn = np.deg2rad(degrees)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * FINER / zoom
    sides = np.array([width, height])
    middle = (sides * FINER * (1 + TRAVEL) - 1) / 2
    return np.column_stack([matrix, middle + np.array(shift) * FINER - matrix @ ((sides - 1) / 2)])


def _take(scene: FloatArray, view: FloatArray, size: tuple[int, int]) -> FloatArray:
    """The part of the scene that a view shows, (height, width, ...)."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(scene, view, size, flags=flags, borderMode=cv2.BORDER_REFLECT))


def _flow(views: tuple[FloatArray, FloatArray], size: tuple[int, int]) -> FloatArray:
    """The optical flow between two views of a scene, (height, width, 2)."""
    one, other = (np.vstack([view, (0, 0, 1)]).astype(np.float64) for view in views)
    matrix = (np.linalg.inv(other) @ one - np.eye(3))[:2]
    y, x = np.mgrid[: size[1], : size[0]]
    return np.asarray(np.stack([x, y, np.ones_like(x)], -1) @ matrix.T, np.float32)


def _bytes(picture: FloatArray) -> Image:
    return np.rint(picture).clip(0, 255).astype(np.uint8)


def _moving(name: str, scene: FloatArray, views: list[FloatArray], size: tuple[int, int]) -> MovingClip:
    flows = [_flow(pair, size) for pair in pairwise(views)]
    return MovingClip(name, [_bytes(_take(scene, view, size)) for view in views], flows, [inside(flow) for flow in flows])


def _passing(scene: FloatArray, behind: list[FloatArray], before: list[FloatArray], size: tuple[int, int]) -> MovingClip:
    """A disc in front of the scene, with separate views. Its rim mixes both, and counts as not visible."""
    height, width = scene.shape[:2]
    disc = np.zeros((height, width), np.float32)
    cv2.circle(disc, (width // 2, height // 2), round(0.25 * size[1] * FINER), 1.0, -1)
    disc = _spots(disc)
    tiled = _spots(resize(np.tile(tiles(), (2, 2, 1)).astype(np.uint8), width, height))
    covers = [_take(disc, view, size) for view in before]
    frames = [
        _bytes(_take(scene, far, size) * (1 - cover[..., None]) + _take(tiled, near, size) * cover[..., None])
        for far, near, cover in zip(behind, before, covers, strict=True)
    ]
    flows, seen = [], []
    flows_behind, flows_before = ([_flow(pair, size) for pair in pairwise(views)] for views in (behind, before))
    for (cover, after), far_flow, near_flow in zip(pairwise(covers), flows_behind, flows_before, strict=True):
        on_disc = cover > 0.5
        flow = np.where(on_disc[..., None], near_flow, far_flow)
        pure = (np.abs(cover - on_disc) < 0.01) & (np.abs(warped(after, flow) - on_disc) < 0.01)
        flows.append(flow)
        seen.append(inside(flow) & pure)
    return MovingClip("passing", frames, flows, seen)
