"""What painted pictures come to on the yardstick, and the tables of it."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean, median

import numpy as np

from livestyle.train.content.crops import to_tensor
from livestyle.train.measure.optimize import Weights, iterations_to_reach, total_loss
from livestyle.train.measure.steadiness import NOISE_SIGMA, Steadiness
from livestyle.train.measure.table import Cell, Table
from livestyle.train.measure.yardstick import ORIGINAL, ORIGINAL_PHOTO, Grams, Measure, Yardstick


@dataclass(frozen=True)
class Subject:
    """A style that is measured."""

    name: str
    grams: Grams
    weights: Weights
    """Of its total loss."""


@dataclass(frozen=True)
class Descent:
    """The slow method beside a painted picture."""

    photo_total: float
    """Total loss of the photo itself, where L-BFGS starts."""
    painted_total: float
    iterations: int | None
    """From the photo to a total as low as the painted picture's; None: not within the limit."""


@dataclass(frozen=True)
class Reading:
    """One photo in one style at one size."""

    style: str
    photo: str
    size: str
    measure: Measure
    descent: Descent | None = None


def measured(
    yardstick: Yardstick, subject: Subject, name: str, size: str, photo: np.ndarray, painted: np.ndarray, limit: int | None = None
) -> Reading:
    """The reading of a painted picture. photo and painted: (H, W, 3) uint8 RGB; limit: of L-BFGS's iterations, None: without."""
    device = next(yardstick.network.parameters()).device
    before, after = (to_tensor(image)[None].to(device) for image in (photo, painted))  # (1, 3, H, W)
    measure = yardstick.measure(after, before, subject.grams)
    if limit is None:
        return Reading(subject.name, name, size, measure)
    photo_total, total = (total_loss(yardstick, x, before, subject.grams, subject.weights) for x in (before, after))
    iterations = iterations_to_reach(total, yardstick, before, subject.grams, subject.weights, limit)
    return Reading(subject.name, name, size, measure, Descent(photo_total, total, iterations))


def losses_table(readings: Sequence[Reading], loss_model: str) -> Table:
    """A line a style and size: style and content loss, means and worst over the photos.

    In vgg_19, the original's network here, also the means' ratios to the original's published figures.
    """
    columns = ["style", "size", "style loss", "worst style", "content loss", "worst content"]
    compared = loss_model == "vgg_19" and any(reading.style in ORIGINAL for reading in readings)
    rows: list[list[Cell]] = []
    for (style, size), group in grouped(readings).items():
        missed, lost = [reading.measure.style for reading in group], [reading.measure.content for reading in group]
        row: list[Cell] = [style, size, mean(missed), max(missed), mean(lost), max(lost)]
        if compared:
            known = ORIGINAL.get(style)
            row += [mean(missed) / known[0], mean(lost) / known[1]] if known else [None, None]
        rows.append(row)
    if compared:
        columns += ["style/original", "content/original"]
    count = max(len(group) for group in grouped(readings).values())
    return Table(
        f"Style and content loss in {loss_model}: mean and worst of {count} photo{'s' if count != 1 else ''}",
        tuple(columns),
        rows,
        (f"original: the TensorFlow program's published results, which are of {ORIGINAL_PHOTO} alone",) if compared else (),
    )


def iterations_table(readings: Sequence[Reading], subjects: Iterable[Subject], limit: int) -> Table:
    """A line a style and size: iterations of L-BFGS from the photo to the network's total loss (Johnson et al., Fig. 5)."""
    weights = {subject.name: subject.weights for subject in subjects}
    rows: list[list[Cell]] = []
    for (style, size), group in grouped(readings).items():
        descents = [reading.descent for reading in group if reading.descent is not None]
        counts = [math.inf if descent.iterations is None else descent.iterations for descent in descents]
        spread = [None if count == math.inf else round(count) for count in (median(counts), min(counts), max(counts))]
        totals = mean(descent.photo_total for descent in descents), mean(descent.painted_total for descent in descents)
        each = weights[style]
        rows.append([style, size, f"{each.content:g} {each.style:g} {each.tv:g}", *totals, *spread, counts.count(math.inf)])
    return Table(
        "Iterations of L-BFGS from the photo to the painted picture's total loss",
        ("style", "size", "weights", "photo's total", "painted total", "median", "least", "most", f"not in {limit}"),
        rows,
        ("weights: of content, style and total variation; totals: means. Johnson et al. report 50 to 100 iterations",),
    )


def steadiness_table(found: Mapping[str, Sequence[Steadiness]]) -> Table:
    """A line a style: its unsteadiness on each clip, over that of the clip itself, which stands in the last line.

    found: style -> the same clips in the same order.
    """
    clips = next(iter(found.values()))
    moving, still = (sum(clip.measure == measure for clip in clips) for measure in ("warping error", "flicker"))
    scales = [1000 if clip.measure == "warping error" else 1 for clip in clips]
    rows: list[list[Cell]] = [
        [style, *(scale * each.painted for scale, each in zip(scales, steadiness, strict=True))]
        for style, steadiness in found.items()
    ]
    names = [clip.clip for clip in clips]  # of several that are called the same, the second gets a 2
    columns = [f"{name} {before + 1}" if (before := names[:place].count(name)) else name for place, name in enumerate(names)]
    rows.append(["(the clip)", *(scale * clip.photos for scale, clip in zip(scales, clips, strict=True))])
    return Table(
        f"Steadiness: warping error x 1000 on {moving} moving clips, flicker of {still} still scenes in grey levels",
        ("style", *columns),
        rows,
        (f"flicker: under a sensor's noise of {NOISE_SIGMA:g} grey levels; what paints little is steady too",),
    )


def grouped(readings: Iterable[Reading]) -> dict[tuple[str, str], list[Reading]]:
    """By style and size: all sizes of a style together."""
    groups: dict[tuple[str, str], list[Reading]] = {}
    for reading in readings:
        groups.setdefault((reading.style, reading.size), []).append(reading)
    order = list(dict.fromkeys(style for style, _ in groups))
    return dict(sorted(groups.items(), key=lambda entry: order.index(entry[0][0])))


def trained_weights(info: Mapping[str, str]) -> Weights:
    """The weights that a style was trained with, as its file says; the usual ones if it says none, or absolute ones."""
    try:
        training = json.loads(info.get("training", "{}"))
        if training["weighting"] != "relative":
            return Weights()
        found = {part: float(training[f"{part}_weight"]) for part in ("content", "style", "tv")}
    except (ValueError, TypeError, KeyError, RecursionError):  # the file may come from anywhere
        return Weights()
    return Weights(**found) if all(0 <= weight <= 1e6 for weight in found.values()) else Weights()


def with_given(weights: Weights, given: Mapping[str, float | None]) -> Weights:
    """The weights, with those that a person gave in their place: {"style_weight": 5.0, "tv_weight": None}."""
    return replace(weights, **{name.removesuffix("_weight"): weight for name, weight in given.items() if weight is not None})
