"""Make tables and contact sheets of evaluated styles."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np

from livestyle.frame import Image
from livestyle.pictures.contact_sheet import PAPER, make_sheet
from livestyle.pictures.pixels import resize
from livestyle.size import fit_size
from livestyle.train.measure.evaluate import Reading
from livestyle.train.measure.optimize import Weights
from livestyle.train.measure.steadiness import NOISE_SIGMA, Steadiness
from livestyle.train.measure.table import Cell, Table
from livestyle.train.measure.yardstick import ORIGINAL, ORIGINAL_PHOTO


def report(tables: Sequence[Table], readings: Sequence[Reading], skipped: Sequence[str]) -> dict[str, Any]:
    """Collect everything that was measured, for JSON. skipped: a line for each photo that was not measured."""
    return {
        "tables": [table.as_dict() for table in tables],
        "readings": [asdict(reading) for reading in readings],
        "skipped": list(skipped),
    }


def losses_table(readings: Sequence[Reading], loss_model: str) -> Table:
    """Make a table with a row for each style and size: mean and worst style and content loss over the photos.

    For loss_model vgg_19 it also has the ratios of the means to the published figures of the original program, for its styles.
    """
    columns = ["style", "size", "style loss", "worst style", "content loss", "worst content"]
    compared = loss_model == "vgg_19" and any(reading.style in ORIGINAL for reading in readings)
    groups = by_style_and_size(readings)
    rows: list[list[Cell]] = []
    for (style, size), group in groups.items():
        style_losses = [reading.measure.style for reading in group]
        content_losses = [reading.measure.content for reading in group]
        row: list[Cell] = [style, size, mean(style_losses), max(style_losses), mean(content_losses), max(content_losses)]
        if compared:
            known = ORIGINAL.get(style)
            row += [mean(style_losses) / known[0], mean(content_losses) / known[1]] if known else [None, None]
        rows.append(row)
    if compared:
        columns += ["style/original", "content/original"]
    count = max(len(group) for group in groups.values())
    return Table(
        f"Style and content loss in {loss_model}: mean and worst of {count} photo{'s' if count != 1 else ''}",
        tuple(columns),
        rows,
        (f"original: the TensorFlow program's published results, which are of {ORIGINAL_PHOTO} alone",) if compared else (),
    )


def iterations_table(readings: Sequence[Reading], weights: Mapping[str, Weights], limit: int) -> Table:
    """Make a table with a row for each style and size: L-BFGS iterations from the photo to the painting's total loss.

    As in Johnson et al. 2016, Fig. 5. weights: the weights of each style's total loss. limit: the maximum number of iterations.
    """
    rows: list[list[Cell]] = []
    for (style, size), group in by_style_and_size(readings).items():
        descents = [reading.descent for reading in group if reading.descent is not None]
        counts = [math.inf if descent.iterations is None else descent.iterations for descent in descents]
        summary = [None if count == math.inf else round(count) for count in (median(counts), min(counts), max(counts))]
        totals = mean(descent.photo_total for descent in descents), mean(descent.painted_total for descent in descents)
        each = weights[style]
        rows.append([style, size, f"{each.content:g} {each.style:g} {each.tv:g}", *totals, *summary, counts.count(math.inf)])
    return Table(
        "Iterations of L-BFGS from the photo to the painted picture's total loss",
        ("style", "size", "weights", "photo's total", "painted total", "median", "least", "most", f"not in {limit}"),
        rows,
        ("weights: of content, style and total variation; totals: means. Johnson et al. report 50 to 100 iterations",),
    )


def steadiness_table(results: Mapping[str, Sequence[Steadiness]]) -> Table:
    """Make a table with a row for each style: its warping error or flicker on each clip. The last row has the unpainted clips.

    results: style -> its results, on the same clips in the same order for every style.
    """
    clips = next(iter(results.values()))
    moving, still = (sum(clip.measure == measure for clip in clips) for measure in ("warping error", "flicker"))
    scales = [1000 if clip.measure == "warping error" else 1 for clip in clips]
    rows: list[list[Cell]] = [
        [style, *(scale * each.painted for scale, each in zip(scales, steadiness, strict=True))]
        for style, steadiness in results.items()
    ]
    names = [clip.clip for clip in clips]  # the second of two clips with the same name gets a 2
    columns = [f"{name} {before + 1}" if (before := names[:index].count(name)) else name for index, name in enumerate(names)]
    rows.append(["(the clip)", *(scale * clip.photos for scale, clip in zip(scales, clips, strict=True))])
    return Table(
        f"Steadiness: warping error x 1000 on {moving} moving clips, flicker of {still} still scenes in grey levels",
        ("style", *columns),
        rows,
        (f"flicker: with sensor noise of {NOISE_SIGMA:g} grey levels; a style that changes little is steady too",),
    )


def by_style_and_size(readings: Iterable[Reading]) -> dict[tuple[str, str], list[Reading]]:
    """Group the readings by (style, size). Those of a style are adjacent; styles and sizes keep the order of the readings."""
    groups: dict[tuple[str, str], list[Reading]] = {}
    for reading in readings:
        groups.setdefault((reading.style, reading.size), []).append(reading)
    order = list(dict.fromkeys(style for style, _ in groups))
    return dict(sorted(groups.items(), key=lambda entry: order.index(entry[0][0])))


def make_paintings_sheet(style_pictures: Mapping[str, Image], rows: Sequence[tuple[str, Sequence[Image]]]) -> Image:
    """Make a contact sheet: the style pictures in the first row, then a row for each photo, with a column for each style.

    rows: a photo's name, and the photo followed by its paintings, all (H, W, 3) uint8 RGB.
    """
    first_photo = rows[0][1][0]
    box = first_photo.shape[1], first_photo.shape[0]
    top = [resize(picture, *fit_size(picture.shape[1], picture.shape[0], box)) for picture in style_pictures.values()]
    empty = np.full((1, 1, 3), PAPER, np.uint8)
    headings = ["", *(Path(name).name.split(".")[0] for name in style_pictures)]
    return make_sheet(headings, [("", [empty, *top]), *rows])
