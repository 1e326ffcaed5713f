"""Measure one network on one engine: the time per frame, alone and in batches, compared with the floor.

The floor is the shortest time that the hardware allows: see `ceilings.floor_seconds`.
"""

import statistics
from dataclasses import dataclass

import numpy as np

from livestyle.bench.ceilings import Ceilings, floor_seconds
from livestyle.bench.scene import scene_images
from livestyle.bench.sizes import SIZES, pixels_of
from livestyle.bench.timing import seconds_of
from livestyle.engines.base import Engine
from livestyle.look import Look
from livestyle.networks import ARCHITECTURES
from livestyle.networks.body import Body
from livestyle.style_files.blend import parse_blend
from livestyle.style_files.file_format import load_body, load_rows
from livestyle.style_files.gallery import Gallery

SERIES_SECONDS, LEAST_REPEATS, MOST_REPEATS = 2.0, 5, 60
"""Each batch size is measured for SERIES_SECONDS, but at least LEAST_REPEATS and at most MOST_REPEATS times."""

LEAST_FRAMES, MOST_FRAMES, FRAMES_BYTES = 8, 100, 128 * 2**20
"""A network paints as many different frames as fit in FRAMES_BYTES, but at least LEAST_FRAMES and at most MOST_FRAMES."""


@dataclass(frozen=True)
class NetworkFigures:
    """Figures of one network on one engine at one frame size. They include the conversion from and to uint8."""

    device: str
    precision: str
    model: str
    size: str
    gflop: float
    """Operations of the convolutions per frame, in units of 10^9; a multiply-add counts as two."""
    floor_ms: float
    """The shortest time per frame that the hardware allows: see `ceilings.floor_seconds`."""
    alone_ms: float
    """The median time of a frame painted alone, as in a live session: from submission to result."""
    alone_p95_ms: float
    """The 95th percentile of the times of frames painted alone."""
    batch: int
    """The fastest batch size."""
    batched_ms: float
    """The median time per frame in batches of this size, each submitted when the last one is done. Painting a file takes less:
    there the next batch is submitted earlier."""
    alone_to_floor: float
    """Ratio of alone_ms to floor_ms."""
    batched_to_floor: float
    """Ratio of batched_ms to floor_ms."""
    notes: list[str]
    """The engine's notes, for example that it paints in strips."""

    def __str__(self) -> str:
        return (
            f"{self.device} {self.model} {self.size}: {self.alone_ms:.1f} ms alone (95 %: {self.alone_p95_ms:.1f}), "
            f"{self.alone_to_floor:.2f} times the floor; {self.batched_ms:.1f} ms in batches of {self.batch}, "
            f"{self.batched_to_floor:.2f} times; {self.gflop:.2f} GFLOP, floor {self.floor_ms:.2f} ms"
            + "".join(f"; {note}" for note in self.notes)
        )


def find_look(style: str, model: str) -> Look:
    """The look of a style, or of the first style of a blend, in the network `model`.

    If the style has no such network: random weights, which are painted at the same speed.

    Raises StyleError if there is no such style.
    """
    gallery = Gallery()
    header = gallery.models(next(iter(parse_blend(style)))).get(model)
    if header is not None:
        return Look(load_body(gallery.body(header)), load_rows(header))
    architecture, rng = ARCHITECTURES[model], np.random.default_rng(0)
    parameters = {name: np.zeros(shape, np.float32) for name, shape in architecture.parameters.items()}
    for name, shape in architecture.weights.items():  # activations neither grow nor fade (He et al. 2015)
        parameters[f"{name}.weight"] = rng.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32)
    rows = np.stack([np.ones(architecture.row_length), np.zeros(architecture.row_length)]).astype(np.float32)
    return Look(Body(architecture, parameters), rows)


def measure_network(engine: Engine, look: Look, size: str, ceilings: Ceilings, most_repeats: int) -> NetworkFigures:
    """Paint single frames, then batches of each size that the engine declares.

    most_repeats: limits the repeats of each batch size; there are at least LEAST_REPEATS.

    Raises TooLargeError if a frame does not fit in memory.
    """
    images = scene_images(size, max(LEAST_FRAMES, min(MOST_FRAMES, FRAMES_BYTES // (3 * pixels_of(size)))))

    def seconds_per_frame(first: int, count: int) -> float:
        chosen = [images[(first + offset) % len(images)] for offset in range(count)]
        return seconds_of(lambda: engine.submit([(image, look) for image in chosen]).result()) / count

    def times(count: int) -> list[float]:
        seconds_per_frame(0, count)  # the first run includes preparation
        once = seconds_per_frame(count, count) * count
        repeats = max(LEAST_REPEATS, min(most_repeats, int(SERIES_SECONDS / once)))
        return [seconds_per_frame(number * count, count) for number in range(repeats)]

    series = {count: times(count) for count in sorted({1, *engine.batches})}
    medians = {count: statistics.median(seconds) * 1000 for count, seconds in series.items()}
    batch = min(engine.batches, key=medians.__getitem__)
    width, height = SIZES[size]
    costs = look.body.architecture.plan(height, width).costs
    floor_ms = floor_seconds(costs, ceilings, 4 if engine.precision == "float32" else 2) * 1000
    return NetworkFigures(
        engine.name,
        engine.precision,
        look.body.architecture.name,
        size,
        gflop=sum(cost.operations for cost in costs) / 1e9,
        floor_ms=floor_ms,
        alone_ms=medians[1],
        alone_p95_ms=statistics.quantiles(series[1], n=20, method="inclusive")[-1] * 1000,
        batch=batch,
        batched_ms=medians[batch],
        alone_to_floor=medians[1] / floor_ms,
        batched_to_floor=medians[batch] / floor_ms,
        notes=list(engine.notes),
    )
