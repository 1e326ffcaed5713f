"""One training step, and the sample that shows the progress."""

import torch
from torch import Tensor, nn

from livestyle.train.losses.temporal import RandomWarp
from livestyle.train.optimizers import step_optimizers
from livestyle.train.painter import Painter
from livestyle.train.schedule import style_of_crop
from livestyle.train.setup import Setup


def training_step(setup: Setup, model: nn.Module, photo: Tensor, first_crop: int, rate_factor: float) -> dict[str, Tensor]:
    """Train on one batch. Returns the losses of `Objective`: name -> scalar on the device.

    model: the painter, wrapped for distributed training. photo: (N, 3, size, size) in [0, 1]. first_crop: the number of the
    batch's first crop, which decides the styles and the random warp. rate_factor: multiplies the initial learning rates.
    """
    config, device = setup.config, setup.device
    photo = photo.to(device, memory_format=torch.channels_last, non_blocking=True)  # (N, 3, size, size)
    crops = range(first_crop, first_crop + config.batch_size)
    styles = torch.tensor([style_of_crop(number, config, setup.total_crops) for number in crops])
    styles = styles.to(device, non_blocking=True)  # (N,)
    warped = config.batch_size if config.steady_weight else 0  # M: warped copies of all photos, or of none
    warp = RandomWarp(warped, config.image_size, config.seed + first_crop, device)
    copies = warp.noisy_copies(photo[:warped])  # (M, 3, size, size)
    with torch.autocast(device.type, torch.bfloat16, enabled=setup.bf16):
        both, overshoot = model(torch.cat([photo, copies]), torch.cat([styles, styles[:warped]]))  # (N + M, 3, size, size)
        painted, painted_copies = both[: len(photo)], both[len(photo) :]
        losses = setup.objective(painted, photo, styles, overshoot, painted_copies, warp)
    setup.painter.zero_grad()
    torch.autograd.backward(losses["total"])
    step_optimizers(setup.optimizers, rate_factor)
    return losses


@torch.no_grad()
def paint_sample(painter: Painter, sample: Tensor, styles: int, bf16: bool) -> Tensor:
    """Paint the sample photo, (1, 3, H, W), in each style. Returns it and its paintings, (1 + S, 3, H, W) in [0, 1], on CPU."""
    with torch.autocast(sample.device.type, torch.bfloat16, enabled=bf16):
        painted = [painter(sample, torch.tensor([style], device=sample.device))[0] for style in range(styles)]
    return torch.cat([sample, *painted]).float().cpu()
