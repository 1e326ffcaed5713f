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
from livestyle.train.measure.shift_error import LEAST_HEIGHT, LEAST_WIDTH
from livestyle.train.measure.steadiness import (
    FLICKER,
    LONG_RANGE,
    LONG_RANGE_WARPING_ERROR,
    NOISE_SIGMA,
    WARPING_ERROR,
    Steadiness,
)
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
    """Make a table with a row for each style and size: style and content loss, CFSD, shift error and lattice.

    Figures are means over the photos; for the losses, the worst photo's follow. The mean shift error is that of the photos that
    are large enough for it; None if there are none. For loss_model vgg_19 the table also has the ratios of the mean losses to
    the published figures of the original program, for its styles.
    """
    columns = ["style", "size", "style loss", "worst style", "content loss", "worst content"]
    columns += ["CFSD x 1000", "shift error", "lattice"]
    compared = loss_model == "vgg_19" and any(reading.style in ORIGINAL for reading in readings)
    groups = by_style_and_size(readings)
    rows: list[list[Cell]] = []
    for (style, size), group in groups.items():
        style_losses = [reading.measure.style for reading in group]
        content_losses = [reading.measure.content for reading in group]
        row: list[Cell] = [style, size, mean(style_losses), max(style_losses), mean(content_losses), max(content_losses)]
        shift_errors = [reading.shift_error for reading in group if reading.shift_error is not None]
        row += [1000 * mean(reading.cfsd for reading in group), mean(shift_errors) if shift_errors else None]
        row.append(mean(reading.lattice for reading in group))
        if compared:
            known = ORIGINAL.get(style)
            row += [mean(style_losses) / known[0], mean(content_losses) / known[1]] if known else [None, None]
        rows.append(row)
    notes = [
        "CFSD: change of the photo's self-similarities, a second measure of lost content",
        "shift error: grey levels by which the painting of a shifted photo differs from the shifted painting",
        "lattice: unevenness of edges on columns and rows modulo 8",
    ]
    if compared:
        columns += ["style/original", "content/original"]
        notes.append(f"original: the TensorFlow program's published results, which are of {ORIGINAL_PHOTO} alone")
    small = len({(reading.photo, reading.size) for reading in readings if reading.shift_error is None})
    if small:
        photos = f"{small} photo{'s' if small != 1 else ''}"
        notes.append(f"no shift error of {photos}: less than {LEAST_WIDTH}x{LEAST_HEIGHT} pixels")
    count = max(len(group) for group in groups.values())
    return Table(
        f"Style and content loss in {loss_model}, CFSD, shift error: mean and worst of {count} photo{'s' if count != 1 else ''}",
        tuple(columns),
        rows,
        tuple(notes),
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


def steadiness_tables(results: Mapping[str, Sequence[Steadiness]]) -> list[Table]:
    """Make two tables with a row for each style: short-range warping errors and flicker, and long-range warping errors.

    There is a column for each clip. The last row has the unpainted clips. results: style -> its results, on the same clips in
    the same order for every style.
    """
    some = next(iter(results.values()))
    moving, still = (sum(each.measure == measure for each in some) for measure in (WARPING_ERROR, FLICKER))
    return [
        _steadiness_table(
            f"Steadiness: warping error x 1000 on {moving} moving clips, flicker of {still} still scenes in grey levels",
            {WARPING_ERROR: 1000, FLICKER: 1},
            results,
            f"flicker: with sensor noise of {NOISE_SIGMA:g} grey levels; a style that changes little is steady too",
        ),
        _steadiness_table(
            f"Steadiness at long range: warping error x 1000 between frames that are {LONG_RANGE} apart",
            {LONG_RANGE_WARPING_ERROR: 1000},
            results,
            f"-: no pixel can be followed over {LONG_RANGE} frames",
        ),
    ]


def _steadiness_table(title: str, scales: Mapping[str, int], results: Mapping[str, Sequence[Steadiness]], note: str) -> Table:
    """Make a table of the results by these measures. scales: measure -> the factor of its figures."""
    shown = {style: [each for each in steadiness if each.measure in scales] for style, steadiness in results.items()}

    def row(name: str, figures: Iterable[tuple[float | None, str]]) -> list[Cell]:
        return [name, *(None if figure is None else scales[measure] * figure for figure, measure in figures)]

    rows = [row(style, ((each.painted, each.measure) for each in steadiness)) for style, steadiness in shown.items()]
    clips = next(iter(shown.values()))
    rows.append(row("(the clip)", ((each.photos, each.measure) for each in clips)))
    names = [clip.clip for clip in clips]  # the second of two clips with the same name gets a 2
    columns = [f"{name} {before + 1}" if (before := names[:index].count(name)) else name for index, name in enumerate(names)]
    return Table(title, ("style", *columns), rows, (note,))


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
