"""The optimizers, compared with steps computed by hand."""

import pytest
import torch
from torch import nn

from livestyle.networks import ARCHITECTURES
from livestyle.networks.torch_ops import TransformerNetwork
from livestyle.train.optimizers import Muon, make_optimizers, orthogonalise, step_optimizers
from livestyle.train.painter import Painter
from livestyle.train.predictor import Predictor


def quintic(value: float) -> float:
    """Apply Jordan's polynomial five times."""
    for _ in range(5):
        value = 3.4445 * value - 4.7750 * value**3 + 2.0315 * value**5
    return value


@pytest.mark.parametrize("shape", [(8, 8), (5, 40), (40, 5)])
def test_orthogonalise_brings_singular_values_near_1_and_keeps_the_vectors(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    u, values, v = torch.linalg.svd(matrix, full_matrices=False)
    expected = u @ torch.diag(torch.tensor([quintic(value) for value in (values / values.norm()).tolist()])).double() @ v
    torch.testing.assert_close(orthogonalise(matrix[None])[0], expected, rtol=0, atol=1e-5)
    assert torch.linalg.svdvals(orthogonalise(torch.diag(torch.tensor([1.0, 2.0, 3.0]))[None])).sub(0.95).abs().max() < 0.27


def test_two_steps_of_muon_on_a_diagonal_convolution() -> None:
    weight = nn.Parameter(torch.zeros(2, 2, 1, 1))
    muon = Muon([{"params": [weight], "lr": 0.1}])
    diagonal = torch.zeros(2)  # the diagonal of the weight
    momentum = torch.zeros(2)
    for gradient in (torch.tensor([3.0, 4.0]), torch.tensor([-1.0, 4.0])):
        weight.grad = torch.diag(gradient)[:, :, None, None]
        muon.step()
        momentum = 0.95 * momentum + 0.05 * gradient
        update = 0.05 * gradient + 0.95 * momentum
        update = update / update.norm()
        diagonal -= 0.1 * 0.2 * 2**0.5 * torch.tensor([quintic(value) for value in update.tolist()])
    torch.testing.assert_close(weight.detach()[:, :, 0, 0], torch.diag(diagonal))


def test_muon_on_a_group_equals_muon_on_each_parameter() -> None:
    together = [nn.Parameter(torch.zeros(4, 3, 3, 3)) for _ in range(3)]
    alone = [nn.Parameter(torch.zeros(4, 3, 3, 3)) for _ in range(3)]
    optimizers = [Muon([{"params": together, "lr": 0.1}]), *(Muon([{"params": [each], "lr": 0.1}]) for each in alone)]
    for seed in range(2):
        for number, pair in enumerate(zip(together, alone, strict=True)):
            for parameter in pair:
                parameter.grad = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(10 * seed + number))
        for optimizer in optimizers:
            optimizer.step()
    for ours, its in zip(together, alone, strict=True):
        torch.testing.assert_close(ours.detach(), its.detach(), rtol=0, atol=1e-6)
    assert not torch.allclose(together[0], together[1], atol=1e-2)


def test_frozen_parameters_are_left_out() -> None:
    painter = Painter(TransformerNetwork(ARCHITECTURES["lite"]), 2)
    painter.network.requires_grad_(False)
    adam, muon = make_optimizers(painter, 1e-3, 3e-2)
    assert [group["lr"] for group in adam.param_groups if group["params"]] == [3e-2]
    assert [parameter for group in adam.param_groups + muon.param_groups for parameter in group["params"]] == [painter.rows]


def test_every_parameter_has_exactly_one_optimizer() -> None:
    painter = Painter(TransformerNetwork(ARCHITECTURES["lite"]), 2)
    adam, muon = make_optimizers(painter, 1e-3)
    by_muon = [parameter for group in muon.param_groups for parameter in group["params"]]
    by_adam = [parameter for group in adam.param_groups for parameter in group["params"]]
    assert {id(each) for each in by_muon + by_adam} == {id(each) for each in painter.parameters()}
    assert len(by_muon + by_adam) == len(list(painter.parameters()))
    assert all(parameter.dim() == 4 for parameter in by_muon)


def test_step_optimizers_scales_the_initial_learning_rates() -> None:
    moved = []
    for factor in (1.0, 0.25):
        layer = nn.Conv2d(1, 1, 1)
        before = [parameter.detach().clone() for parameter in layer.parameters()]
        layer(torch.ones(1, 1, 2, 2)).sum().backward()
        step_optimizers(make_optimizers(layer, 1e-2), factor)
        moved.append([(parameter - old).item() for parameter, old in zip(layer.parameters(), before, strict=True)])
    assert moved[1] == pytest.approx([0.25 * each for each in moved[0]], rel=1e-3)
    assert moved[0][1] == pytest.approx(-1e-2, rel=1e-3)  # Adam's first step is as long as the rate


def test_learning_rates_of_the_predictor_fall_with_the_number_of_inputs() -> None:
    network = TransformerNetwork(ARCHITECTURES["lite"])
    painter = Painter(network, 2, Predictor(network.plain_rows()))
    adam, muon = make_optimizers(painter, 0.1, rows_learning_rate=0.2, predictor_learning_rate=0.3)
    rates = {parameter: group["initial_lr"] for group in adam.param_groups for parameter in group["params"]}
    found = {name: rates[value] for name, value in painter.named_parameters() if value in rates}
    predictor = {name.removeprefix("predictor."): rate for name, rate in found.items() if name.startswith("predictor.")}
    assert predictor == pytest.approx(
        {
            "hidden.0.weight": 0.3 * 256 / 1920,
            "hidden.0.bias": 0.3,
            "hidden.1.weight": 0.3 * 256 / 384,
            "hidden.1.bias": 0.3,
            "rows.weight": 0.3,
            "rows.bias": 0.3,
        }
    )
    assert found["rows"] == 0.2
    assert {group["initial_lr"] for group in muon.param_groups} == {0.1}
