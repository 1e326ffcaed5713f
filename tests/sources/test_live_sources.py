"""Live sources: cameras, and the wrappers that pace, mirror and pause."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clock import Clock

from livestyle.errors import DeviceError, InputError
from livestyle.sources.camera import Camera
from livestyle.sources.demo import DemoScene
from livestyle.sources.live import Mirrored, Paced, Pausable


def test_url_without_a_server_is_an_input_error() -> None:
    with pytest.raises(InputError, match="no answer"):
        Camera("http://127.0.0.1:9/camera")


def test_stream_gives_frames_until_it_stops(served: str) -> None:
    clock = Clock()
    camera = Camera(f"{served}/live", size=lambda width, height: (width // 2, height // 2), clock=clock, sleep=clock.sleep)
    assert (camera.info.width, camera.info.height, camera.info.live) == (32, 24, True)
    clock.now += 2
    reds = []
    for _ in range(4):
        frame = camera.read()
        assert frame is not None
        assert frame.captured_at == 102
        assert frame.pts_seconds == 0  # the clock does not advance
        assert frame.image.shape == (24, 32, 3)
        assert frame.image[..., 2].mean() < 10
        reds.append(round(frame.image[..., 0].mean() / 50))
    with pytest.raises(DeviceError, match="no longer gives frames"):
        camera.read()
    assert reds == [1, 2, 3, 4]  # frame 0 was read for its size, and discarded
    assert clock.now > 102 + 5
    camera.close()


def test_file_at_a_url_keeps_its_times(served: str, make_clip: Callable[..., Path]) -> None:
    make_clip(ticks=[0, 1, 2, 5])
    camera = Camera(f"{served}/clip.mp4")
    frames = [camera.read() for _ in range(5)]
    assert [frame and frame.pts_seconds for frame in frames] == [0, Fraction(1, 10), Fraction(1, 5), Fraction(1, 2), None]
    assert not camera.info.live
    assert camera.info.frame_count == 4
    camera.close()


def test_frames_that_change_size_are_scaled_to_the_first(served: str) -> None:
    camera = Camera(f"{served}/turned")
    shapes = {frame.image.shape for _ in range(19) if (frame := camera.read()) is not None}
    assert shapes == {(48, 64, 3)}
    camera.close()


def test_paced_gives_each_frame_at_its_presentation_time() -> None:
    clock = Clock()
    source = Paced(DemoScene(16, 16, rate=4, seconds=1), clock, clock.sleep)
    frames = [source.read() for _ in range(4)]
    assert [frame.captured_at for frame in frames if frame] == [100.0, 100.25, 100.5, 100.75]
    assert source.read() is None
    assert source.info.live


def test_paced_does_not_wait_when_late() -> None:
    clock = Clock()
    source = Paced(DemoScene(16, 16, rate=4, seconds=2), clock, clock.sleep)
    source.read()
    clock.now += 0.6  # two frames are due by now
    shown = [frame.captured_at for frame in (source.read(), source.read(), source.read()) if frame]
    assert shown == pytest.approx([100.6, 100.6, 100.75])


def test_mirrored_swaps_left_and_right() -> None:
    plain, mirrored = DemoScene(32, 16).read(), Mirrored(DemoScene(32, 16)).read()
    assert plain is not None
    assert mirrored is not None
    assert np.array_equal(mirrored.image[:, ::-1], plain.image)
    assert mirrored.image.flags.c_contiguous


def test_pausable_repeats_its_frame_and_leaves_the_pause_out_of_later_times() -> None:
    source = Pausable(DemoScene(16, 16, rate=4))
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
