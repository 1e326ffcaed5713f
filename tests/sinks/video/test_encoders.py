"""Encoders of the CPU and of the GPU; a stand-in replaces the GPU's."""

import os
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import Clip, repaint, times

from livestyle.errors import OutputError
from livestyle.frame import Frame, StreamInfo
from livestyle.sinks.video.encoders import GPU_ENCODERS, Encoder
from livestyle.sinks.video.writer import VideoWriter

INFO = StreamInfo(64, 48, rate=Fraction(10), time_base=Fraction(1, 10))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("container", "codec"),
    [("mp4", "hevc"), ("mp4", "av1"), ("mkv", "vp9"), ("webm", "av1"), ("mov", "libx264")],
)
def test_every_codec_writes_all_frames(make_clip: Clip, tmp_path: Path, container: str, codec: str) -> None:
    if codec == "av1" and "libsvtav1" not in av.codecs_available:
        pytest.skip("this build of FFmpeg, as in PyAV 14.0's wheels, has no libsvtav1")
    clip = make_clip(ticks=range(25))
    target = tmp_path / f"out.{container}"
    repaint(clip, target, codec=codec)
    assert [round(time * 10) for time in times(target)] == list(range(25))


@pytest.mark.skipif(sys.platform != "linux" or "libsvtav1" not in av.codecs_available, reason="for Linux and SVT-AV1")
def test_av1_starts_no_real_time_threads(tmp_path: Path) -> None:
    # for root, SVT-AV1 makes its own threads and the calling one real-time, and child processes inherit that
    sink = VideoWriter(tmp_path / "out.mp4", INFO, codec="av1")
    sink.write(Frame(np.zeros((48, 64, 3), np.uint8), Fraction(0)))
    policies = {os.sched_getscheduler(int(thread.name)) for thread in Path("/proc/self/task").iterdir()}
    sink.close()
    assert policies == {os.SCHED_OTHER}


@pytest.mark.parametrize("container", ["mp4", "mov", "m4v", "mkv"])
def test_gpu_encoder_is_used(make_clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, container: str) -> None:
    # each encoder must get its own preset: the stand-in takes only p4, and libx264, which rewrites the file, refuses p4
    stand_in = Encoder("libx264", "p4", "p4", lambda crf, preset, delay: {"preset": {"p4": "ultrafast"}[preset], "bf": "0"})
    monkeypatch.setitem(GPU_ENCODERS, "h264", stand_in)
    clip = make_clip(sound="aac")
    sink = repaint(clip, tmp_path / f"out.{container}", on_gpu=True)
    assert "encoded by libx264" in sink.notes
    assert len(times(tmp_path / f"out.{container}")) == 10
    assert names(tmp_path) == ["clip.mp4", f"out.{container}"]


def test_encodes_on_the_given_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {encoder.on(3).options(18, "p4", 0)["gpu"] for encoder in GPU_ENCODERS.values()} == {"3"}
    stand_in = Encoder("libx264", "p4", "p4", lambda crf, preset, delay: {"preset": "ultrafast", "bf": "0"})
    monkeypatch.setitem(GPU_ENCODERS, "h264", stand_in)
    sink = VideoWriter(tmp_path / "out.mp4", INFO, on_gpu=True, gpu=2)
    assert sink._encoding.encoder.options(18, "p4", 0)["gpu"] == "2"
    sink.close(OutputError("not wanted"))


def test_live_streams_are_encoded_with_faster_settings(tmp_path: Path) -> None:
    """x264 writes its settings into the stream; the faster preset refines motion less."""
    for live, setting in ((True, b"subme=1 "), (False, b"subme=2 ")):
        writer = VideoWriter(tmp_path / "out.mkv", StreamInfo(64, 48, rate=Fraction(10), live=live))
        writer.write(Frame(np.zeros((48, 64, 3), np.uint8), Fraction(0)))
        writer.close()
        assert setting in (tmp_path / "out.mkv").read_bytes()
