"""The optimizers: Muon (Jordan et al. 2024) for convolutions' weights, Adam for all else.

With Muon `lite` comes from nothing in 200 steps to where Adam is after 500 (docs/log.md). torch has had one since 2.9,
which takes no convolutions.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

MOMENTUM = 0.95
ROOT_MEAN_SQUARE = 0.2  # of a step's numbers, in learning rates: about Adam's, so that its rates serve (Liu et al. 2025)
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of Jordan's quintic: singular values come near 1 fast, and need not reach it
ITERATIONS = 5


def optimizers_of(model: nn.Module, learning_rate: float, rows_learning_rate: float | None = None) -> list[Optimizer]:
    """Optimizers of the model's parameters that are not frozen, whose groups have an initial_lr.

    rows_learning_rate: of styles' rows, (S, 2, K); that of all else, if there is none.
    """
    dimensions: dict[int, list[nn.Parameter]] = {1: [], 3: [], 4: []}  # biases, rows, weights
    for parameter in model.parameters():
        if parameter.requires_grad:
            dimensions[parameter.dim()].append(parameter)
    biases, rows, weights = dimensions.values()

    def group(parameters: list[nn.Parameter], rate: float) -> dict[str, Any]:
        return {"params": parameters, "lr": rate, "initial_lr": rate}

    adam = Adam([group(biases, learning_rate), group(rows, rows_learning_rate or learning_rate)])
    return [adam, Muon([group(weights, learning_rate)])]


def take_step(optimizers: Iterable[Optimizer], share: float) -> None:
    """A step of each, at a share, 0 to 1, of its initial learning rates."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = share * group["initial_lr"]
        optimizer.step()


class Muon(Optimizer):
    """Nesterov's momentum, made orthogonal: a step goes as far where gradients are weak as where they are strong.

    groups: params, of two dimensions or more, and their lr. A convolution's weight is a matrix (outputs, inputs height width).
    """

    def __init__(self, groups: Iterable[dict[str, Any]]) -> None:
        super().__init__(groups, {})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            alike: dict[torch.Size, list[tuple[nn.Parameter, Tensor]]] = {}  # of one shape, together: fewer kernels for a GPU
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                momentum = state["momentum"]
                momentum.lerp_(parameter.grad, 1 - MOMENTUM)
                alike.setdefault(parameter.shape, []).append((parameter, parameter.grad.lerp(momentum, MOMENTUM).flatten(1)))
            for members in alike.values():
                updates = orthogonal(torch.stack([matrix for _, matrix in members]))
                length = ROOT_MEAN_SQUARE * max(updates.shape[1:]) ** 0.5  # orthogonal ones' numbers: 1 / root of the long side
                for (parameter, _), update in zip(members, updates, strict=True):
                    parameter.sub_(update.reshape(parameter.shape), alpha=group["lr"] * length)


def orthogonal(matrices: Tensor) -> Tensor:
    """(G, M, N) -> the same singular vectors; singular values, if above .002 of the norm, of .7 to 1.2 (Newton and Schulz)."""
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):  # a x + (b s + c s s) x, where s = x x^T
        square = x @ x.mT
        polynomial = torch.baddbmm(square, square, square, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x.mT if tall else x
