"""The contract of every source. To test another source, add a function (make_clip) -> source to SOURCES."""

import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clock import Clock
from PIL import Image as Pillow
from xvfb import IS_MISSING, Xvfb

from livestyle.errors import InputError
from livestyle.frame import Frame, Source
from livestyle.sources.demo import DemoScene
from livestyle.sources.live import Mirrored, Paced, Pausable
from livestyle.sources.raw import RawFrames
from livestyle.sources.video.file import VideoFile, open_video

Factory = Callable[[Callable[..., Path]], Source]
PART: dict[str, Any] = {"start_seconds": Fraction(1, 5), "duration_seconds": Fraction(1, 2)}


def animated_webp(path: Path, durations: tuple[int, ...] = (200, 300, 1000)) -> Path:
    """An animation of a red, a green and a blue picture, half transparent. durations: in milliseconds."""
    colors = [(200, 0, 0, 128), (0, 200, 0, 128), (0, 0, 200, 128)]
    first, *others = [Pillow.new("RGBA", (64, 48), color) for color in colors]
    first.save(path, save_all=True, append_images=others, duration=list(durations), lossless=True, minimize_size=False)
    return path


def paced(source: Source) -> Paced:
    return Paced(source, clock=lambda: 0, sleep=lambda seconds: None)


UNKNOWN_COUNT = 5
"""Number of frames of those sources whose info has none."""


class RawFile(RawFrames):
    """UNKNOWN_COUNT raw frames of noise in a file."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(np.random.default_rng(0).bytes(UNKNOWN_COUNT * 3 * 16 * 12))
        self._opened = path.open("rb")
        clock = Clock()
        super().__init__(16, 12, descriptor=self._opened.fileno(), clock=clock, wait=clock.sleep)

    def close(self) -> None:
        super().close()
        self._opened.close()


class FewScreens:
    """A source that captures the screen UNKNOWN_COUNT times."""

    def __init__(self) -> None:
        from livestyle.sources.screen import ScreenCapture

        clock = Clock()
        self._screen = ScreenCapture("screen:16x12+5+7", clock=clock, wait=clock.sleep)
        self.info, self.notes, self.damage = self._screen.info, self._screen.notes, self._screen.damage
        self._count = 0

    def read(self) -> Frame | None:
        if self._count == UNKNOWN_COUNT:
            self._screen.stop()
        self._count += 1
        return self._screen.read()

    def close(self) -> None:
        self._screen.close()


SOURCES: dict[str, Factory] = {
    "video file": lambda make_clip: VideoFile(make_clip()),
    "part of a video file": lambda make_clip: VideoFile(make_clip(), **PART),
    "animated picture": lambda make_clip: open_video(animated_webp(make_clip().parent / "clip.webp")),
    "video file, scaled": lambda make_clip: VideoFile(make_clip(), size=lambda width, height: (width // 2, height // 2)),
    "raw frames": lambda make_clip: RawFile(make_clip().parent / "frames.raw"),
    "screen": lambda make_clip: FewScreens(),
    "demo scene": lambda make_clip: DemoScene(64, 48, seconds=0.2),
    "video file, paced": lambda make_clip: paced(VideoFile(make_clip())),
    "demo scene, mirrored": lambda make_clip: Mirrored(paced(DemoScene(64, 48, seconds=0.2))),
    "demo scene, to be paused": lambda make_clip: Pausable(paced(DemoScene(64, 48, seconds=0.2))),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Xvfb]:
    if IS_MISSING:
        pytest.skip("needs Xvfb")
    pytest.importorskip("mss")
    server = Xvfb(tmp_path_factory.mktemp("screen"))
    yield server
    server.close()


@pytest.fixture
def display(server: Xvfb, monkeypatch: pytest.MonkeyPatch) -> None:
    """A screen that can be captured."""
    monkeypatch.setenv("DISPLAY", server.name)


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, make_clip: Callable[..., Path]) -> Iterator[Source]:
    if request.param == "screen":
        request.getfixturevalue("display")
    source = SOURCES[request.param](make_clip)
    yield source
    source.close()


def frames(source: Source) -> Iterator[Frame]:
    while (frame := source.read()) is not None:
        yield frame


def test_frames_match_the_info(source: Source) -> None:
    count = 0
    for frame in frames(source):
        assert frame.image.shape == (source.info.height, source.info.width, 3)
        assert frame.image.dtype == np.uint8
        assert frame.image.flags.c_contiguous
        count += 1
    assert count == (source.info.frame_count or UNKNOWN_COUNT)


def test_times_are_exact_and_increase(source: Source) -> None:
    times = [frame.pts_seconds for frame in frames(source)]
    time_base = source.info.time_base
    assert time_base is not None
    assert all(isinstance(time, Fraction) for time in times)
    assert all(before < after for before, after in itertools.pairwise(times))
    assert all((time / time_base).denominator == 1 for time in times)


def test_first_frame_is_at_time_0(source: Source) -> None:
    first = source.read()
    assert first is not None
    assert first.pts_seconds == 0


def test_frame_is_not_changed_by_later_reads(source: Source) -> None:
    first = source.read()
    assert first is not None
    copy = first.image.copy()
    for _ in frames(source):
        pass
    assert np.array_equal(first.image, copy)


def test_read_returns_none_after_the_end(source: Source) -> None:
    for _ in frames(source):
        pass
    assert source.read() is None
    assert source.damage == []


def test_close_before_the_end_and_twice(source: Source) -> None:
    source.read()
    source.close()
    source.close()


def test_closed_video_file_has_no_more_frames(make_clip: Callable[..., Path]) -> None:
    source = VideoFile(make_clip())
    source.close()
    assert source.read() is None


def test_animated_webp_keeps_its_times_and_is_composited_over_black(tmp_path: Path) -> None:
    source = open_video(animated_webp(tmp_path / "clip.webp"), size=lambda width, height: (32, 24))
    shown = list(frames(source))
    source.close()
    assert [frame.pts_seconds for frame in shown] == [0, Fraction(1, 5), Fraction(1, 2)]
    assert shown[-1].duration_seconds == 1
    assert [frame.image[12, 16].argmax() for frame in shown] == [0, 1, 2]
    assert [frame.image.max() for frame in shown] == [100, 100, 100]
    assert source.notes == ["transparency is composited over black"]


def test_part_of_an_animated_webp(tmp_path: Path) -> None:
    source = open_video(animated_webp(tmp_path / "clip.webp"), start_seconds=Fraction(1, 4), duration_seconds=1)
    shown = [(frame.pts_seconds, frame.duration_seconds, frame.image[12, 16].argmax()) for frame in frames(source)]
    source.close()
    assert shown == [(0, Fraction(1, 4), 1), (Fraction(1, 4), Fraction(3, 4), 2)]
    with pytest.raises(InputError, match="no frame at or after 2 s"):
        open_video(animated_webp(tmp_path / "clip.webp"), start_seconds=2)


def test_damaged_animated_webp_is_read_in_part(tmp_path: Path) -> None:
    path = animated_webp(tmp_path / "clip.webp")
    data = bytearray(path.read_bytes())
    last = data.rindex(b"VP8L")
    data[last + 13 : last + 30] = b"\xff" * 17
    path.write_bytes(data)
    source = open_video(path)
    assert len(list(frames(source))) == 2
    source.close()
    assert source.damage == ["1 of 3 frames could not be decoded"]
    path.write_bytes(data[:100])
    with pytest.raises(InputError, match=r"cannot read .*clip\.webp"):
        open_video(path)
