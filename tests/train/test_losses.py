"""The losses, compared with values computed by hand and in double precision."""

import numpy as np
import pytest
import torch

from livestyle.train.losses import perceptual as losses


def test_gram_matrix_by_hand() -> None:
    activations = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # two channels of 1 x 2
    # [[1*1 + 2*2, 1*3 + 2*4], [.., 3*3 + 4*4]] over h w c = 4
    assert losses.gram_matrix(activations).tolist() == [[[1.25, 2.75], [2.75, 6.25]]]


def test_gram_matrix_of_bf16_is_summed_in_fp32() -> None:
    activations = torch.ones(1, 2, 64, 64, dtype=torch.bfloat16)  # 4,096 ones: a sum in bf16 would stay at 256
    gram = losses.gram_matrix(activations)
    assert gram.dtype == torch.float32
    assert gram.tolist() == [[[0.5, 0.5], [0.5, 0.5]]]


def test_gradient_of_the_gram_matrix() -> None:
    activations = torch.randn(2, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    activations = activations.contiguous(memory_format=torch.channels_last).requires_grad_()
    weights = torch.arange(18, dtype=torch.float64).reshape(2, 3, 3)  # not symmetric
    (losses.gram_matrix(activations).double() * weights).sum().backward()
    flat = activations.detach().flatten(2)  # (2, 3, 20)
    expected = (weights + weights.transpose(1, 2)) @ flat / 60  # d sum(W F F^T) / dF = (W + W^T) F
    assert activations.grad is not None
    assert torch.allclose(activations.grad.flatten(2), expected, atol=1e-6)  # the matrix is in fp32
    assert activations.grad.is_contiguous(memory_format=torch.channels_last)


def test_style_losses_by_hand() -> None:
    activations = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])
    target = torch.tensor([[1.25, 0.75], [0.75, 4.0]])
    # the differences are 0, 2, 2, 2.25: squares 4 + 4 + 5.0625
    assert losses.absolute_style_loss(activations, target).tolist() == [13.0625 / 4]  # h w c = 4 activations
    assert losses.relative_style_loss(activations, target).item() == pytest.approx(13.0625 / (1.5625 + 2 * 0.5625 + 16))


def test_content_losses_by_hand() -> None:
    activations, photo = torch.tensor([[[[2.0, 2.0]]]]), torch.tensor([[[[1.0, 5.0]]]])
    assert losses.absolute_content_loss(activations, photo).tolist() == [5.0]  # (1 + 9) / 2
    assert losses.relative_content_loss(activations, photo).item() == pytest.approx(5 / 8)  # over the variance of 1 and 5


def test_content_loss_of_a_uniform_photo_is_finite() -> None:
    assert torch.isfinite(losses.relative_content_loss(torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2))).all()


def test_total_variation_by_hand() -> None:
    row = torch.tensor([[0.0, 10.0], [0.0, 30.0]]) / 255
    painted = row.expand(1, 3, 2, 2)
    # down: 0 and 20, mean square 200; across: 10 and 30, mean square 500
    assert losses.total_variation_loss(painted).item() == pytest.approx(350)


@pytest.mark.parametrize(("spacing", "variance"), [(8, 256 / 64), (4, 64 / 63 * 256 * (1 / 16 - 1 / 256))])
def test_grid_loss_measures_a_weave_and_is_0_for_a_uniform_picture(spacing: int, variance: float) -> None:
    flat = torch.full((1, 3, 48, 52), 0.5)  # its last four columns are left out
    weave = flat.clone()
    weave[:, :, ::spacing, ::spacing] += 16 / 255  # one pixel in 8 x 8, or 4 x 4, is 16 higher
    assert losses.grid_loss(flat).item() == pytest.approx(0, abs=1e-6)
    assert losses.grid_loss(weave).item() == pytest.approx(variance, rel=1e-4)  # of the 64 means, unbiased


def test_overshoot_by_hand() -> None:
    x = torch.tensor([[0.0, 2.9], [-5, 3.5]]).expand(1, 3, 2, 2)
    assert losses.overshoot_loss(x).tolist() == pytest.approx([(4 + 0.25) / 4])


@pytest.mark.parametrize("name", ["relative_style_loss", "absolute_style_loss"])
def test_style_losses_against_float64(name: str) -> None:
    rng = np.random.default_rng(0)
    found, wanted = rng.random((3, 8, 12, 10)), rng.random((3, 8, 12, 10))

    def gram(x: np.ndarray) -> np.ndarray:
        return np.asarray(np.einsum("nchw,ndhw->ncd", x, x) / x[0].size)

    error = ((gram(found) - gram(wanted)) ** 2).sum((1, 2))
    expected = error / found[0].size if name == "absolute_style_loss" else error / (gram(wanted) ** 2).sum((1, 2))
    target = losses.gram_matrix(torch.from_numpy(wanted).float())
    assert getattr(losses, name)(torch.from_numpy(found).float(), target).numpy() == pytest.approx(expected, rel=1e-3)


def test_lattice_loss_by_hand() -> None:
    rows = torch.tensor([0.0, 72, 72, 0, 0, 24, 0]) / 255  # differences in windows of two: 72 0, 72 0, 24 24
    painted = rows[:, None].expand(1, 3, 7, 9)
    # shares: 72 / 80 twice, 24 / 56; and 0 twice, 24 / 56. Columns have no edges
    first, second = (0.9 + 0.9 + 24 / 56) / 3, 24 / 56 / 3
    mean = (first + second) / 2
    expected = ((first / mean - 1) ** 2 + (second / mean - 1) ** 2) / (2 - 1)
    assert losses.lattice_loss(painted, period=2).item() == pytest.approx(expected)
    assert losses.lattice_loss(painted.transpose(2, 3), period=2).item() == pytest.approx(expected)


def test_lattice_loss_sees_lines_that_the_grid_loss_does_not() -> None:
    painted = torch.full((1, 3, 129, 129), 0.5)
    painted[:, :, ::4, :64] += 0.1
    painted[:, :, ::4, 65:] -= 0.1
    assert losses.grid_loss(painted).item() < 0.1
    assert losses.lattice_loss(painted).item() > 0.5


def test_lattice_loss_of_a_single_colour_is_zero_and_has_a_gradient() -> None:
    painted = torch.full((1, 3, 33, 33), 0.5, requires_grad=True)
    loss = losses.lattice_loss(painted)
    loss.sum().backward()
    assert loss.item() == 0
    assert painted.grad is not None
    assert torch.isfinite(painted.grad).all()
