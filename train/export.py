"""Write the style files of a run."""

import dataclasses
import math
from pathlib import Path

import numpy as np

from livestyle.errors import TrainingError
from livestyle.networks.body import Body
from livestyle.style_files.file_format import STYLE_SUFFIX, write_body_file, write_predictor_file, write_style_file
from livestyle.style_files.thumbnail import make_thumbnail
from livestyle.train.config import Config, StyleSource
from livestyle.train.content.crops import to_image
from livestyle.train.objective import read_style_picture
from livestyle.train.painter import Painter

SETTINGS = (
    "weighting", "finetune", "content_weight", "tv_weight", "grid_weight", "lattice_weight", "overshoot_weight", "steady_weight",
    "extra_weight", "content_layers", "style_layers", "loss_model", "image_size", "style_size", "batch_size",
    "learning_rate", "rows_learning_rate", "predictor_learning_rate", "learning_rate_decay", "seconds", "zoom", "precision",
    "seed",
)  # fmt: skip


def body_path(config: Config) -> Path | None:
    """The path of the file with the body that styles trained together share.

    None for a single style, or if only rows were trained, on an existing body: then each style file contains the body.
    """
    shared = len(config.styles) > 1 and config.finetune == "all"
    return config.model_path / f"{config.naming}.{config.model}-body.safetensors" if shared else None


def predictor_path(config: Config) -> Path | None:
    """The path of the predictor's file; None without style pictures."""
    path = config.model_path / f"{config.naming}.{config.model}-predictor{STYLE_SUFFIX}"
    return None if config.style_pictures is None else path


def style_paths(config: Config) -> dict[str, Path]:
    """The paths of the style files: style name -> path. None are written if only the predictor is trained."""
    if config.finetune == "predictor":
        return {}
    return {name: config.model_path / f"{name}.{config.model}.safetensors" for name in config.styles}


def export_styles(config: Config, painter: Painter, steps: int) -> dict[str, Path]:
    """Write each style's file, the body file if the body is shared, and the predictor's file if there is a predictor.

    Returns style name -> path. steps: the number of steps done.
    """
    values = dataclasses.asdict(config)
    settings = {key: values[key] for key in SETTINGS if values[key] not in (None, math.inf)}
    body_file, body = body_path(config), painter.network.body()
    if config.finetune == "all":  # else other styles use the body too, and it must not change
        body = with_rescaled_weights(body)
    if body_file is not None:
        write_body_file(body_file, body, {"training": settings | {"steps": steps}})
    if (predictor_file := predictor_path(config)) is not None and painter.predictor is not None:
        write_predictor_file(predictor_file, body, painter.predictor.tensors(), {"training": settings | {"steps": steps}})
    paths = style_paths(config)
    all_rows = dict(zip(config.styles, painter.rows.detach().cpu().numpy(), strict=True))  # (2, K) each
    for name in paths:
        source, rows = config.styles[name], all_rows[name]
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
    """Scale the weights of convolutions that are followed by a norm to about the size of initial weights, by powers of two.

    The body computes the same function, because a norm cancels the scale of its input (up to its eps). For the same reason
    nothing keeps these weights from growing in training: twentyfold in 12,500 steps. Large weights do harm on a picture of one
    colour: rounding errors in half precision grow with them, and the norm multiplies the errors by up to 1 / sqrt(eps).
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
    """Make the thumbnail of the style picture as used in training; None if it cannot be read any more (the run is kept)."""
    try:
        picture = read_style_picture(source, config)  # (3, h, w)
    except TrainingError:
        return None
    return make_thumbnail(to_image(picture))
