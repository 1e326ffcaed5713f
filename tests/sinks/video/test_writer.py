"""The video writer: times of frames, settings that are refused, and the file at its final path."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import Clip, packets, read, repaint, times

from livestyle.errors import OutputError
from livestyle.frame import Frame, StreamInfo
from livestyle.sinks.video.writer import VideoWriter

UNEVEN = [0, 700, 1000, 3000, 3001, 9000]
INFO = StreamInfo(64, 48, rate=Fraction(10), time_base=Fraction(1, 10))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("container", ["mp4", "mov"])
@pytest.mark.parametrize(
    ("first", "time_base"),
    [(0, Fraction(1, 1000)), (533, Fraction(1, 90_000)), (7, Fraction(1001, 30_000))],
)
def test_times_are_written_exactly(tmp_path: Path, container: str, first: int, time_base: Fraction) -> None:
    path = tmp_path / f"out.{container}"
    expected = [(first + tick) * time_base for tick in UNEVEN + list(range(9010, 9300, 10))]
    sink = VideoWriter(path, StreamInfo(64, 48, rate=Fraction(24), time_base=time_base), preset="medium")
    for time in expected:
        sink.write(Frame(np.zeros((48, 64, 3), np.uint8), time))
    sink.close()
    assert sorted(time for time, _ in packets(path, "video")) == expected


def test_matroska_rounds_times_to_milliseconds(tmp_path: Path) -> None:
    expected = [Fraction(number, 30) for number in range(1, 20)]
    sink = VideoWriter(tmp_path / "out.mkv", StreamInfo(64, 48, rate=Fraction(30), time_base=Fraction(1, 30)))
    for time in expected:
        sink.write(Frame(np.zeros((48, 64, 3), np.uint8), time))
    sink.close()
    written = times(tmp_path / "out.mkv")
    off = [abs((a - written[0]) - (b - expected[0])) for a, b in zip(written, expected, strict=True)]
    assert max(off) <= Fraction(1, 1000)


def test_camera_times_without_rate_or_time_base(tmp_path: Path) -> None:
    given = [Fraction(number) / 30 + Fraction(number % 3, 977) for number in range(20)]
    sink = VideoWriter(tmp_path / "out.mp4", StreamInfo(64, 48, live=True))
    for time in given:
        sink.write(Frame(np.zeros((48, 64, 3), np.uint8), time))
    sink.close()
    assert max(abs(a - b) for a, b in zip(times(tmp_path / "out.mp4"), given, strict=True)) <= Fraction(1, 180_000)


def test_frames_whose_times_do_not_increase_are_kept(tmp_path: Path) -> None:
    sink = VideoWriter(tmp_path / "out.mp4", StreamInfo(64, 48, rate=Fraction(10), time_base=Fraction(1, 1000)))
    for tick in (0, 100, 100, 50, 200):
        sink.write(Frame(np.zeros((48, 64, 3), np.uint8), Fraction(tick, 1000)))
    sink.close()
    assert [time * 1000 for time in times(tmp_path / "out.mp4")] == [0, 100, 101, 102, 200]
    assert any(note.startswith("times that did not increase: 2") for note in sink.notes)


def test_pixel_aspect_is_kept(make_clip: Clip, tmp_path: Path) -> None:
    repaint(make_clip(aspect=Fraction(128, 117)), tmp_path / "out.mp4")
    assert read(tmp_path / "out.mp4")[0].info.pixel_aspect == Fraction(128, 117)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("out.wmv", {}, r"\.mp4.*\.mov.*\.mkv.*\.webm"),
        ("out", {}, r"\.mp4"),
        ("out.mp4", {"codec": "divx"}, "h264.*hevc"),
        ("out.webm", {"codec": "h264"}, "vp9"),
        ("out.mp4", {"preset": "warp"}, "warp"),
        ("out.mp4", {"pix_fmt": "yuv999"}, "yuv999"),
        ("nowhere/out.mp4", {}, "no folder"),
    ],
)
def test_invalid_settings_are_refused_and_leave_no_file(tmp_path: Path, name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OutputError, match=message):
        VideoWriter(tmp_path / name, INFO, **options)
    assert names(tmp_path) == []


def test_folder_as_output_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").mkdir()
    with pytest.raises(OutputError, match="folder"):
        VideoWriter(tmp_path / "out.mp4", INFO)


def test_existing_file_stays_until_the_new_one_is_complete(make_clip: Clip, tmp_path: Path) -> None:
    clip = make_clip()
    (tmp_path / "out.mp4").write_bytes(b"old")
    sink = VideoWriter(tmp_path / "out.mp4", INFO)
    sink.write(read(clip)[1][0])
    assert (tmp_path / "out.mp4").read_bytes() == b"old"
    sink.close()
    assert len(read(tmp_path / "out.mp4")[1]) == 1


def sound_times(path: Path) -> list[Fraction]:
    return [time for time, _ in packets(path, "audio")]


@pytest.mark.parametrize("container", ["ts", "m2ts", "mkv", "mp4", "mov", "flv", "mpg"])
@pytest.mark.parametrize("late", [0, 7])
def test_input_that_starts_late_begins_at_0(make_clip: Clip, tmp_path: Path, container: str, late: int) -> None:
    codecs = {"codec": "mpeg2video", "sound": "mp2"} if container == "mpg" else {"sound": "aac"}
    ticks = range(25 * late, 25 * late + 25)
    clip = make_clip(f"clip.{container}", ticks, Fraction(1, 25), rate=25, sound_seconds=(late, late + 1), **codecs)
    for output in (tmp_path / "out.mp4", tmp_path / "out.mkv"):
        sink = repaint(clip, output)
        assert sink.damage == []
        pictures, sound = [time for time, _ in packets(output, "video")], sound_times(output)
        assert 0 <= min(pictures) < 0.05
        assert -0.05 < min(sound) < 0.05
        before = min(time for time, _ in packets(clip, "video")) - min(sound_times(clip))
        assert min(pictures) - min(sound) == pytest.approx(before, abs=0.03)


@pytest.mark.parametrize("container", ["ts", "mkv", "mp4"])
@pytest.mark.parametrize("sound_seconds", [(0.5, 1), (2.5, 3)], ids=["audio first", "video first"])
def test_offset_between_audio_and_video_is_kept(
    make_clip: Clip, tmp_path: Path, container: str, sound_seconds: tuple[float, float]
) -> None:
    clip = make_clip(f"clip.{container}", range(20, 40), sound="aac", sound_seconds=sound_seconds)  # the video begins at 2 s
    repaint(clip, tmp_path / "out.mp4")
    first, first_sound = times(tmp_path / "out.mp4")[0], sound_times(tmp_path / "out.mp4")[0]
    assert first - first_sound == pytest.approx(2 - sound_seconds[0], abs=0.05)
    assert min(first, first_sound) == pytest.approx(0, abs=0.05)


def test_negative_times_are_shifted_to_0(make_clip: Clip, tmp_path: Path) -> None:
    clip = make_clip("clip.mkv", range(-5, 15), options={"bf": "0"})
    repaint(clip, tmp_path / "out.mp4")
    assert times(tmp_path / "out.mp4") == [Fraction(number, 10) for number in range(20)]


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv", "webm"])
@pytest.mark.parametrize("sound", [None, "aac"])
@pytest.mark.parametrize("options", [{}, {"preset": "medium"}], ids=["default", "with B-frames"])
def test_last_frame_keeps_its_duration(
    make_clip: Clip, tmp_path: Path, container: str, sound: str | None, options: dict[str, Any]
) -> None:
    if container == "webm":
        options = {}
    sound_from = make_clip(sound=sound) if sound else None
    sink = VideoWriter(tmp_path / f"out.{container}", INFO, sound_from=sound_from, **options)
    for number in range(12):
        image = np.full((48, 64, 3), number * 20, np.uint8)
        sink.write(Frame(image, Fraction(number, 10), duration_seconds=Fraction(24 if number == 11 else 1, 10)))
    sink.close()
    with av.open(str(tmp_path / f"out.{container}")) as written:
        assert written.duration == pytest.approx(3_500_000, abs=25_000)  # Matroska is shifted by the sound's priming
    if container in ("mp4", "mov"):
        source, frames = read(tmp_path / f"out.{container}")
        assert frames[-1].duration_seconds == Fraction(24, 10)
        assert source.damage == []
