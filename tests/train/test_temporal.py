"""The temporal loss: exact shifts by whole pixels, and a loss of 0 for paintings that move with their photo."""

import pytest
import torch

from livestyle.train.losses.temporal import NOISE_SIGMA, SHIFTED_WEIGHT, STILL_WEIGHT, WARPED_WEIGHT, WHOLE_SHIFT, RandomWarp

SIZE = 48
STILL_FIRST = 11  # with this seed the first of two pictures is still, and the second is warped


def moved_by(x: float, y: float) -> RandomWarp:
    """A warp that shifts every picture so that the pixel at (x, y) moves to (0, 0)."""
    motion = RandomWarp(2, SIZE, seed=STILL_FIRST)
    line = torch.arange(SIZE, dtype=torch.float32)
    places = torch.stack([line.expand(SIZE, SIZE) + x, line[:, None].expand(SIZE, SIZE) + y], 2)
    motion.grid = (places * 2 / (SIZE - 1) - 1).expand(2, -1, -1, -1)
    motion.inside = (motion.grid.abs() <= 1).all(3)[:, None].float()
    return motion


def pictures(seed: int = 0, count: int = 2, size: int = SIZE) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def test_loss_is_0_for_paintings_that_move_with_the_photo_and_the_mean_square_for_others() -> None:
    x = pictures()
    motion = moved_by(2, 0)
    assert torch.allclose(motion.warp(x)[:, :, :, :-2], x[:, :, :, 2:], atol=1e-4)
    assert motion.loss(x, motion.warp(x)).abs().max() < 1e-9
    lighter = motion.warp(x) + 0.1
    lighter[:, :, :, -2:] += 7  # outside the original picture, so not counted
    assert motion.loss(x, lighter).tolist() == pytest.approx([0.01 * STILL_WEIGHT, 0.01 * WARPED_WEIGHT], rel=1e-4)


@pytest.mark.parametrize("size", [48, 256, 321])
def test_shifts_by_whole_pixels_reproduce_pixels(size: int) -> None:
    x = pictures(count=8, size=size)
    motion = RandomWarp(8, size, seed=1)
    moved = motion.warp(x)
    shifted = (motion.weights == SHIFTED_WEIGHT).nonzero().flatten().tolist()
    assert len(shifted) >= 2
    for number in shifted:
        right, down = ((motion.grid[number, 0, 0] + 1) * (size - 1) / 2).tolist()  # of the pixel that moves to (0, 0)
        dx, dy = round(right), round(down)
        assert (right, down) == pytest.approx((dx, dy), abs=1e-4)
        assert max(abs(dx), abs(dy)) <= WHOLE_SHIFT
        rows, columns = (slice(max(0, -shift), size - max(0, shift)) for shift in (dy, dx))
        there = x[number, :, rows.start + dy : rows.stop + dy, columns.start + dx : columns.stop + dx]
        assert torch.allclose(moved[number, :, rows, columns], there, atol=1e-4)
        inside = torch.zeros(size, size)
        inside[rows, columns] = 1
        assert torch.equal(motion.inside[number, 0], inside)


def test_still_copies_differ_by_bounded_noise_only() -> None:
    x = pictures() * 0.5 + 0.25  # so that nothing is clipped
    motion = RandomWarp(2, SIZE, seed=STILL_FIRST)
    copies = motion.noisy_copies(x)
    noise = (copies[0] - x[0]).std()
    assert 0 < noise < 1.1 * NOISE_SIGMA
    assert (copies[1] - x[1]).std() > 10 * NOISE_SIGMA  # moved
    assert motion.inside[0].all()
    assert not motion.inside[1].all()


def test_half_of_the_copies_are_shifted_and_a_quarter_each_are_warped_and_still() -> None:
    weights = RandomWarp(200, SIZE, seed=0).weights
    counts = [int((weights == weight).sum()) for weight in (SHIFTED_WEIGHT, WARPED_WEIGHT, STILL_WEIGHT)]
    assert counts == pytest.approx([100, 50, 50], abs=20)
    assert 30 < (weights[::2] == SHIFTED_WEIGHT).sum() < 70  # at any position in the batch


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
