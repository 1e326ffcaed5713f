"""Temporal stability of painted video: the warping error at short and long range, and the flicker of a still scene.

Short range is from a frame to the next one, long range from a frame to the tenth after it: strokes that drift or dissolve slowly
have a small error at short range only.

Compare a style's figure with that of the unpainted clip. Consider its style loss too: a style that changes little is also steady.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
"""Paints a frame, (H, W, 3) uint8 RGB, and returns the same shape, as a Stylizer does. Called with a clip's frames in order."""

LONG_RANGE = 10  # frames
WARPING_ERROR, LONG_RANGE_WARPING_ERROR, FLICKER = "warping error", "long-range warping error", "flicker"

NOISE_SIGMA = 2.0  # grey levels: as the noise of a camera in good light
LEAST_SEEN = 0.25  # share of a frame that is visible in the next one: 0.4 or more in real clips, 0.11 or less at cuts
SCENE_SCALE = 3  # a scene has three times the resolution of the frames that are sampled from it
SCENE_MARGIN = 0.25  # a scene is larger than a frame by this share of the frame's sides, so that the camera can move


@dataclass(frozen=True)
class Steadiness:
    """The temporal stability of a style on one clip by one measure."""

    clip: str
    measure: str
    """WARPING_ERROR, LONG_RANGE_WARPING_ERROR or FLICKER; lower is steadier."""
    frames: int
    """The number of frames."""
    painted: float | None
    """The measure of the painted clip; None if it cannot be measured (see MovingClip.warping_error)."""
    photos: float | None
    """The measure of the clip's photos, the unpainted frames."""


class Clip(Protocol):
    """A short video, and the measures that apply to it."""

    @property
    def name(self) -> str: ...

    @property
    def frames(self) -> Sequence[Image]: ...

    def measure(self, pictures: Sequence[Image]) -> Mapping[str, float | None]:
        """Measure pictures, one for each frame in order: paintings, or the frames themselves. Returns measure -> figure."""


@dataclass(frozen=True)
class Motion:
    """The optical flow between two frames of a clip."""

    first: int
    """The number of the earlier frame, from 0."""
    second: int
    """The number of the later frame."""
    flow: FloatArray
    """From the first to the second frame, (H, W, 2) in pixels."""
    seen: Mask
    """The pixels of the first frame that are visible in the second too, (H, W) bool."""


@dataclass(frozen=True)
class MovingClip:
    """A clip with known optical flow. Its measures are the warping errors at short and at long range."""

    name: str
    frames: list[Image]
    """The frames, (H, W, 3) uint8 RGB each."""
    motions: list[Motion]
    """Between all frames that are 1 or LONG_RANGE apart."""

    def measure(self, pictures: Sequence[Image]) -> dict[str, float | None]:
        return {
            WARPING_ERROR: self.warping_error(pictures),
            LONG_RANGE_WARPING_ERROR: self.warping_error(pictures, LONG_RANGE),
        }

    def warping_error(self, pictures: Sequence[Image], apart: int = 1) -> float | None:
        """The mean warping error of pictures that are `apart` frames apart; None if no pixel is visible in two such frames."""
        errors = [
            warping_error(pictures[motion.first], pictures[motion.second], motion.flow, motion.seen)
            for motion in self.motions
            if motion.second - motion.first == apart and motion.seen.any()
        ]
        return float(np.mean(errors)) if errors else None


@dataclass(frozen=True)
class StillClip:
    """A still scene with sensor noise. Its measure is the flicker."""

    name: str
    frames: list[Image]

    def measure(self, pictures: Sequence[Image]) -> dict[str, float | None]:
        return {FLICKER: flicker(pictures)}


def measure_steadiness(paint: Paint, clip: Clip) -> list[Steadiness]:
    """Paint a clip and measure the result, and the clip itself. Returns the results of each measure that applies to the clip."""
    painted, photos = clip.measure([paint(frame) for frame in clip.frames]), clip.measure(clip.frames)
    return [Steadiness(clip.name, measure, len(clip.frames), painted[measure], photos[measure]) for measure in painted]


def warping_error(previous: NDArray[Any], current: NDArray[Any], flow: FloatArray, seen: Mask) -> float:
    """The mean of (W(current) - previous)^2 over the pixels that are visible in both pictures, and over their channels.

    W warps the current picture to the previous one. Lai et al. 2018, section 4; also divided by the number of channels, as in
    their program. previous, current: (H, W, 3), uint8, or floats in [0, 1]. flow: from previous to current, (H, W, 2) in pixels.
    seen: the visible pixels, (H, W) bool. Returns NaN if there are none.
    """
    difference = warped(_unit(current), flow) - _unit(previous)
    return float(np.square(difference[seen], dtype=np.float64).mean()) if seen.any() else float("nan")


def flicker(pictures: Sequence[Image]) -> float:
    """The standard deviation over time of each pixel and channel, averaged over pixels and channels, in grey levels (0-255)."""
    total, squares = np.zeros((2, *pictures[0].shape))  # the values are integers, so sums of squares are exact
    for picture in pictures:
        total += picture
        squares += np.square(picture, dtype=np.float64)
    count = len(pictures)
    variance = (squares - total * total / count) / (count - 1)
    return float(np.sqrt(variance.clip(0)).mean())


def _unit(picture: NDArray[Any]) -> FloatArray:
    """Convert a picture, uint8, or floats in [0, 1] -> fp32 in [0, 1]."""
    return picture.astype(np.float32) / np.float32(255 if picture.dtype == np.uint8 else 1)


# clips from files


def read_clip(path: Path, frames: int, height: int) -> MovingClip:
    """Read the first `frames` frames of a video, scaled down to at most `height` pixels, and compute optical flow with DIS.

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
    if not any(motion.seen.any() for motion in clip.motions):
        raise InputError(f"no motion can be tracked in the first {frames} frames of {path}; name another clip")
    return clip


def track_motion(name: str, pictures: list[Image]) -> MovingClip:
    """Make a clip of frames, (H, W, 3) uint8 RGB each, and compute its optical flow with DIS."""
    grey = [np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8) for picture in pictures]
    motions = []
    for first, second in _compared(len(pictures)):
        flow = find_flow(grey[first], grey[second], EXACT)
        both = seen_in_both(flow, find_flow(grey[second], grey[first], EXACT))
        motions.append(Motion(first, second, flow, both if both.mean() >= LEAST_SEEN else np.zeros_like(both)))
    return MovingClip(name, pictures, motions)


def _compared(frames: int) -> Iterator[tuple[int, int]]:
    """The numbers of the frames that are compared: all that are 1 or LONG_RANGE apart."""
    for apart in (1, LONG_RANGE):
        yield from ((first, first + apart) for first in range(frames - apart))


def read_still(path: Path, frames: int, height: int) -> StillClip:
    """Read a photo, scaled down to at most this height, as a clip with new sensor noise in each frame. Raises InputError."""
    photo = read_picture(path).image
    return still(path.stem, resize(photo, *_limit_height(photo.shape[1], photo.shape[0], height)), frames)


def _limit_height(width: int, height: int, most: int) -> tuple[int, int]:
    """Scale (width, height) down if the height is above `most`, aspect ratio kept."""
    return (width, height) if height <= most else (max(1, round(width * most / height)), most)


def still(name: str, photo: Image, frames: int) -> StillClip:
    """Make a clip of a photo, (H, W, 3) uint8 RGB, with new noise in each frame, rounded to 8 bits."""
    rng = np.random.default_rng(0)
    noisy = [photo + rng.normal(0, NOISE_SIGMA, photo.shape) for _ in range(frames)]
    return StillClip(name, [np.clip(np.rint(picture), 0, 255).astype(np.uint8) for picture in noisy])


# clips drawn by code


def drawn_clips(frames: int, width: int, height: int) -> list[MovingClip]:
    """Draw a pan, a zoom and a rotation over the demo scene, and a tiled disc that passes in front of it, all with exact flow.

    width, height: of the frames, pixels. Frames are sampled from a blurred picture of a higher resolution, so that
    subpixel motion does not change their sharpness.
    """
    scene = _blur(Lake(*(round(side * SCENE_SCALE * (1 + SCENE_MARGIN)) for side in (width, height))).draw(0.0))
    times = [number - (frames - 1) / 2 for number in range(frames)]
    return [
        _camera_clip("pan", scene, [_view(width, height, shift=(1.7 * t, -0.6 * t)) for t in times], (width, height)),
        _camera_clip("zoom", scene, [_view(width, height, zoom=1.012**t) for t in times], (width, height)),
        _camera_clip("rotation", scene, [_view(width, height, degrees=0.4 * t) for t in times], (width, height)),
        _disc_clip(
            scene,
            [_view(width, height, shift=(-0.8 * t, 0.3 * t)) for t in times],
            [_view(width, height, shift=(2.3 * t, 0.4 * t)) for t in times],
            (width, height),
        ),
    ]


def _blur(picture: NDArray[Any]) -> FloatArray:
    return np.asarray(cv2.GaussianBlur(picture.astype(np.float32), (0, 0), SCENE_SCALE / 2), np.float32)


def _view(width: int, height: int, shift: tuple[float, float] = (0, 0), zoom: float = 1, degrees: float = 0) -> FloatArray:
    """Make a view: the affine transform, (2, 3), from a frame's pixels to those of the scene, about the centre of both.

    shift: of the camera, (x, y) in pixels of the frame. zoom: larger than 1 enlarges the scene.
    """
    angle = np.deg2rad(degrees)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * SCENE_SCALE / zoom
    sides = np.array([width, height])
    middle = (sides * SCENE_SCALE * (1 + SCENE_MARGIN) - 1) / 2
    return np.column_stack([matrix, middle + np.array(shift) * SCENE_SCALE - matrix @ ((sides - 1) / 2)])


def _sample(scene: FloatArray, view: FloatArray, size: tuple[int, int]) -> FloatArray:
    """Sample the part of the scene that a view shows, (height, width, ...). size: (width, height) of the frame."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(scene, view, size, flags=flags, borderMode=cv2.BORDER_REFLECT))


def _flow(one: FloatArray, other: FloatArray, size: tuple[int, int]) -> FloatArray:
    """The optical flow from one view of a scene to another, (height, width, 2) in pixels of the frame."""
    before, after = (np.vstack([view, (0, 0, 1)]).astype(np.float64) for view in (one, other))
    matrix = (np.linalg.inv(after) @ before - np.eye(3))[:2]
    y, x = np.mgrid[: size[1], : size[0]]
    return np.asarray(np.stack([x, y, np.ones_like(x)], -1) @ matrix.T, np.float32)


def _to_uint8(picture: FloatArray) -> Image:
    return np.rint(picture).clip(0, 255).astype(np.uint8)


def _camera_clip(name: str, scene: FloatArray, views: list[FloatArray], size: tuple[int, int]) -> MovingClip:
    motions = []
    for first, second in _compared(len(views)):
        flow = _flow(views[first], views[second], size)
        motions.append(Motion(first, second, flow, inside(flow)))
    return MovingClip(name, [_to_uint8(_sample(scene, view, size)) for view in views], motions)


def _disc_clip(scene: FloatArray, back: list[FloatArray], front: list[FloatArray], size: tuple[int, int]) -> MovingClip:
    """Draw a disc that moves in front of the scene. Pixels on the disc's edge, which mix both, count as not visible.

    back, front: the views of the scene and of the disc, one for each frame.
    """
    height, width = scene.shape[:2]
    disc = np.zeros((height, width), np.float32)
    cv2.circle(disc, (width // 2, height // 2), round(0.25 * size[1] * SCENE_SCALE), 1.0, -1)
    disc = _blur(disc)
    tiled = _blur(resize(np.tile(tiles(), (2, 2, 1)).astype(np.uint8), width, height))
    covers = [_sample(disc, view, size) for view in front]
    frames = [
        _to_uint8(_sample(scene, far, size) * (1 - cover[..., None]) + _sample(tiled, near, size) * cover[..., None])
        for far, near, cover in zip(back, front, covers, strict=True)
    ]
    motions = []
    for first, second in _compared(len(frames)):
        on_disc = covers[first] > 0.5
        far_flow, near_flow = _flow(back[first], back[second], size), _flow(front[first], front[second], size)
        flow = np.where(on_disc[..., None], near_flow, far_flow)
        unmixed = (np.abs(covers[first] - on_disc) < 0.01) & (np.abs(warped(covers[second], flow) - on_disc) < 0.01)
        motions.append(Motion(first, second, flow, inside(flow) & unmixed))
    return MovingClip("passing", frames, motions)
