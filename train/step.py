"""One training step, and the sample that shows the progress."""

import itertools

import torch
from torch import Tensor, nn

from livestyle.train.batches import Batch
from livestyle.train.losses.temporal import RandomWarp
from livestyle.train.optimizers import step_optimizers
from livestyle.train.setup import Setup


def training_step(setup: Setup, model: nn.Module, batch: Batch, first_crop: int, rate_factor: float) -> dict[str, Tensor]:
    """Train on one batch. Returns the losses of `Objective`: name -> scalar on the device.

    model: the painter, wrapped for distributed training. first_crop: the number of the batch's first crop, which decides the
    styles and the random warp. rate_factor: multiplies the initial learning rates.
    """
    config, device = setup.config, setup.device
    photo = batch.photo.to(device, memory_format=torch.channels_last, non_blocking=True)  # (N, 3, size, size)
    pictures = batch.style_pictures.to(device, memory_format=torch.channels_last, non_blocking=True)  # (P, 3, 256, 256)
    predicted = itertools.count(len(config.styles))  # the indices of the predicted styles, in the order of the pictures
    indices = [setup.style_of_crop(number) for number in range(first_crop, first_crop + config.batch_size)]
    styles = torch.tensor([next(predicted) if index is None else index for index in indices])
    styles = styles.to(device, non_blocking=True)  # (N,)
    warped = config.batch_size if config.steady_weight else 0  # M: warped copies of all photos, or of none
    warp = RandomWarp(warped, config.image_size, config.seed + first_crop, device)
    copies = warp.noisy_copies(photo[:warped])  # (M, 3, size, size)
    with torch.autocast(device.type, torch.bfloat16, enabled=setup.bf16):
        grams, statistics = setup.objective.read_style_pictures(pictures)
        photos, all_styles = torch.cat([photo, copies]), torch.cat([styles, styles[:warped]])
        both, overshoot = model(photos, all_styles, statistics)  # (N + M, 3, size, size)
        painted, painted_copies = both[: len(photo)], both[len(photo) :]
        losses = setup.objective(painted, photo, styles, overshoot, painted_copies, warp, grams)
    setup.painter.zero_grad()
    torch.autograd.backward(losses["total"])
    step_optimizers(setup.optimizers, rate_factor)
    return losses


@torch.no_grad()
def paint_sample(setup: Setup) -> Tensor:
    """Paint the sample photo in each named style. Returns it and its paintings, (1 + S, 3, H, W) in [0, 1], on the CPU.

    If only the predictor is trained, the rows are predicted from the named styles' pictures.
    """
    sample, config, painted = setup.sample, setup.config, []
    for number in range(len(config.styles)):
        is_predicted = config.finetune == "predictor"
        index = torch.tensor([len(config.styles) if is_predicted else number], device=sample.device)
        with torch.autocast(sample.device.type, torch.bfloat16, enabled=setup.bf16):
            painted.append(setup.painter(sample, index, setup.objective.statistics[number] if is_predicted else None)[0])
    return torch.cat([sample, *painted]).float().cpu()
