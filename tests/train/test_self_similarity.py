"""CFSD: values worked out by hand, in double precision, and the order of pictures that lose more and more."""

import numpy as np
import pytest
import torch

from livestyle.frame import Image
from livestyle.pictures.pixels import resize
from livestyle.train.content.crops import to_tensor
from livestyle.train.content.drawn import scenes
from livestyle.train.losses.loss_network import LossNetwork, load_loss_network
from livestyle.train.measure.self_similarity import self_similarity_divergence, structural_distance


@pytest.fixture(scope="module")
def network() -> LossNetwork:
    return load_loss_network("random", None, ["conv3_1"])


@pytest.fixture(scope="module")
def photo() -> Image:
    return np.ascontiguousarray(scenes()[0][:120, :160])


def divergence(photo: np.ndarray, painted: np.ndarray) -> float:
    """The definition in double precision; activations (C, n)."""
    scale = len(photo) * np.sqrt((photo**2).mean())
    before, after = (np.exp((x / scale).T @ (x / scale)) for x in (photo, painted))  # (n, n)
    before, after = (x / x.sum(1, keepdims=True) for x in (before, after))
    return float((before * np.log(before / after)).sum()) / photo.shape[1] * 128 * 128


def test_divergence_by_hand() -> None:
    """One channel at two positions, 1 and 0 in the photo, swapped in the painting.

    The root mean square is sqrt(1/2), so the products are 2, 0 in the row of the position with 1, and 0, 0 in the other: the
    softmax has (e^2, 1) / (e^2 + 1) and (1/2, 1/2). Swapped, the rows are (1/2, 1/2) and (1, e^2) / (e^2 + 1).
    """
    p = np.exp(2) / (np.exp(2) + 1)
    first = p * np.log(2 * p) + (1 - p) * np.log(2 * (1 - p))  # KL of (p, 1 - p) from (1/2, 1/2)
    second = 0.5 * np.log(0.5 / p) + 0.5 * np.log(0.5 / (1 - p))  # KL of (1/2, 1/2) from (1 - p, p)
    found = self_similarity_divergence(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
    assert found == pytest.approx((first + second) / 2 * 128 * 128)


@pytest.mark.parametrize("positions", [7, 1500])  # less and more than the rows that are computed at a time
def test_divergence_against_float64(positions: int) -> None:
    rng = np.random.default_rng(0)
    photo, painted = rng.gamma(1, 1, (2, 16, positions)).astype(np.float32)
    found = self_similarity_divergence(torch.from_numpy(photo), torch.from_numpy(painted))
    assert found == pytest.approx(divergence(photo.astype(np.float64), painted.astype(np.float64)), rel=1e-5)
    assert self_similarity_divergence(torch.from_numpy(photo), torch.from_numpy(photo)) == 0


def test_scale_of_the_loss_network_does_not_matter() -> None:
    photo, painted = torch.rand(2, 8, 30, generator=torch.Generator().manual_seed(0))
    scaled = self_similarity_divergence(photo * 57, painted * 57)
    assert scaled == pytest.approx(self_similarity_divergence(photo, painted), rel=1e-4)


def test_activations_are_those_of_conv3_1(network: LossNetwork, photo: Image) -> None:
    painted = 255 - photo
    before, after = (
        network(to_tensor(picture)[None], ["conv3_1"])["conv3_1"][0].flatten(1).double().numpy() for picture in (photo, painted)
    )
    assert structural_distance(network, photo, painted) == pytest.approx(divergence(before, after), rel=1e-5)


def test_large_pictures_are_scaled_down(network: LossNetwork, photo: Image) -> None:
    """512x384 has three times the area of 256x256: both are compared at 296x222."""
    large, other = (resize(picture, 512, 384) for picture in (photo, np.ascontiguousarray(photo[:, ::-1])))
    wanted = structural_distance(network, resize(large, 296, 222), resize(other, 296, 222))
    assert structural_distance(network, large, other) == pytest.approx(wanted, rel=1e-5)


def test_pictures_that_lose_more_content_have_a_higher_distance(network: LossNetwork, photo: Image) -> None:
    distances = [
        structural_distance(network, photo, painted)
        for painted in (photo, resize(resize(photo, 80, 60), 160, 120), resize(resize(photo, 16, 12), 160, 120), photo[:, ::-1])
    ]
    assert distances[0] == 0
    assert distances == sorted(distances)


def test_photo_without_activations_has_a_finite_distance() -> None:
    none = torch.zeros(4, 9)
    assert self_similarity_divergence(none, none) == 0
    assert 0 < self_similarity_divergence(torch.rand(4, 9, generator=torch.Generator().manual_seed(0)), none) < np.inf
