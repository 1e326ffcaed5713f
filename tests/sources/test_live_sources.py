"""Live sources: cameras, and the wrappers that pace, mirror and pause."""

from fractions import Fraction

import numpy as np
import pytest
from clock import Clock

from livestyle.sources.demo import DemoScene
from livestyle.sources.live import Mirrored, Paced, Pausable


def test_paced_gives_each_frame_at_its_presentation_time() -> None:
    clock = Clock()
    source = Paced(DemoScene(16, 16, rate=4, seconds=1), clock=clock, sleep=clock.sleep)
    frames = [source.read() for _ in range(4)]
    assert [frame.captured_at for frame in frames if frame] == [100.0, 100.25, 100.5, 100.75]
    assert source.read() is None
    assert source.info.live


def test_paced_does_not_wait_when_late() -> None:
    clock = Clock()
    source = Paced(DemoScene(16, 16, rate=4, seconds=2), clock=clock, sleep=clock.sleep)
    source.read()
    clock.now += 0.6  # two frames are due by now
    shown = [frame.captured_at for frame in (source.read(), source.read(), source.read()) if frame]
    assert shown == pytest.approx([100.6, 100.6, 100.75])


def test_paced_continues_where_it_was_after_the_process_was_suspended() -> None:
    clock = Clock()
    source = Paced(DemoScene(16, 16, rate=4, seconds=3), clock=clock, sleep=clock.sleep)
    source.read()
    clock.now += 600
    frames = [frame for frame in (source.read(), source.read(), source.read()) if frame]
    assert [frame.captured_at for frame in frames] == [700.0, 700.25, 700.5]
    assert [float(frame.pts_seconds) for frame in frames] == [0.25, 0.5, 0.75]


def test_mirrored_swaps_left_and_right() -> None:
    plain, mirrored = DemoScene(32, 16).read(), Mirrored(Paced(DemoScene(32, 16), sleep=lambda seconds: None)).read()
    assert plain is not None
    assert mirrored is not None
    assert np.array_equal(mirrored.image[:, ::-1], plain.image)
    assert mirrored.image.flags.c_contiguous


def test_pausable_repeats_its_frame_and_leaves_the_pause_out_of_later_times() -> None:
    source = Pausable(Paced(DemoScene(16, 16, rate=4), sleep=lambda seconds: None))
    first = source.read()
    source.paused = True
    repeated = [source.read() for _ in range(3)]
    source.paused = False
    after = source.read()
    assert first is not None
    assert after is not None
    assert all(frame is not None and frame.image is first.image and frame.pts_seconds == 0 for frame in repeated)
    assert after.pts_seconds == Fraction(1, 4)
    assert not np.array_equal(after.image, first.image)
