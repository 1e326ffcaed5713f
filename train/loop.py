"""The training loop: paint crops, measure the losses, step."""

import dataclasses
import math
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from livestyle import style as style_files
from livestyle.errors import TrainingError
from livestyle.network import NETWORKS, Transformer
from livestyle.train import losses
from livestyle.train.checkpoint import last_step, load_checkpoint, save_checkpoint
from livestyle.train.config import Config
from livestyle.train.content import ContentCrops, read_picture, resize_short_side, to_tensor
from livestyle.train.loss_network import LossNetwork, load_loss_network

CHECKPOINT_EVERY = 200  # steps


class Painter(nn.Module):
    """What is trained: one body, and the rows of every style."""

    def __init__(self, network: Transformer, styles: int) -> None:
        super().__init__()
        self.network = network
        self.rows = nn.Parameter(network.plain_rows().repeat(styles, 1, 1))  # (S, 2, K)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] and each picture's style, (N,) -> painted, (N, 3, H, W) in [0, 1]."""
        return self.network(x, self.rows[style])


class Objective:
    """The weighted sum of the losses, and its parts by name."""

    def __init__(self, config: Config, network: LossNetwork, device: torch.device) -> None:
        self.config, self.network = config, network
        self.style_loss = losses.relative_style_loss if config.weighting == "relative" else losses.absolute_style_loss
        self.content_loss = losses.relative_content_loss if config.weighting == "relative" else losses.absolute_content_loss
        self.layers = [*config.content_layers, *config.style_layers]
        self.weights = torch.tensor(list(config.style_weights.values()), device=device)  # (S,)
        grams: dict[str, list[Tensor]] = {layer: [] for layer in config.style_layers}
        for name, path in config.styles.items():
            picture = read_picture(path)
            if picture is None:
                raise TrainingError(f"{name}: cannot read the style picture {path}; name one that can be read in the conf file")
            features = network(to_tensor(resize_short_side(picture, config.style_size))[None].to(device), config.style_layers)
            for layer in config.style_layers:
                grams[layer].append(losses.gram_matrix(features[layer])[0])
        self.grams = {layer: torch.stack(values) for layer, values in grams.items()}  # (S, C, C)

    def __call__(self, painted: Tensor, photo: Tensor, style: Tensor) -> dict[str, Tensor]:
        """Painted and photo (N, 3, H, W) in [0, 1], style (N,) -> scalars; "total" is what is minimised."""
        config = self.config
        features = self.network(painted, self.layers)
        with torch.no_grad():
            photo_features = self.network(photo, config.content_layers)
        parts: dict[str, Tensor] = {}
        total = torch.zeros((), device=painted.device)
        for layer, weight in config.content_layers.items():
            loss = self.content_loss(features[layer], photo_features[layer]).mean()
            parts[f"content/{layer}"] = loss
            total = total + config.content_weight * weight * loss
        for layer, weight in config.style_layers.items():
            each = self.style_loss(features[layer], self.grams[layer][style])  # (N,)
            parts[f"style/{layer}"] = each.mean()
            total = total + weight * (each * self.weights[style]).mean()
        if config.tv_weight:
            parts["tv"] = losses.total_variation_loss(painted).mean()
            total = total + config.tv_weight * parts["tv"]
        if config.grid_weight:
            parts["grid"] = losses.grid_loss(painted).mean()
            total = total + config.grid_weight * parts["grid"]
        return parts | {"total": total}


def train(config: Config, device: torch.device, resume: bool = False, quiet: bool = False) -> list[Path]:
    """Run the whole training and return the style files written.

    Ctrl-C saves a checkpoint and raises KeyboardInterrupt; `resume` goes on from the last one to
    the same numbers as a run never stopped. Raises TrainingError for anything missing.
    """
    torch.manual_seed(config.seed)
    loss_network = load_loss_network(config.loss_model, config.loss_model_file).to(device, memory_format=torch.channels_last)
    objective = Objective(config, loss_network, device)
    crops = ContentCrops(config.content, config.image_size, config.zoom, config.seed)
    total_steps = config.steps or max(1, config.epoch * len(crops) // config.batch_size)
    painter = Painter(NETWORKS[config.model](), len(config.styles)).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(painter.parameters(), lr=config.learning_rate)
    folder = config.model_path / config.naming
    first = 0
    if resume and (step := last_step(folder)) is not None:
        load_checkpoint(folder, step, painter, optimizer)
        first = step
    half = config.precision == "bf16"
    count = len(config.styles)
    indices = range(first * config.batch_size, total_steps * config.batch_size)
    loader = DataLoader(crops, config.batch_size, sampler=indices, num_workers=1)
    bar = tqdm(loader, initial=first, total=total_steps, disable=quiet, unit="step", dynamic_ncols=True)
    step = first
    log = open(folder.parent / f"{config.naming}.log", "a")
    sums: dict[str, float] = {}
    try:
        for photo, _ in bar:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(config, step, total_steps)
            start = step * config.batch_size
            style = torch.arange(start, start + len(photo), device=device) % count
            photo = photo.to(device, memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                parts = objective(painter(photo, style), photo, style)
            optimizer.zero_grad(set_to_none=True)
            parts["total"].backward()
            optimizer.step()
            step += 1
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + float(value)
            if step % 50 == 0:
                print(step, {k: round(v / 50, 4) for k, v in sums.items()}, file=log, flush=True)
                sums = {}
            if step % CHECKPOINT_EVERY == 0:
                save_checkpoint(folder, step, painter, optimizer)
    finally:
        save_checkpoint(folder, step, painter, optimizer)
    return []


def learning_rate(config: Config, step: int, total_steps: int) -> float:
    """The rate of this step: constant, or a quarter of a cosine's period down to nothing."""
    if config.learning_rate_decay == "none":
        return config.learning_rate
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * step / total_steps))
