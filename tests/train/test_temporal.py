"""The temporal loss: known warps, and a loss of 0 for paintings that move with their photo."""

import pytest
import torch

from livestyle.train.losses.temporal import NOISE_SIGMA, STILL_WEIGHT, RandomWarp

SIZE = 48
STILL_FIRST = 3  # with this seed the first of two pictures is still, and the second is warped


def moved_by(x: float, y: float) -> RandomWarp:
    """A warp that shifts every picture so that the pixel at (x, y) moves to (0, 0)."""
    motion = RandomWarp(2, SIZE, seed=STILL_FIRST)
    line = torch.arange(SIZE, dtype=torch.float32)
    places = torch.stack([line.expand(SIZE, SIZE) + x, line[:, None].expand(SIZE, SIZE) + y], 2)
    motion.grid = (places * 2 / (SIZE - 1) - 1).expand(2, -1, -1, -1)
    motion.inside = (motion.grid.abs() <= 1).all(3)[:, None].float()
    return motion


def pictures(seed: int = 0) -> torch.Tensor:
    return torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def test_shift_by_whole_pixels_is_exact() -> None:
    x = pictures()
    warped = moved_by(3, 5).warp(x)
    assert torch.allclose(warped[:, :, :-5, :-3], x[:, :, 5:, 3:], atol=1e-4)


def test_loss_is_0_for_paintings_that_move_with_the_photo_and_the_mean_square_for_others() -> None:
    x = pictures()
    motion = moved_by(2, 0)
    assert motion.loss(x, motion.warp(x)).abs().max() < 1e-9
    lighter = motion.warp(x) + 0.1
    lighter[:, :, :, -2:] += 7  # outside the original picture, so not counted
    assert motion.loss(x, lighter).tolist() == pytest.approx([0.01 * STILL_WEIGHT, 0.01], rel=1e-4)  # the first picture is still


def test_half_of_the_pictures_are_still_and_noise_is_bounded() -> None:
    x = pictures() * 0.5 + 0.25  # so that nothing is clipped
    motion = RandomWarp(2, SIZE, seed=STILL_FIRST)
    copies = motion.noisy_copies(x)
    noise = (copies[0] - x[0]).std()
    assert 0 < noise < 1.1 * NOISE_SIGMA
    assert (copies[1] - x[1]).std() > 10 * NOISE_SIGMA  # moved
    assert motion.inside[0].all()
    assert not motion.inside[1].all()
    stays = (RandomWarp(200, SIZE, seed=0).weights == STILL_WEIGHT).float()
    assert 70 < stays.sum() < 130
    assert 30 < stays[::2].sum() < 70  # at any position in the batch


def test_warp_depends_on_its_seed_only() -> None:
    x = pictures()
    state = torch.random.get_rng_state()
    first, again, other = (RandomWarp(2, SIZE, seed).noisy_copies(x) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_warp_of_no_pictures_makes_no_copies() -> None:
    x = pictures()
    assert RandomWarp(0, SIZE, 1).noisy_copies(x[:0]).shape == (0, 3, SIZE, SIZE)
