"""Everything that a training builds, reads and checks before its first step."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from livestyle.errors import OutputError
from livestyle.prediction.statistics import LAYERS
from livestyle.train.batches import Item, TrainingItems, collate
from livestyle.train.checkpoint import load_checkpoint, steps_in
from livestyle.train.config import Config
from livestyle.train.content.crops import ContentCrops, init_worker
from livestyle.train.content.style_pictures import StylePictures
from livestyle.train.export import body_path, predictor_path, style_paths
from livestyle.train.losses.loss_network import LossNetwork, load_loss_network
from livestyle.train.objective import Objective, read_style_picture
from livestyle.train.optimizers import make_optimizers
from livestyle.train.painter import Painter, make_painter
from livestyle.train.processes import Processes
from livestyle.train.schedule import Batches, style_of_crop

PREDICTOR_SAMPLE = 64  # style pictures that a new predictor's inputs are normalised with
BATCH_TIMEOUT_SECONDS = 300  # a worker process that runs out of shared memory sends neither a batch nor an error


@dataclass(frozen=True)
class Setup:
    """Everything that the steps of a training need."""

    config: Config
    processes: Processes
    crops: ContentCrops
    style_pictures: StylePictures | None
    sample: Tensor
    """The photo that sample.jpg shows, (1, 3, size, size) in [0, 1], on the device."""
    objective: Objective
    painter: Painter
    optimizers: list[Optimizer]
    first_step: int
    """The number of steps that the checkpoint has; 0 without one."""
    is_resumed: bool
    """Whether a checkpoint was loaded."""
    total_steps: int
    """The number of steps of the whole run."""
    bf16: bool
    """Whether to compute in bf16."""

    @property
    def device(self) -> torch.device:
        return self.processes.device

    @property
    def crops_per_step(self) -> int:
        """The number of crops per step, of all processes together."""
        return self.config.batch_size * self.processes.count

    @property
    def total_crops(self) -> int:
        return self.total_steps * self.crops_per_step

    @property
    def batch_starts(self) -> range:
        """The first crop number of each of this process's batches.

        Crops are numbered over the whole training: step by step, and in each step by the rank of the process.
        """
        first = self.first_step * self.crops_per_step + self.processes.rank * self.config.batch_size
        return range(first, self.total_crops, self.crops_per_step)

    def style_of_crop(self, number: int) -> int | None:
        """The index of the named style that a crop is painted in, or None if its rows are predicted."""
        return style_of_crop(number, self.config, self.total_crops)

    def load_batches(self, workers: int | None = None) -> "DataLoader[Item]":
        """Load this process's batches in order.

        workers: the number of processes that read the content; 0 for none besides this one; None for the device's default.
        """
        if workers is None:
            workers = 1 if self.device.type == "cpu" else min(8, os.cpu_count() or 1)
        items = TrainingItems(self.crops, self.style_pictures, self.style_of_crop)
        return DataLoader(
            items,
            batch_sampler=Batches(self.batch_starts, self.config.batch_size),
            collate_fn=collate,
            num_workers=workers,
            worker_init_fn=init_worker,
            timeout=BATCH_TIMEOUT_SECONDS if workers else 0,
            pin_memory=self.device.type == "cuda",
        )


def prepare(config: Config, processes: Processes, resume: bool) -> Setup:
    """Read the pictures, build the networks and optimizers, and load the last checkpoint if resume is true.

    Raises TrainingError if a picture, a weights file or the checkpoint cannot be used.
    """
    device = processes.device
    crops = ContentCrops(config.content, config.image_size, config.zoom, config.seed)
    total_steps = config.steps or max(1, config.epoch * len(crops) // (config.batch_size * processes.count))
    sample = crops[0][0][None].to(device)  # (1, 3, size, size); raises TrainingError if no picture can be used
    style_pictures = None if config.style_pictures is None else StylePictures(config.style_pictures, config.seed)
    network, statistics_network = load_loss_networks(config, device)
    named = (read_style_picture(source, config) for source in config.styles.values())
    objective = Objective(config, network, named, device, statistics_network)

    painter = make_painter(config).to(device).to(memory_format=torch.channels_last)
    optimizers = make_optimizers(painter, config.learning_rate, config.rows_learning_rate, config.predictor_learning_rate)
    folder = run_folder(config)
    saved_steps = steps_in(folder) if resume else []
    if saved_steps:
        load_checkpoint(folder, saved_steps[-1], painter, optimizers, config.styles)
    elif painter.predictor is not None and style_pictures is not None and not painter.predictor.is_normalised:
        pictures = (style_pictures.variation(number) for number in range(PREDICTOR_SAMPLE))
        each = [objective.read_style_pictures(picture[None].to(device))[1] for picture in pictures]
        painter.predictor.normalise(torch.cat(each))  # (64, 1920)
    first_step = saved_steps[-1] if saved_steps else 0
    return Setup(
        config=config,
        processes=processes,
        crops=crops,
        style_pictures=style_pictures,
        sample=sample,
        objective=objective,
        painter=painter,
        optimizers=optimizers,
        first_step=first_step,
        is_resumed=bool(saved_steps),
        total_steps=total_steps,
        bf16=uses_bf16(config.precision, device),
    )


def load_loss_networks(config: Config, device: torch.device) -> tuple[LossNetwork, LossNetwork | None]:
    """Load the loss network and, with style pictures, the bundled one for their statistics: the same object if it is bundled."""
    layers = [*config.content_layers, *config.style_layers]
    is_bundled = config.loss_model == "own" and config.loss_model_file is None
    if config.style_pictures is not None and is_bundled:
        layers += LAYERS
    network = load_loss_network(config.loss_model, config.loss_model_file, layers)
    network = network.to(device).to(memory_format=torch.channels_last)
    if config.style_pictures is None or is_bundled:
        return network, None if config.style_pictures is None else network
    return network, load_loss_network("own", None, LAYERS).to(device).to(memory_format=torch.channels_last)


def run_folder(config: Config) -> Path:
    """The folder of a run's log and checkpoints."""
    suffix = "-predictor" if config.finetune == "predictor" else ""  # else it would be that of the body's own run
    return config.model_path / f"{config.naming}.{config.model}{suffix}"


def check_outputs(config: Config, resume: bool, overwrite: bool) -> None:
    """Raise OutputError if a run or style of this name exists, and neither resume nor overwrite applies to it."""
    folder = run_folder(config)
    steps = steps_in(folder)
    if overwrite or (resume and steps):
        return
    if steps:
        raise OutputError(f"{folder} holds a run of {steps[-1]} steps; continue with --resume, or start again with --overwrite")
    for path in [*style_paths(config).values(), body_path(config), predictor_path(config)]:
        try:
            exists = path is not None and path.exists()
        except OSError as error:  # a folder without permission, or a name that is too long
            raise OutputError(f"cannot write {path}: {error.strerror}; name another place with --model-path") from error
        if exists:
            raise OutputError(f"{path} exists; replace it with --overwrite, or choose another --name")


def uses_bf16(precision: str, device: torch.device) -> bool:
    """Whether to compute in bf16. With "auto": if the device has hardware support; without it bf16 is slower than fp32."""
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    probes = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # torch has no public functions for this
    return device.type == "cpu" and any(getattr(torch.cpu, probe, bool)() for probe in probes)
