"""The optimizers: Muon (Jordan et al. 2024) for the weights of convolutions, Adam for all other parameters.

With Muon, `lite` reaches in 200 steps from scratch the loss that it has after 500 steps of Adam (docs/log.md). torch.optim.Muon
(since 2.9) does not accept the weights of convolutions.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

MOMENTUM = 0.95
UPDATE_RMS = 0.2  # of an update, per unit of learning rate: about Adam's, so that its rates fit (Liu et al. 2025)
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of Jordan's quintic: brings singular values near 1 fast, does not converge
ITERATIONS = 5
PREDICTOR_INPUTS = 256  # of a linear layer whose weight has the predictor's learning rate: the last layer


def make_optimizers(
    model: nn.Module,
    learning_rate: float,
    rows_learning_rate: float | None = None,
    predictor_learning_rate: float | None = None,
) -> list[Optimizer]:
    """Adam and Muon for the model's parameters that are not frozen. Each group has an initial_lr.

    rows_learning_rate: for the styles' rows, (S, 2, K). predictor_learning_rate: for the submodule `predictor`, by Adam; None:
    learning_rate. The rate of a linear layer's weight is divided by its number of inputs, relative to PREDICTOR_INPUTS: a step of
    Adam changes all weights by about the same amount, so the change of an output grows with the number of inputs (Yang et al.
    2022, "Tensor Programs V"). Without it, the first steps of the predictor, which has 1,920 inputs, raised its losses.
    """
    by_dimensions: dict[int, list[nn.Parameter]] = {1: [], 3: [], 4: []}  # biases, rows, weights
    predictor: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (predictor if name.startswith("predictor.") else by_dimensions[parameter.dim()]).append(parameter)
    biases, rows, weights = by_dimensions.values()

    predictor_rate = predictor_learning_rate or learning_rate

    def group(parameters: list[nn.Parameter], rate: float) -> dict[str, Any]:
        return {"params": parameters, "lr": rate, "initial_lr": rate}

    adam = Adam(
        [
            group(biases, learning_rate),
            group(rows, rows_learning_rate or learning_rate),
            *(
                group([each], predictor_rate * (PREDICTOR_INPUTS / each.shape[1] if each.dim() == 2 else 1))
                for each in predictor
            ),
        ]
    )
    return [adam, Muon([group(weights, learning_rate)])]


def step_optimizers(optimizers: Iterable[Optimizer], rate_factor: float) -> None:
    """Step each optimizer with its initial learning rates multiplied by rate_factor, 0 to 1."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate_factor * group["initial_lr"]
        optimizer.step()


class Muon(Optimizer):
    """Nesterov momentum, orthogonalised: an update has about the same size in all directions, also those of small gradients.

    groups: parameter groups with params, of two dimensions or more, and lr. A convolution's weight is treated as a matrix,
    (outputs, inputs * height * width).
    """

    def __init__(self, groups: Iterable[dict[str, Any]]) -> None:
        super().__init__(groups, {})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            # parameters of one shape are orthogonalised as one batch, which takes fewer kernels on a GPU
            by_shape: dict[torch.Size, list[tuple[nn.Parameter, Tensor]]] = {}
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                momentum = state["momentum"]
                momentum.lerp_(parameter.grad, 1 - MOMENTUM)
                update = parameter.grad.lerp(momentum, MOMENTUM).flatten(1)  # (M, N)
                by_shape.setdefault(parameter.shape, []).append((parameter, update))
            for members in by_shape.values():
                updates = orthogonalise(torch.stack([matrix for _, matrix in members]))  # (G, M, N)
                scale = UPDATE_RMS * max(updates.shape[1:]) ** 0.5  # an orthogonal matrix has an RMS of max(M, N) ** -.5
                for (parameter, _), update in zip(members, updates, strict=True):
                    parameter.sub_(update.reshape(parameter.shape), alpha=group["lr"] * scale)


def orthogonalise(matrices: Tensor) -> Tensor:
    """Set the singular values of matrices, (G, M, N), to about 1 (Newton-Schulz iteration); singular vectors stay the same.

    The results are from 0.7 to 1.2 for singular values above 0.002 times the matrix's Frobenius norm.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):  # a x + (b s + c s s) x, where s = x x^T
        square = x @ x.mT
        polynomial = torch.baddbmm(square, square, square, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x.mT if tall else x
