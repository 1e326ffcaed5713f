"""The slow method: a picture itself is optimised until it keeps a photo's content in a picture's style (Gatys et al. 2016).

As in Johnson et al. 2016 (section 4.1): L-BFGS on the pixels with steps of its own length, no line search, and values
clipped to [0, 1] after each. So one iteration is one pass forward and backward through the loss network and one change
of the picture, which is what their Fig. 5 counts; with a strong Wolfe search it would be two passes or more for the
first, 1.05 for most, and the total falls no faster for it. The second step, the first of full length, may raise the
total: what counts is the least so far.
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

MEASURED = 4 * 64 * 4  # bytes a pixel: the widest activations, of the two convolutions of 64 channels, before and after ReLU
HISTORY = 20  # steps that the curvature is guessed from: 100 reach the same total, and take five times the memory


@dataclass(frozen=True)
class Weights:
    """What each loss counts in the total. tv is per squared grey level (`total_variation_loss`)."""

    content: float = 1.0
    style: float = 5.0
    tv: float = 0.0001


@dataclass(frozen=True)
class Step:
    """A picture on the way, (1, 3, H, W) in [0, 1], and its losses, unweighted but for the total."""

    iteration: int
    """Changes made to the picture; 0: the start."""
    picture: Tensor
    style: float
    content: float
    total: float


def descend(yardstick: Yardstick, photo: Tensor, style: Grams, weights: Weights, start: Tensor | None = None) -> Iterator[Step]:
    """The start, the photo itself unless given, and what each iteration makes of it; without end. photo: (1, 3, H, W).

    Raises TrainingError once the losses are not finite.
    """
    content = yardstick.content(photo)
    picture = (photo if start is None else start).detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    # as a step is one iteration, the tolerances never apply
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
        yield Step(iteration, before, **values)
        with torch.no_grad():
            picture.clamp_(0, 1)


@torch.no_grad()
def total_loss(yardstick: Yardstick, painted: Tensor, photo: Tensor, style: Grams, weights: Weights) -> float:
    """Of a painted picture, (1, 3, H, W) like its photo: what `iterations_to_reach` is to reach."""
    return _losses(yardstick, painted, yardstick.content(photo), style, weights)["total"].item()


def iterations_to_reach(
    total: float, yardstick: Yardstick, photo: Tensor, style: Grams, weights: Weights, limit: int
) -> int | None:
    """How many iterations from the photo reach a total loss, or lower; None if not `limit` of them (Johnson et al., Fig. 5)."""
    for step in itertools.islice(descend(yardstick, photo, style, weights), limit + 1):
        if step.total <= total:
            return step.iteration
    return None


def noise_like(photo: Tensor, seed: int = 0) -> Tensor:
    """White noise in [0, 1], the same every time, to start from."""
    return torch.rand(photo.shape, generator=torch.Generator().manual_seed(seed)).to(photo)


def check_memory(yardstick: Yardstick, height: int, width: int, optimised: bool = True) -> None:
    """Raises TooLargeError, with a size that fits, before a picture is optimised, or measured, that is too large for the
    memory."""
    device = next(yardstick.network.parameters()).device
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_bytes()
    needed = (_bytes_per_pixel(yardstick) if optimised else MEASURED) * height * width
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
    """Of optimising: what each convolution and ReLU gives, kept in fp32 for the way back, and L-BFGS's memory of pictures."""
    weights = yardstick.network.convolutions.named_parameters()  # conv1_1.weight, (64, 3, 3, 3) ...
    channels = sum(2 * len(value) / 4.0 ** (int(name[4]) - 1) for name, value in weights if name.endswith("weight"))
    return round(4 * channels * 1.4) + 4 * 3 * 2 * (HISTORY + 4)
