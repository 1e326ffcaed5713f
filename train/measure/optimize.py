"""The slow method: optimise the pixels of a picture for a photo's content and another picture's style (Gatys et al. 2016).

As in Johnson et al. 2016 (section 4.1): L-BFGS on the pixels with a learning rate of 1 and no line search, and values clipped to
[0, 1] after each iteration. So an iteration is one forward and backward pass through the loss network and one change of the
picture, as counted in their Fig. 5. With a strong Wolfe line search, the first iteration would take two passes or more and the
others 1.05 on average, and the total loss would not fall faster. The second iteration is the first with a full step length and
may raise the total loss; use the picture with the lowest total loss so far.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from livestyle.errors import TooLargeError, TrainingError
from livestyle.memory import free_bytes
from livestyle.train.losses.perceptual import total_variation_loss
from livestyle.train.measure.yardstick import Grams, Yardstick

MEASURING_BYTES = 4 * 64 * 4  # per pixel: the largest fp32 activations, of 2 convolutions with 64 channels, before and after ReLU
HISTORY = 20  # iterations from which L-BFGS estimates the curvature; 100 reach the same total loss but take 5 times the memory


@dataclass(frozen=True)
class Weights:
    """The weight of each loss in the total loss.

    tv is the weight of `total_variation_loss`, which is in squared grey levels (0-255).
    """

    content: float = 1.0
    style: float = 5.0
    tv: float = 0.0001


@dataclass(frozen=True)
class OptimizationStep:
    """The picture after an iteration, and its losses."""

    iteration: int
    """The number of iterations done; 0 for the start."""
    picture: Tensor
    """The picture, (1, 3, H, W) in [0, 1]."""
    style: float
    """The style loss, without its weight."""
    content: float
    """The content loss, without its weight."""
    total: float
    """The weighted sum of the losses."""


def optimize_picture(
    yardstick: Yardstick, photo: Tensor, style: Grams, weights: Weights, start: Tensor | None = None
) -> Iterator[OptimizationStep]:
    """Optimise a picture. Yields the start, then the result of each iteration, without end.

    photo: (1, 3, H, W) in [0, 1]. start: the same shape; None for the photo. Raises TrainingError if the losses are not finite.
    """
    content = yardstick.content(photo)
    picture = (photo if start is None else start).detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    # each call of step runs one iteration; negative tolerances turn off early termination
    optimizer = torch.optim.LBFGS([picture], max_iter=1, history_size=HISTORY, tolerance_grad=-1, tolerance_change=-1)
    losses: dict[str, Tensor] = {}

    def evaluate() -> Tensor:
        optimizer.zero_grad()
        losses.update(_losses(yardstick, picture, content, style, weights))
        torch.autograd.backward(losses["total"])
        return losses["total"]

    for iteration in itertools.count():
        before = picture.detach().clone()
        optimizer.step(evaluate)  # type: ignore[no-untyped-call,unused-ignore]
        values = {name: value.item() for name, value in losses.items()}
        if not math.isfinite(values["total"]):
            raise TrainingError(f"the losses are no longer finite at iteration {iteration}; lower --style-weight or --tv-weight")
        yield OptimizationStep(iteration, before, **values)
        with torch.no_grad():
            picture.clamp_(0, 1)


@torch.no_grad()
def total_loss(yardstick: Yardstick, painted: Tensor, photo: Tensor, style: Grams, weights: Weights) -> float:
    """The total loss of a painting. painted, photo: (1, 3, H, W) in [0, 1]."""
    return _losses(yardstick, painted, yardstick.content(photo), style, weights)["total"].item()


def iterations_to_reach(
    total: float, yardstick: Yardstick, photo: Tensor, style: Grams, weights: Weights, limit: int
) -> int | None:
    """Count the iterations from the photo to this total loss or a lower one (Johnson et al., Fig. 5); None if above `limit`."""
    for step in itertools.islice(optimize_picture(yardstick, photo, style, weights), limit + 1):
        if step.total <= total:
            return step.iteration
    return None


def noise_like(photo: Tensor, seed: int = 0) -> Tensor:
    """Make white noise in [0, 1] with the photo's shape, type and device, from a fixed seed, to start from."""
    return torch.rand(photo.shape, generator=torch.Generator().manual_seed(seed)).to(photo)


def check_memory(yardstick: Yardstick, height: int, width: int, optimised: bool = True) -> None:
    """Raise TooLargeError, with a size that fits, if a picture of this size (pixels) does not fit into memory.

    optimised: whether the picture is optimised or only measured, which takes less memory.
    """
    device = next(yardstick.network.parameters()).device
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_bytes()
    needed = (_bytes_per_pixel(yardstick) if optimised else MEASURING_BYTES) * height * width
    if needed > free:
        factor = (free / needed) ** 0.5 * 0.95
        what = "optimised" if optimised else "measured"
        raise TooLargeError(
            f"{width}x{height} needs about {needed / 2**30:.1f} GiB to be {what}, and {free / 2**30:.1f} GiB are free",
            (max(1, int(width * factor)), max(1, int(height * factor))),
        )


def _losses(yardstick: Yardstick, picture: Tensor, content: Tensor, style: Grams, weights: Weights) -> dict[str, Tensor]:
    by_layer, content_loss = yardstick.losses(picture, content, style)
    style_loss = torch.stack(list(by_layer.values())).sum()
    total = weights.content * content_loss.sum() + weights.style * style_loss + weights.tv * total_variation_loss(picture).sum()
    return {"style": style_loss, "content": content_loss.sum(), "total": total}


def _bytes_per_pixel(yardstick: Yardstick) -> int:
    """The memory for optimising a picture, in bytes per pixel.

    It holds the fp32 outputs of each convolution and ReLU, kept for the backward pass, and the L-BFGS history.
    """
    weights = yardstick.network.convolutions.named_parameters()  # conv1_1.weight, (64, 3, 3, 3) ...
    channels = sum(2 * len(value) / 4.0 ** (int(name[4]) - 1) for name, value in weights if name.endswith("weight"))
    return round(4 * channels * 1.4) + 4 * 3 * 2 * (HISTORY + 4)
