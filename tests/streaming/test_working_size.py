"""The size at which frames are painted."""

from fractions import Fraction

import numpy as np

from livestyle.frame import Frame, StreamInfo
from livestyle.look import Look
from livestyle.networks import ARCHITECTURES
from livestyle.networks.body import Body
from livestyle.streaming.pipeline import Painted
from livestyle.streaming.working_size import WorkingSize

LOOK = Look(Body(ARCHITECTURES["lite"], {}), np.zeros((2, 3), np.float32))


class Still:
    """A source of equal frames."""

    def __init__(self, width: int, height: int) -> None:
        self.info = StreamInfo(width, height)
        self.notes: list[str] = []
        self.damage: list[str] = []
        self.image = np.zeros((height, width, 3), np.uint8)

    def read(self) -> Frame | None:
        return Frame(self.image, Fraction(1, 3), 2.0)

    def close(self) -> None:
        pass


def test_frames_have_the_working_size_and_paintings_that_of_the_source() -> None:
    source = Still(200, 160)
    working_size = WorkingSize(source)
    frame = working_size.read()
    assert frame is not None
    assert frame.image is source.image  # not copied
    item = Painted(frame, source.image, LOOK)
    assert next(working_size.restore([item])) is item
    assert working_size.step(-1)
    frame = working_size.read()
    assert frame is not None
    assert (frame.image.shape, frame.pts_seconds, frame.captured_at) == ((112, 140, 3), Fraction(1, 3), 2.0)
    (restored,) = working_size.restore([Painted(frame, frame.image, LOOK)])
    assert restored.frame.image.shape == (160, 200, 3)
    assert restored.photo.shape == (112, 140, 3)
    assert restored.frame.pts_seconds == Fraction(1, 3)


def test_the_working_size_is_limited() -> None:
    working_size = WorkingSize(Still(200, 160))
    assert [working_size.step(-1) for _ in range(4)] == [True, True, False, False]  # .35 of 160 is less than 64
    assert working_size.size == (100, 80)
    assert [working_size.step(1) for _ in range(5)] == [True] * 4 + [False]
    assert working_size.size == (400, 320)
    tiny = WorkingSize(Still(1, 1))
    assert not tiny.step(-1)
    assert tiny.size == (1, 1)
    large = WorkingSize(Still(8000, 10))
    assert not large.step(1)
    assert not large.step(-1)
