"""The steady pass: warps whose result is known, and a loss that is nothing for what moves along."""

import pytest
import torch

from livestyle.train.losses.temporal import NOISE_SIGMA, STILL_WEIGHT, RandomWarp

SIZE = 48
STILL_FIRST = 3  # a seed with which the first of two pictures stays, and the second moves


def moved_by(x: float, y: float) -> RandomWarp:
    """Every picture's content shifted: what is at (x, y) comes to (0, 0)."""
    motion = RandomWarp(2, SIZE, seed=STILL_FIRST)
    line = torch.arange(SIZE, dtype=torch.float32)
    places = torch.stack([line.expand(SIZE, SIZE) + x, line[:, None].expand(SIZE, SIZE) + y], 2)
    motion.grid = (places * 2 / (SIZE - 1) - 1).expand(2, -1, -1, -1)
    motion.inside = (motion.grid.abs() <= 1).all(3)[:, None].float()
    return motion


def pictures(seed: int = 0) -> torch.Tensor:
    return torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def test_whole_pixels_move_without_change() -> None:
    x = pictures()
    warped = moved_by(3, 5).warp(x)
    assert torch.allclose(warped[:, :, :-5, :-3], x[:, :, 5:, 3:], atol=1e-4)


def test_loss_is_nothing_for_a_painter_that_moves_along_and_the_difference_for_one_that_does_not() -> None:
    x = pictures()
    motion = moved_by(2, 0)
    assert motion.loss(x, motion.warp(x)).abs().max() < 1e-9
    lighter = motion.warp(x) + 0.1
    lighter[:, :, :, -2:] += 7  # shows what was not in the picture before, and does not count
    assert motion.loss(x, lighter).tolist() == pytest.approx([0.01 * STILL_WEIGHT, 0.01], rel=1e-4)  # the first stays


def test_half_of_the_pictures_stay_and_noise_is_a_camera_s() -> None:
    x = pictures() * 0.5 + 0.25  # so that nothing is cut off
    motion = RandomWarp(2, SIZE, seed=STILL_FIRST)
    copies = motion.noisy_copies(x)
    noise = (copies[0] - x[0]).std()
    assert 0 < noise < 1.1 * NOISE_SIGMA
    assert (copies[1] - x[1]).std() > 10 * NOISE_SIGMA  # moved
    assert motion.inside[0].all()
    assert not motion.inside[1].all()
    stays = (RandomWarp(200, SIZE, seed=0).weights == STILL_WEIGHT).float()
    assert 70 < stays.sum() < 130
    assert 30 < stays[::2].sum() < 70  # wherever in the batch they are


def test_a_motion_depends_on_its_seed_alone() -> None:
    x = pictures()
    state = torch.random.get_rng_state()
    first, again, other = (RandomWarp(2, SIZE, seed).noisy_copies(x) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_no_pictures_have_no_copies() -> None:
    x = pictures()
    assert RandomWarp(0, SIZE, 1).noisy_copies(x[:0]).shape == (0, 3, SIZE, SIZE)
