"""The slow method: optimise the pixels of a picture for a photo's content and another picture's style (Gatys et al. 2016).

As in Johnson et al. 2016 (section 4.1): L-BFGS on the pixels with its own step length, no line search, and values clipped to
[0, 1] after each iteration. So an iteration is one forward and backward pass through the loss network and one change of the
picture, which is what their Fig. 5 counts. A strong Wolfe line search would take two passes or more for the first iteration and
1.05 on average for the others, and the total loss would not fall faster. The second iteration, the first of full length, may
raise the total loss: use the lowest so far.
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

MEASURING_BYTES = 4 * 64 * 4  # per pixel: the largest activations, of two convolutions with 64 channels, before and after ReLU
HISTORY = 20  # iterations from which L-BFGS estimates curvature; 100 reach the same total with five times the memory


@dataclass(frozen=True)
class Weights:
    """The weight of each loss in the total. tv is per squared grey level (`total_variation_loss`)."""

    content: float = 1.0
    style: float = 5.0
    tv: float = 0.0001


@dataclass(frozen=True)
class OptimizationStep:
    """The picture after an iteration, and its losses."""

    iteration: int
    """0 is the start."""
    picture: Tensor
    """(1, 3, H, W) in [0, 1]."""
    style: float
    """Without its weight, as content."""
    content: float
    total: float


def optimize_picture(
    yardstick: Yardstick, photo: Tensor, style: Grams, weights: Weights, start: Tensor | None = None
) -> Iterator[OptimizationStep]:
    """Optimise a picture. Yields the start and the result of each iteration, without end.

    photo: (1, 3, H, W) in [0, 1]. start: the same shape; None for the photo. Raises TrainingError if the losses are not finite.
    """
    content = yardstick.content(photo)
    picture = (photo if start is None else start).detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    # each call of step makes one iteration, so the tolerances never apply
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
    """The total loss of a painting, (1, 3, H, W) as its photo: the goal of `iterations_to_reach`."""
    return _losses(yardstick, painted, yardstick.content(photo), style, weights)["total"].item()


def iterations_to_reach(
    total: float, yardstick: Yardstick, photo: Tensor, style: Grams, weights: Weights, limit: int
) -> int | None:
    """The number of iterations from the photo to at most this total loss (Johnson et al., Fig. 5); None if more than `limit`."""
    for step in itertools.islice(optimize_picture(yardstick, photo, style, weights), limit + 1):
        if step.total <= total:
            return step.iteration
    return None


def noise_like(photo: Tensor, seed: int = 0) -> Tensor:
    """White noise in [0, 1] of the photo's shape, from a fixed seed, as a start."""
    return torch.rand(photo.shape, generator=torch.Generator().manual_seed(seed)).to(photo)


def check_memory(yardstick: Yardstick, height: int, width: int, optimised: bool = True) -> None:
    """Raise TooLargeError, with a size that fits, if a picture of this size does not fit the memory.

    optimised: whether it is optimised, or only measured.
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
    by_layer, lost = yardstick.losses(picture, content, style)
    missed = torch.stack(list(by_layer.values())).sum()
    total = weights.content * lost.sum() + weights.style * missed + weights.tv * total_variation_loss(picture).sum()
    return {"style": missed, "content": lost.sum(), "total": total}


def _bytes_per_pixel(yardstick: Yardstick) -> int:
    """Memory of optimising: the output of each convolution and ReLU, kept in fp32 for the backward pass, and L-BFGS's history."""
    weights = yardstick.network.convolutions.named_parameters()  # conv1_1.weight, (64, 3, 3, 3) ...
    channels = sum(2 * len(value) / 4.0 ** (int(name[4]) - 1) for name, value in weights if name.endswith("weight"))
    return round(4 * channels * 1.4) + 4 * 3 * 2 * (HISTORY + 4)
