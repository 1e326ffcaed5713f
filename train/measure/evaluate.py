"""Measure paintings of photos: style and content loss, CFSD, shift error, lattice, and iterations of L-BFGS to the same loss."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from livestyle.errors import InputError, LivestyleError, TrainingError
from livestyle.frame import Image
from livestyle.pictures.formats import READ_SUFFIXES
from livestyle.pictures.pixels import resize
from livestyle.pictures.reading import read_picture
from livestyle.size import Size, fit_size
from livestyle.train.content.crops import to_tensor
from livestyle.train.measure.optimize import Weights, check_memory, iterations_to_reach, total_loss
from livestyle.train.measure.self_similarity import structural_distance
from livestyle.train.measure.shift_error import lattice, shift_error
from livestyle.train.measure.yardstick import LEAST_SIDE, Grams, Measure, Yardstick, check_picture, style_tensor


@dataclass(frozen=True)
class EvaluatedStyle:
    """A style with everything needed to measure it."""

    name: str
    paint: Callable[[Image], Image]
    """Paints a photo, (H, W, 3) uint8 RGB. Returns the same shape."""
    grams: Grams
    weights: Weights
    """The weights of the total loss."""


@dataclass(frozen=True)
class Descent:
    """The comparison of a painting with the slow method (optimize.py)."""

    photo_total: float
    """The total loss of the photo itself, from which L-BFGS starts."""
    painted_total: float
    """The total loss of the painting."""
    iterations: int | None
    """Iterations from the photo to a total loss as low as the painting's; None if that takes more than the limit."""


@dataclass(frozen=True)
class Reading:
    """The result for one photo in one style at one size."""

    style: str
    photo: str
    size: str
    measure: Measure
    cfsd: float
    """The content feature structural distance (self_similarity.py)."""
    shift_error: float | None
    """In grey levels (shift_error.py); None if the photo is too small for it."""
    lattice: float
    """The unevenness of the painting's edges (shift_error.py)."""
    descent: Descent | None = None


def prepare_style(
    yardstick: Yardstick, name: str, picture: Image, paint: Callable[[Image], Image], weights: Weights
) -> EvaluatedStyle:
    """Compute the Gram matrices of a style's picture, (H, W, 3) uint8 RGB, and return the EvaluatedStyle."""
    device = next(yardstick.network.parameters()).device
    return EvaluatedStyle(name, paint, yardstick.grams(style_tensor(picture).to(device)), weights)


def evaluate_photo(
    yardstick: Yardstick, styles: Sequence[EvaluatedStyle], name: str, photo: Image, size: Size | None, limit: int | None = None
) -> tuple[list[Image], list[Reading]]:
    """Paint a photo, (H, W, 3) uint8 RGB, in each style at a size, and measure the paintings.

    limit: the maximum number of L-BFGS iterations; None does not run L-BFGS. Returns the photo at that size followed by its
    paintings, and one reading for each style.
    """
    photo = resize(photo, *painted_size(photo, size))
    pictures, readings = [photo], []
    for style in styles:
        painted = style.paint(photo)
        pictures.append(painted)
        readings.append(_measure(yardstick, style, name, size_label(size), photo, painted, limit))
    return pictures, readings


def _measure(
    yardstick: Yardstick, style: EvaluatedStyle, name: str, size: str, photo: Image, painted: Image, limit: int | None
) -> Reading:
    device = next(yardstick.network.parameters()).device
    before, after = (to_tensor(image)[None].to(device) for image in (photo, painted))  # (1, 3, H, W)
    reading = Reading(
        style.name,
        name,
        size,
        yardstick.measure(after, before, style.grams),
        structural_distance(yardstick.network, photo, painted),
        shift_error(style.paint, photo, painted),
        lattice(painted),
    )
    if limit is None:
        return reading
    photo_total, total = (total_loss(yardstick, x, before, style.grams, style.weights) for x in (before, after))
    iterations = iterations_to_reach(total, yardstick, before, style.grams, style.weights, limit)
    return replace(reading, descent=Descent(photo_total, total, iterations))


def painted_size(photo: Image, size: Size | None) -> tuple[int, int]:
    """The (width, height) at which a photo is painted. size: exact, or a height (aspect ratio kept), or None: the photo's own."""
    if size is not None and size[0] is not None:
        return size[0], size[1]
    return fit_size(photo.shape[1], photo.shape[0], size)


def size_label(size: Size | None) -> str:
    """The name of a size in tables and file names: 480, 712x476, or "own" for the photo's own size."""
    if size is None:
        return "own"
    return str(size[1]) if size[0] is None else f"{size[0]}x{size[1]}"


def usable_photos(
    paths: Sequence[Path], sizes: Sequence[Size | None], yardstick: Yardstick, optimised: bool
) -> tuple[list[Path], list[str]]:
    """Find the photos that can be measured at all sizes. Returns them, and one line for each of the others.

    optimised: whether L-BFGS runs on them too (optimize.py), which takes more memory. If no photo can be measured, the error of
    the first one is raised: InputError, TrainingError or TooLargeError.
    """
    usable: list[Path] = []
    errors: list[LivestyleError] = []
    for path in paths:
        try:
            _check_photo(path, sizes, yardstick, optimised)
            usable.append(path)
        except LivestyleError as error:
            errors.append(error)
    if not usable:
        raise errors[0]
    return usable, [str(error) for error in errors]


def _check_photo(path: Path, sizes: Sequence[Size | None], yardstick: Yardstick, optimised: bool) -> None:
    image = read_picture(path).image
    check_picture(image, str(path))
    for width, height in (painted_size(image, size) for size in sizes):
        if min(width, height) < LEAST_SIDE:
            raise TrainingError(f"{path} would be painted at {width}x{height}; the minimum is {LEAST_SIDE} pixels a side")
        check_memory(yardstick, height, width, optimised)


def read_style_pictures(folder: Path, names: Sequence[str], known: Sequence[str]) -> tuple[dict[str, Image], list[str]]:
    """Read the style pictures in a folder. Returns style -> (H, W, 3) uint8 RGB, and one line for each style without a picture.

    names: styles, by name or by path of the style file; each must have a picture, NAME.jpg or with another suffix. The path of
    a picture, whose style is predicted, stands for itself. If names is empty, those of the known styles that have a picture are
    used. Raises InputError if a picture is missing or cannot be read, or there are none; TrainingError if one cannot be measured.
    """
    if not folder.is_dir():
        raise InputError(f"--pictures {folder} is not a folder; name the folder of the style pictures, wave.jpg ...")
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise InputError(f"cannot read the folder {folder}: {error.strerror}") from error
    pictures: dict[str, Image] = {}
    notes: list[str] = []
    for name in names or known:
        stem = Path(name).name.split(".")[0]
        path = next((path for path in files if path.stem == stem and path.suffix.lower() in READ_SUFFIXES), None)
        if name.lower().endswith(READ_SUFFIXES):
            path = Path(name).expanduser()
        if path is not None:
            pictures[name] = read_picture(path).image
            check_picture(pictures[name], str(path))
        elif names:
            suffixes = ", ".join(READ_SUFFIXES[1:])
            raise InputError(f"no picture of the style {stem} in {folder}; put {stem}.jpg there (or {suffixes})")
        else:
            notes.append(f"{stem} is left out: {folder} has no picture of it")
    if not pictures:
        raise InputError(f"no picture of any style in {folder}; put wave.jpg and so on there")
    return pictures, notes


def trained_weights(info: Mapping[str, str]) -> Weights:
    """Read the loss weights that a style was trained with from its info.

    Returns the default weights if the info has none, or none that are valid, or if the training did not use the "relative"
    weighting.
    """
    try:
        training = json.loads(info.get("training", "{}"))
        if training["weighting"] != "relative":
            return Weights()
        found = {part: float(training[f"{part}_weight"]) for part in ("content", "style", "tv")}
    except (ValueError, TypeError, KeyError, RecursionError):  # the file is not trusted
        return Weights()
    return Weights(**found) if all(0 <= weight <= 1e6 for weight in found.values()) else Weights()


def override_weights(weights: Weights, overrides: Mapping[str, float | None]) -> Weights:
    """Replace weights by the overrides that are not None, as in {"style_weight": 5.0, "tv_weight": None}."""
    return replace(weights, **{name.removesuffix("_weight"): weight for name, weight in overrides.items() if weight is not None})
