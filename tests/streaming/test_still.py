"""Paintings of a still picture are used again."""

import numpy as np
import pytest
from clock import Clock

from livestyle.engines.base import Batch, Done, Ticket
from livestyle.frame import Image
from livestyle.look import Look
from livestyle.networks import ARCHITECTURES
from livestyle.networks.body import Body
from livestyle.streaming.still import StillEngine

BODY = Body(ARCHITECTURES["lite"], {})
ASH, BIRCH = (Look(BODY, np.full((2, 3), value, np.float32)) for value in (0, 1))


class Counter:
    """An engine whose paintings show how many it has painted."""

    name, precision, gpu, takes_nv12 = "counter", "uint8", 0, True
    batches, batches_in_flight = (1,), 3

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.painted = 0

    def prepare(self, body: Body) -> None:
        pass

    def submit(self, batch: Batch) -> Ticket:
        self.painted += 1
        return Done([np.full_like(image, self.painted) for image, _ in batch])

    def close(self) -> None:
        pass


class Still:
    def __init__(self) -> None:
        self.clock, self.counter = Clock(), Counter()
        self.engine = StillEngine(self.counter, self.clock)

    def paint(self, photo: Image, look: Look = ASH, after_seconds: float = 0.1) -> int:
        """Paint a frame. Returns the number of the painting."""
        self.clock.now += after_seconds
        (image,) = self.engine.submit([(photo, look)]).result()
        assert image.shape == photo.shape
        return int(image[0, 0, 0])


@pytest.fixture
def still() -> Still:
    return Still()


def noisy(seed: int, level: float = 120) -> Image:
    """A grey picture with the noise of a camera in a dark room: a standard deviation of 4 levels."""
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(level, 4, (360, 640, 3)), 0, 255).round().astype(np.uint8)


def test_a_still_noisy_picture_is_painted_once_a_second(still: Still) -> None:
    assert [still.paint(noisy(seed), after_seconds=1 / 8) for seed in range(25)] == [1] * 8 + [2] * 8 + [3] * 8 + [4]
    assert still.engine.reused == 21
    assert still.counter.painted == 4


def test_a_small_movement_is_painted(still: Still) -> None:
    photo = noisy(0)
    moved = photo.copy()
    moved[100:108, 200:208] += 12  # 64 of 230,400 pixels
    assert [still.paint(photo), still.paint(moved), still.paint(moved), still.paint(photo)] == [1, 2, 2, 3]


def test_slow_changes_add_up(still: Still) -> None:
    photos = [np.full((80, 80, 3), 100 + step, np.uint8) for step in range(9)]
    assert [still.paint(photo) for photo in photos] == [1, 1, 1, 1, 1, 2, 2, 2, 2]


def test_another_look_or_size_is_painted(still: Still) -> None:
    photo = noisy(0)
    same = Look(BODY, ASH.rows.copy(), name="other name")
    assert [still.paint(photo, look) for look in (ASH, BIRCH, BIRCH, ASH, same)] == [1, 2, 2, 3, 3]
    assert still.paint(photo[:200]) == 4
    assert still.paint(np.zeros((1, 1, 3), np.uint8)) == 5


def test_a_failed_painting_is_not_used_again(still: Still) -> None:
    class Broken:
        def result(self) -> list[Image]:
            raise ValueError("no memory")

    photo = noisy(0)
    submit, still.counter.submit = still.counter.submit, lambda batch: Broken()  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="no memory"):
        still.paint(photo)
    still.counter.submit = submit  # type: ignore[method-assign]
    assert still.paint(photo) == 1
