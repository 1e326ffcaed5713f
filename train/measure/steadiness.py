"""How steady paintings of moving pictures are: the warping error, and the flicker of a still scene.

A painter's figure means little alone: it stands beside that of the photos themselves, and beside the style loss, as what
paints little is steady too.
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
"""(H, W, 3) uint8 RGB -> the same; it is given a clip's frames in order. A Stylizer, say."""

NOISE_SIGMA = 2.0  # of a camera in fair light, in grey levels
LEAST_SEEN = 0.25  # of a frame, in the next: .4 and more in real clips, .11 and less across cuts
FINER = 3  # times: what is drawn is drawn so much finer than a frame, and its frames are taken from that
TRAVEL = 0.25  # of a frame's side, by how much the scene is larger


@dataclass(frozen=True)
class Steadiness:
    """What was measured on one clip."""

    clip: str
    measure: str
    """"warping error" or "flicker", lower is steadier."""
    frames: int
    painted: float
    photos: float
    """The same of the clip itself."""

    @property
    def ratio(self) -> float:
        """painted over photos."""
        return self.painted / self.photos if self.photos else float("inf")


class Clip(Protocol):
    """Frames, and a way to measure pictures that were painted after them."""

    @property
    def name(self) -> str: ...

    @property
    def measure(self) -> str: ...

    @property
    def frames(self) -> Sequence[Image]: ...

    def unsteadiness(self, pictures: Sequence[Image]) -> float:
        """Of one picture a frame."""


@dataclass(frozen=True)
class Moving:
    """A clip whose motion is known."""

    name: str
    frames: list[Image]
    """(H, W, 3) uint8 RGB."""
    flows: list[FloatArray]
    """From each frame but the last to the next, (H, W, 2) in pixels."""
    seen: list[Mask]
    """Which of its pixels are seen in the next too, (H, W)."""
    measure: str = "warping error"

    def unsteadiness(self, pictures: Sequence[Image]) -> float:
        """The mean warping error of neighbours; 0 where nothing is seen twice."""
        known = zip(pairwise(pictures), self.flows, self.seen, strict=True)
        errors = [warping_error(*pair, flow, seen) for pair, flow, seen in known if seen.any()]
        return float(np.mean(errors)) if errors else 0.0


@dataclass(frozen=True)
class Still:
    """A scene in which nothing moves but the sensor's noise."""

    name: str
    frames: list[Image]
    measure: str = "flicker"

    def unsteadiness(self, pictures: Sequence[Image]) -> float:
        return flicker(pictures)


def measure(paint: Paint, clip: Clip) -> Steadiness:
    """Paint the clip's frames in order."""
    painted = clip.unsteadiness([paint(frame) for frame in clip.frames])
    return Steadiness(clip.name, clip.measure, len(clip.frames), painted, clip.unsteadiness(clip.frames))


def warping_error(previous: NDArray[Any], current: NDArray[Any], flow: FloatArray, seen: Mask) -> float:
    """Mean of (W(current) - previous)^2 over the colours of the pixels that are seen in both; W brings the current picture
    to where the previous one's pixels are. Lai et al. 2018, section 4; divided by the three colours too, as in their program.

    previous, current: (H, W, 3), uint8, or floats in [0, 1]. flow: from previous to current. nan if no pixel is seen in both.
    """
    difference = warped(_unit(current), flow) - _unit(previous)
    return float(np.square(difference[seen], dtype=np.float64).mean()) if seen.any() else float("nan")


def flicker(pictures: Sequence[Image]) -> float:
    """The standard deviation over time, of each pixel's each colour, on average over them, in grey levels of 255."""
    total, squares = np.zeros((2, *pictures[0].shape))  # the pictures are whole numbers: sums of squares are exact
    for picture in pictures:
        total += picture
        squares += np.square(picture, dtype=np.float64)
    count = len(pictures)
    variance = (squares - total * total / count) / (count - 1)
    return float(np.sqrt(variance.clip(0)).mean())


def _unit(picture: NDArray[Any]) -> FloatArray:
    """In [0, 1]."""
    return picture.astype(np.float32) / np.float32(255 if picture.dtype == np.uint8 else 1)


# clips from files


def read_clip(path: Path, frames: int, height: int) -> Moving:
    """The first frames of a video, scaled to at most a height, with the motion that DIS finds in them. Raises InputError.

    At a cut nothing counts as seen in both frames.
    """
    source = VideoFile(path, size=lambda w, h: _at_most(w, h, height))
    pictures: list[Image] = []
    try:
        while len(pictures) < frames and (frame := source.read()) is not None:
            pictures.append(frame.image)
    finally:
        source.close()
    clip = follow(path.stem, pictures)
    if not any(seen.any() for seen in clip.seen):
        raise InputError(f"nothing in the first {frames} frames of {path} can be followed to the next; name another clip")
    return clip


def follow(name: str, pictures: list[Image]) -> Moving:
    """A clip of given frames, with the motion that DIS finds in them."""
    grey = [np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8) for picture in pictures]
    flows, seen = [], []
    for previous, current in pairwise(grey):
        flow = find_flow(previous, current, EXACT)
        both = seen_in_both(flow, find_flow(current, previous, EXACT))
        flows.append(flow)
        seen.append(both if both.mean() >= LEAST_SEEN else np.zeros_like(both))
    return Moving(name, pictures, flows, seen)


def read_still(path: Path, frames: int, height: int) -> Still:
    """A photo, scaled to at most a height, as a noisy sensor sees it again and again. Raises InputError."""
    photo = read_picture(path).image
    return still(path.stem, resize(photo, *_at_most(photo.shape[1], photo.shape[0], height)), frames)


def _at_most(width: int, height: int, most: int) -> tuple[int, int]:
    """(width, height), scaled down to a height if it is more."""
    return (width, height) if height <= most else (max(1, round(width * most / height)), most)


def still(name: str, photo: Image, frames: int) -> Still:
    """(H, W, 3) uint8 RGB with fresh noise in each frame, in 8 bits."""
    rng = np.random.default_rng(0)
    noisy = [photo + rng.normal(0, NOISE_SIGMA, photo.shape) for _ in range(frames)]
    return Still(name, [np.clip(np.rint(picture), 0, 255).astype(np.uint8) for picture in noisy])


# clips drawn by code


def drawn_clips(frames: int, width: int, height: int) -> list[Moving]:
    """A pan, a zoom and a rotation over the demo's lake, and a tiled disc that passes before it. Every motion is exact.

    A frame's pixels are small Gaussian spots of a picture that is several times finer: no shift changes their sharpness.
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
    """(2, 3): from a frame's pixels to the scene's, about its middle. shift: in the frame's pixels; zoom: above 1, nearer."""
    turn = np.deg2rad(degrees)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * FINER / zoom
    sides = np.array([width, height])
    middle = (sides * FINER * (1 + TRAVEL) - 1) / 2
    return np.column_stack([matrix, middle + np.array(shift) * FINER - matrix @ ((sides - 1) / 2)])


def _take(scene: FloatArray, view: FloatArray, size: tuple[int, int]) -> FloatArray:
    """What a view shows, (height, width, ...)."""
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(scene, view, size, flags=how, borderMode=cv2.BORDER_REFLECT))


def _flow(views: tuple[FloatArray, FloatArray], size: tuple[int, int]) -> FloatArray:
    """From what one view shows to where the other shows it."""
    one, other = (np.vstack([view, (0, 0, 1)]).astype(np.float64) for view in views)
    matrix = (np.linalg.inv(other) @ one - np.eye(3))[:2]
    y, x = np.mgrid[: size[1], : size[0]]
    return np.asarray(np.stack([x, y, np.ones_like(x)], -1) @ matrix.T, np.float32)


def _bytes(picture: FloatArray) -> Image:
    return np.rint(picture).clip(0, 255).astype(np.uint8)


def _moving(name: str, scene: FloatArray, views: list[FloatArray], size: tuple[int, int]) -> Moving:
    flows = [_flow(pair, size) for pair in pairwise(views)]
    return Moving(name, [_bytes(_take(scene, view, size)) for view in views], flows, [inside(flow) for flow in flows])


def _passing(scene: FloatArray, behind: list[FloatArray], before: list[FloatArray], size: tuple[int, int]) -> Moving:
    """A disc before the scene, each by views of its own; its rim is a mixture, and counts as not seen."""
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
    return Moving("passing", frames, flows, seen)
