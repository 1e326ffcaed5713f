"""What every source has to do. To add one: a function (make_clip) -> source, in SOURCES."""

import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livestyle.frame import Frame, Source
from livestyle.sources.demo import DemoScene
from livestyle.sources.live import Mirrored, Paced, Pausable
from livestyle.sources.video import VideoFile

Factory = Callable[[Callable[..., Path]], Source]
PART: dict[str, Any] = {"start_seconds": Fraction(1, 5), "duration_seconds": Fraction(1, 2)}

SOURCES: dict[str, Factory] = {
    "video file": lambda make_clip: VideoFile(make_clip()),
    "part of a video file": lambda make_clip: VideoFile(make_clip(), **PART),
    "video file, scaled": lambda make_clip: VideoFile(make_clip(), size=lambda width, height: (width // 2, height // 2)),
    "demo scene": lambda make_clip: DemoScene(64, 48, seconds=0.2),
    "video file, paced": lambda make_clip: Paced(VideoFile(make_clip()), clock=lambda: 0, sleep=lambda seconds: None),
    "demo scene, mirrored": lambda make_clip: Mirrored(DemoScene(64, 48, seconds=0.2)),
    "demo scene, to be paused": lambda make_clip: Pausable(DemoScene(64, 48, seconds=0.2)),
}


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, make_clip: Callable[..., Path]) -> Iterator[Source]:
    source = SOURCES[request.param](make_clip)
    yield source
    source.close()


def frames(source: Source) -> Iterator[Frame]:
    while (frame := source.read()) is not None:
        yield frame


def test_frames_are_as_info_says(source: Source) -> None:
    count = 0
    for frame in frames(source):
        assert frame.image.shape == (source.info.height, source.info.width, 3)
        assert frame.image.dtype == np.uint8
        assert frame.image.flags.c_contiguous
        count += 1
    assert count == source.info.frame_count


def test_times_are_exact_and_grow(source: Source) -> None:
    times = [frame.pts_seconds for frame in frames(source)]
    time_base = source.info.time_base
    assert time_base is not None
    assert all(isinstance(time, Fraction) for time in times)
    assert all(before < after for before, after in itertools.pairwise(times))
    assert all((time / time_base).denominator == 1 for time in times)


def test_the_first_kept_frame_is_at_zero(source: Source) -> None:
    first = source.read()
    assert first is not None
    assert first.pts_seconds == 0


def test_frames_stay_what_they_were(source: Source) -> None:
    first = source.read()
    assert first is not None
    copy = first.image.copy()
    for _ in frames(source):
        pass
    assert np.array_equal(first.image, copy)


def test_after_the_end_there_is_nothing(source: Source) -> None:
    for _ in frames(source):
        pass
    assert source.read() is None
    assert source.damage == []


def test_closes_twice_and_early(source: Source) -> None:
    source.read()
    source.close()
    source.close()


def test_a_video_file_that_is_closed_has_no_more_frames(make_clip: Callable[..., Path]) -> None:
    source = VideoFile(make_clip())
    source.close()
    assert source.read() is None
