"""Write a run's style files."""

import dataclasses
import math
from pathlib import Path

import numpy as np

from livestyle.errors import TrainingError
from livestyle.networks.body import Body
from livestyle.style_files.file_format import write_body_file, write_style_file
from livestyle.style_files.thumbnail import make_thumbnail
from livestyle.train.config import Config, StyleSource
from livestyle.train.content.crops import to_image
from livestyle.train.objective import read_style_picture
from livestyle.train.painter import Painter

SETTINGS = (
    "weighting", "finetune", "content_weight", "tv_weight", "grid_weight", "overshoot_weight", "steady_weight",
    "extra_styles", "extra_weight", "content_layers", "style_layers", "loss_model", "image_size", "style_size", "batch_size",
    "learning_rate", "rows_learning_rate", "learning_rate_decay", "seconds", "zoom", "precision", "seed",
)  # fmt: skip


def body_path(config: Config) -> Path | None:
    """The file of the body that styles trained together share.

    None for a single style, or if only rows were trained, on an existing body: then each style file contains the body.
    """
    shared = len(config.styles) > 1 and config.finetune == "all"
    return config.model_path / f"{config.naming}.{config.model}-body.safetensors" if shared else None


def style_paths(config: Config) -> dict[str, Path]:
    """Style name -> its file."""
    return {name: config.model_path / f"{name}.{config.model}.safetensors" for name in config.styles}


def export_styles(config: Config, painter: Painter, steps: int) -> dict[str, Path]:
    """Write each style's file, and the file of the shared body if there is one. Returns style name -> its file."""
    values = dataclasses.asdict(config)
    settings = {key: values[key] for key in SETTINGS if values[key] not in (None, math.inf)}
    body_file, body = body_path(config), painter.network.body()
    if config.finetune == "all":  # else it belongs to other styles too, and stays as it is
        body = with_rescaled_weights(body)
    if body_file is not None:
        write_body_file(body_file, body, {"training": settings | {"steps": steps}})
    paths = style_paths(config)
    all_rows = painter.rows.detach().cpu().numpy()  # (S, 2, K), those of the extra styles last: they are not written
    for (name, source), rows in zip(config.styles.items(), all_rows, strict=False):
        info = {
            "picture": source.picture.name,
            "origin": source.origin,
            "licence": source.licence,
            "training": settings | {"steps": steps, "style_weight": source.weight},
        }
        thumbnail = _make_thumbnail(source, config)
        write_style_file(paths[name], body, rows, info, include_body=body_file is None, thumbnail=thumbnail)
    return paths


def with_rescaled_weights(body: Body) -> Body:
    """The same function with smaller weights: the convolutions in front of norms are scaled by a power of two, to about the
    size of initial weights.

    A norm cancels any scale of its input, up to its eps, so nothing keeps these weights from growing: twentyfold in 12,500
    steps. On a picture of one colour, rounding errors in half precision grow with the weights, and the norm multiplies them by
    up to 1 / sqrt(eps).
    """
    parameters = dict(body.parameters)
    for name in body.architecture.normed:
        weight = parameters[f"{name}.weight"]
        size = float(np.sqrt(np.square(weight, dtype=np.float64).mean()))
        initial_size = (3 * weight[0].size) ** -0.5  # the standard deviation of torch.nn.Conv2d's initial weights
        factor = np.float32(2.0 ** round(np.log2(initial_size / size)))
        parameters |= {f"{name}.{part}": parameters[f"{name}.{part}"] * factor for part in ("weight", "bias")}
    return Body(body.architecture, parameters)


def _make_thumbnail(source: StyleSource, config: Config) -> bytes | None:
    """The thumbnail of the style picture as it was trained on; None if the file is gone, which must not lose the run."""
    try:
        picture = read_style_picture(source, config)  # (3, h, w)
    except TrainingError:
        return None
    return make_thumbnail(to_image(picture))
