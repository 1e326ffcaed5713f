"""Pictures drawn by code, for training without any file.

A conf file names them in place of a path: `style_image: drawn:stripes`, `content: drawn:scenes`.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any, TypeVar

import cv2
import numpy as np

from livestyle.errors import TrainingError
from livestyle.sources.demo import DemoScene

T = TypeVar("T")
PREFIX = "drawn:"
SCENES = 24
SIDE = 256  # pixels
INK = [(24, 32, 88), (224, 64, 40), (248, 184, 48), (32, 136, 136), (240, 232, 208)]  # RGB


def is_drawn(name: Any) -> bool:
    """Whether a value of a conf file names a drawn picture rather than a path."""
    return str(name).startswith(PREFIX)


def draw_style(name: Any) -> np.ndarray:
    """Draw `drawn:stripes` or `drawn:tiles`, (256, 256, 3) uint8 RGB. Raises TrainingError for other names."""
    return _pick(name, STYLES)()


def draw_content(name: Any) -> list[np.ndarray]:
    """Draw `drawn:scenes`, `drawn:leaves` or `drawn:world`, (256, 256, 3) uint8 RGB. Raises TrainingError for other names."""
    return _pick(name, CONTENTS)()


def stripes() -> np.ndarray:
    """Draw wavy bands of five colours with dark outlines."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    height = (y + 10 * np.sin(x / 14) + 5 * np.sin(x / 6 + y / 19)) / 11
    picture: np.ndarray = np.array(INK, np.uint8)[np.floor(height).astype(int) % len(INK)]
    picture[height % 1 < 0.2] = (12, 12, 28)
    return picture


def tiles() -> np.ndarray:
    """Draw irregular tiles (Voronoi cells) of five colours with light joints."""
    rng = np.random.default_rng(1)
    points = rng.uniform(0, SIDE, (180, 2))
    grid = np.mgrid[0:SIDE, 0:SIDE].reshape(2, -1, 1)  # (2, H W, 1)
    distances = np.hypot(*(grid - points.T[:, None]))  # (H W, points)
    colours = np.array(INK, np.uint8)[rng.integers(len(INK), size=len(points))]
    picture: np.ndarray = colours[distances.argmin(1)]
    nearest, second = np.partition(distances, 1, axis=1)[:, :2].T
    picture[second - nearest < 2] = (250, 246, 236)
    return picture.reshape(SIDE, SIDE, 3)


def scenes() -> list[np.ndarray]:
    """Draw landscapes: a sky with a sun, hills, houses and trees, with some grain."""
    return [_scene(np.random.default_rng(number)) for number in range(SCENES)]


def texture(rng: np.random.Generator) -> np.ndarray:
    """Draw a texture of a random kind and palette, (256, 256, 3) uint8 RGB."""
    palette = rng.integers(0, 256, (int(rng.integers(3, 8)), 3))
    palette[0], palette[1] = palette[0] // 5, 255 - palette[1] // 5  # one dark colour, one light colour
    kind = (_strokes, _leaves, _bands)[int(rng.integers(3))]
    grain = rng.normal(0, rng.uniform(0, 12), (SIDE, SIDE, 1))
    return np.clip(kind(rng, palette) + grain, 0, 255).astype(np.uint8)


def leaves() -> list[np.ndarray]:
    """Draw overlapping polygons of all sizes: the dead leaves model, which has the statistics of photos (Lee et al. 2001)."""
    pictures = []
    for number in range(SCENES):
        rng = np.random.default_rng((number, 1))
        soft = cv2.resize(rng.uniform(0, 256, (4, 4, 3)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        picture = _leaves(rng, rng.integers(0, 256, (24, 3)), 40)
        pictures.append(np.clip(picture * 0.7 + soft * 0.3 + rng.normal(0, 3, soft.shape), 0, 255).astype(np.uint8))
    return pictures


def world() -> list[np.ndarray]:
    """Draw a varied set for training without photos: scenes, dead leaves, and crops of the demo source, a lake at dusk."""
    lake = DemoScene(640, 360, rate=Fraction(1, 7), seconds=7 * SCENES)  # a picture every seven seconds
    views = []
    for number in range(SCENES):
        frame = lake.read()
        left, top = (number * 97) % (640 - SIDE), (number * 41) % (360 - SIDE)
        if frame is not None:
            views.append(frame.image[top : top + SIDE, left : left + SIDE])
    return [picture for three in zip(scenes(), leaves(), views, strict=True) for picture in three]


def _strokes(rng: np.random.Generator, palette: np.ndarray) -> np.ndarray:
    """Draw brush strokes of varying lightness along a smooth field of directions, (256, 256, 3) uint8."""
    picture = np.full((SIDE, SIDE, 3), palette[0], np.uint8)
    angles = cv2.resize(rng.uniform(-2, 2, (4, 4)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) + rng.uniform(0, np.pi)
    length, width = rng.uniform(8, 40), int(rng.integers(2, 8))
    region = cv2.resize(rng.uniform(0, len(palette), (5, 5)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    for x, y in rng.integers(0, SIDE, (2500, 2)).tolist():
        turn = angles[y, x] + rng.normal(0, 0.15)
        step = length / 2 * np.array([np.cos(turn), np.sin(turn)])
        colour = palette[int(region[y, x] + rng.normal(0, 0.5)) % len(palette)] + rng.normal(0, 14, 3)
        ends = [tuple(np.round((x, y) + sign * step).astype(int).tolist()) for sign in (-1, 1)]
        cv2.line(picture, ends[0], ends[1], np.clip(colour, 0, 255).tolist(), width, cv2.LINE_AA)
    return picture


def _leaves(rng: np.random.Generator, palette: np.ndarray, largest: float | None = None) -> np.ndarray:
    """Draw overlapping polygons, with or without an outline. largest: their maximum radius in pixels; None: random."""
    picture = np.full((SIDE, SIDE, 3), palette[0], np.uint8)
    largest, outline = largest or rng.uniform(10, 50), int(rng.integers(0, 3))
    kind = int(rng.integers(3))
    for _ in range(int(60 * (SIDE / largest) ** 1.2)):
        size = largest * rng.uniform(0.15, 1) ** 2
        x, y = rng.integers(0, SIDE, 2).tolist()
        colour = palette[int(rng.integers(len(palette)))].tolist()
        corners = np.sort(rng.uniform(0, 2 * np.pi, (3, 4, 20)[kind]))
        shape = np.round(np.stack([x + size * np.cos(corners), y + size * np.sin(corners)], 1)).astype(np.int32)
        cv2.fillPoly(picture, [shape], colour, cv2.LINE_AA)
        if outline:
            cv2.polylines(picture, [shape], True, palette[0].tolist(), outline, cv2.LINE_AA)
    return picture


def _bands(rng: np.random.Generator, palette: np.ndarray) -> np.ndarray:
    """Draw bands along the contour lines of a smooth height map, with or without joints, (256, 256, 3)."""
    hills = sum(
        cv2.resize(rng.normal(0, weight, (size, size)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        for size, weight in ((4, 1.0), (9, 0.4), (24, 0.12))
    )
    height = hills * rng.uniform(3, 12) + np.arange(SIDE)[:, None] * rng.uniform(0, 0.1)
    picture: np.ndarray = palette[np.floor(height).astype(int) % len(palette)]
    picture[height % 1 < rng.uniform(0, 0.25)] = palette[0]
    return picture


def _scene(rng: np.random.Generator) -> np.ndarray:
    top, bottom = rng.integers(80, 256, (2, 1, 1, 3))
    sky = top + (bottom - top) * np.linspace(0, 1, SIDE)[:, None, None]  # (H, 1, 3)
    picture = np.ascontiguousarray(sky.repeat(SIDE, 1).astype(np.uint8))
    cv2.circle(picture, _point(rng, 0, 110), int(rng.integers(10, 36)), _colour(rng, 180), -1, cv2.LINE_AA)
    x = np.arange(SIDE)
    for horizon in (110, 150, 190):
        hills = horizon + rng.uniform(8, 26) * np.sin(x / rng.uniform(14, 50) + rng.uniform(0, 6))
        outline = np.vstack([np.stack([x, hills], 1), [[SIDE, SIDE], [0, SIDE]]]).astype(np.int32)
        cv2.fillPoly(picture, [outline], _colour(rng, 20), cv2.LINE_AA)
        for _ in range(3):
            left, base = _point(rng, horizon, horizon + 60)
            width, height = rng.integers(10, 50, 2).tolist()
            right, eaves = left + width, base - height
            cv2.rectangle(picture, (left, eaves), (right, base), _colour(rng, 0), -1)
            roof = np.array([(left - 4, eaves), (right + 4, eaves), ((left + right) // 2, eaves - width // 2)])
            cv2.fillPoly(picture, [roof], _colour(rng, 0), cv2.LINE_AA)
            crown, size = _point(rng, horizon, horizon + 60), (width // 3, height // 2)
            cv2.ellipse(picture, crown, size, 0, 0, 360, _colour(rng, 0), -1, cv2.LINE_AA)
    grain = rng.normal(0, 6, picture.shape)
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


def _point(rng: np.random.Generator, top: int, bottom: int) -> tuple[int, int]:
    return int(rng.integers(SIDE)), int(rng.integers(top, bottom))


def _colour(rng: np.random.Generator, least: int) -> tuple[int, int, int]:
    red, green, blue = rng.integers(least, 256, 3).tolist()
    return red, green, blue


STYLES = {"stripes": stripes, "tiles": tiles}
CONTENTS = {"scenes": scenes, "leaves": leaves, "world": world}


def _pick(name: Any, table: dict[str, Callable[[], T]]) -> Callable[[], T]:
    found = table.get(str(name).removeprefix(PREFIX))
    if found is None:
        raise TrainingError(f"there is no drawn picture {name}; choose one of {', '.join(PREFIX + known for known in table)}")
    return found
