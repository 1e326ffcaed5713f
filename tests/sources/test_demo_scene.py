"""The demo scene."""

import numpy as np
import pytest

from livestyle.sources.demo import DemoScene


def test_scene_moves_and_depends_only_on_time() -> None:
    one, two = DemoScene(64, 36, rate=2, seconds=2), DemoScene(64, 36, rate=4, seconds=2)
    slow, fast = [one.read() for _ in range(5)], [two.read() for _ in range(9)]
    assert slow[4] is None
    assert fast[8] is None
    for left, right in zip(slow[:4], fast[:8:2], strict=True):
        assert left is not None
        assert right is not None
        assert left.pts_seconds == right.pts_seconds
        assert np.array_equal(left.image, right.image)
    assert not np.array_equal(slow[0].image, slow[1].image)  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (33, 200), (200, 33)])
def test_scene_can_have_any_size(size: tuple[int, int]) -> None:
    frame = DemoScene(*size).read()
    assert frame is not None
    assert frame.image.shape == (size[1], size[0], 3)
