"""Sound of the input in the output."""

import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import Clip, packets, repaint, times

from livestyle.frame import Frame
from livestyle.sinks.video.writer import VideoWriter
from livestyle.sources.video.file import VideoFile


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("codec", ["aac", "libmp3lame", "libopus"])
@pytest.mark.parametrize("first", [0, 533])
def test_sound_is_copied_and_stays_in_time(make_clip: Clip, tmp_path: Path, container: str, codec: str, first: int) -> None:
    if codec != "aac" and av.__version__ == "14.0.0":
        pytest.skip("PyAV 14.0.0 copies no MP3 and no Opus; they are converted")
    ticks = [first + tick for tick in range(0, 1000, 40)]
    clip = make_clip(ticks=ticks, time_base=Fraction(1, 1000), sound=codec)
    target = tmp_path / f"out.{container}"
    sink = repaint(clip, target)
    if container == "mov" and codec == "libopus":
        assert sink.notes == ["audio stream 1 (opus) is converted to aac"]
        return
    before, after = packets(clip, "audio"), packets(target, "audio")
    assert [data for _, data in after] == [data for _, data in before]
    offset = times(target)[0] - times(clip)[0]  # Matroska has no times before 0 and shifts all streams by the sound's priming
    assert offset == 0 or container == "mkv"
    assert max(abs(b - a - offset) for (a, _), (b, _) in zip(before, after, strict=True)) <= Fraction(1, 1000)
    assert sink.damage == []


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_sound_is_cut_with_the_picture(make_clip: Clip, tmp_path: Path, container: str) -> None:
    clip = make_clip(ticks=range(40), sound="aac", sound_seconds=(0, 4), options={"g": "7"})
    target = tmp_path / f"out.{container}"
    repaint(clip, target, start=Fraction(12, 10), duration=Fraction(2))
    kept = [(time, data) for time, data in packets(clip, "audio") if Fraction(12, 10) <= time < Fraction(32, 10)]
    written = packets(target, "audio")
    assert [data for _, data in written] == [data for _, data in kept]
    assert max(abs(b - (a - Fraction(12, 10))) for (a, _), (b, _) in zip(kept, written, strict=True)) <= Fraction(1, 1000)
    assert len(times(target)) == 20


@pytest.mark.parametrize("sound_seconds", [(2.5, 3), (0, 0.5)], ids=["begins late", "ends early"])
def test_sound_in_a_part_only(make_clip: Clip, tmp_path: Path, sound_seconds: tuple[float, float]) -> None:
    clip = make_clip("clip.mkv", ticks=range(40), sound="aac", sound_seconds=sound_seconds)
    sink = VideoWriter(tmp_path / "out.mp4", VideoFile(clip).info, sound_from=clip)
    for number in range(20):
        sink.write(Frame(np.full((48, 64, 3), number, np.uint8), Fraction(number, 10)))
    shutil.copy(tmp_path / "out.partial.mp4", tmp_path / "killed.mp4")
    sink.close()
    assert len(times(tmp_path / "killed.mp4")) >= 11
    assert [data for _, data in packets(tmp_path / "out.mp4", "audio")] == [data for _, data in packets(clip, "audio")]


def test_no_sound_after_the_start(make_clip: Clip, tmp_path: Path) -> None:
    clip = make_clip(ticks=range(40), sound="aac", sound_seconds=(0, 0.5))
    repaint(clip, tmp_path / "out.mp4", start=2)
    assert times(tmp_path / "out.mp4") == [Fraction(number, 10) for number in range(20)]
    assert packets(tmp_path / "out.mp4", "audio") == []


@pytest.mark.parametrize(("container", "encoder"), [("webm", "libopus"), ("mp4", "aac")])
def test_sound_that_does_not_fit_is_converted(make_clip: Clip, tmp_path: Path, container: str, encoder: str) -> None:
    clip = make_clip("clip.mkv", sound="pcm_s16le")
    sink = repaint(clip, tmp_path / f"out.{container}")
    assert sink.notes == [f"audio stream 1 (pcm_s16le) is converted to {encoder}"]
    with av.open(str(tmp_path / f"out.{container}")) as written:
        sound = np.concatenate([frame.to_ndarray() for frame in written.decode(audio=0)], axis=1)
    assert sound.shape[1] == pytest.approx(48_000, abs=2_000)
    assert 0.15 < np.sqrt((sound[:, 5_000:40_000] ** 2).mean()) < 0.25  # a sine of 0.3


def test_broken_sound_does_not_lose_the_picture(make_clip: Clip, tmp_path: Path) -> None:
    clip = make_clip(sound="aac")
    output = tmp_path / "out.mp4"
    source = VideoFile(clip)
    sink = VideoWriter(output, source.info, sound_from=clip)
    while (frame := source.read()) is not None:
        sink.write(frame)
    source.close()
    clip.write_bytes(b"gone")
    sink.close()
    assert len(times(output)) == 10
    assert any("sound" in line for line in sink.damage)
