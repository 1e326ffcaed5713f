"""A finished run's style files: they load by name at once."""

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
from livestyle.train.objective import style_picture
from livestyle.train.painter import Painter

SETTINGS = (
    "weighting", "finetune", "content_weight", "tv_weight", "grid_weight", "overshoot_weight", "steady_weight",
    "extra_styles", "extra_weight", "content_layers", "style_layers", "loss_model", "image_size", "style_size", "batch_size",
    "learning_rate", "rows_learning_rate", "learning_rate_decay", "seconds", "zoom", "precision", "seed",
)  # fmt: skip


def body_file(config: Config) -> Path | None:
    """The file of the body that styles learned together share; a single one, and one learned on another's body, brings it."""
    shared = len(config.styles) > 1 and config.finetune == "all"
    return config.model_path / f"{config.naming}.{config.model}-body.safetensors" if shared else None


def style_files_of(config: Config) -> dict[str, Path]:
    """Each style's file."""
    return {name: config.model_path / f"{name}.{config.model}.safetensors" for name in config.styles}


def export_styles(config: Config, painter: Painter, steps: int) -> dict[str, Path]:
    """Write each style's file, and their body's if they share it. Returns the styles' files."""
    there = dataclasses.asdict(config)
    settings = {key: there[key] for key in SETTINGS if there[key] not in (None, math.inf)}
    file, body = body_file(config), painter.network.body()
    if config.finetune == "all":  # else it is another's, and stays as it is
        body = with_small_weights(body)
    if file is not None:
        write_body_file(file, body, {"training": settings | {"steps": steps}})
    files = style_files_of(config)
    for (name, source), rows in zip(config.styles.items(), painter.rows.detach().cpu().numpy(), strict=False):  # not the extras
        info = {
            "picture": source.picture.name,
            "origin": source.origin,
            "licence": source.licence,
            "training": settings | {"steps": steps, "style_weight": source.weight},
        }
        write_style_file(files[name], body, rows, info, include_body=file is None, thumbnail=_thumbnail(source, config))
    return files


def with_small_weights(body: Body) -> Body:
    """The same painter: convolutions in front of norms scaled, by a power of two, to about the size that weights begin with.

    A norm undoes any scale but for its eps, so that nothing holds weights back from growing: twentyfold in 12,500 steps. What
    half precision rounds off a picture of one colour grows with them, and the norm multiplies that by up to 1 / sqrt(eps).
    """
    parameters = dict(body.parameters)
    for name in body.architecture.normed:
        weight = parameters[f"{name}.weight"]
        size = float(np.sqrt(np.square(weight, dtype=np.float64).mean()))
        first = (3 * weight[0].size) ** -0.5  # of torch.nn.Conv2d's numbers
        factor = np.float32(2.0 ** round(np.log2(first / size)))
        parameters |= {f"{name}.{part}": parameters[f"{name}.{part}"] * factor for part in ("weight", "bias")}
    return Body(body.architecture, parameters)


def _thumbnail(source: StyleSource, config: Config) -> bytes | None:
    """Of the style picture as it was learned; None where it has gone since, which is no reason to lose a run."""
    try:
        picture = style_picture(source, config)  # (3, h, w)
    except TrainingError:
        return None
    return make_thumbnail(to_image(picture))
