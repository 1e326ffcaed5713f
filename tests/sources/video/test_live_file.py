"""A video file as a live source: its sound, and its repetition."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from livestyle.errors import InputError
from livestyle.sound import RATE
from livestyle.sources.video.live_file import LiveFile


def clip(path: Path, codec: str = "aac", rate: int = 48_000, frames: int = 20, audio_seconds: float = 2.0) -> Path:
    """A clip at 10 frames a second: frame k has the grey level 10 k, and the left channel a tone from 1.0 to 1.1 s."""
    samples = np.zeros((round(rate * audio_seconds / 1024) * 1024, 2), np.float32)
    tone = 0.5 * np.sin(np.arange(rate // 10) * 2 * np.pi * 1000 / rate)
    samples[rate : rate + len(tone), 0] = tone
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=10, options={"crf": "10", "bf": "0"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = output.add_stream(codec, rate=rate)
        audio.layout = "stereo"
        output.start_encoding()
        packets = []
        for number in range(frames):
            packets += video.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 * number, np.uint8)))
        for first in range(0, len(samples), 1024):
            block = av.AudioFrame.from_ndarray(samples[first : first + 1024].reshape(1, -1), format="flt", layout="stereo")
            block.sample_rate, block.pts, block.time_base = rate, first, Fraction(1, rate)
            packets += audio.encode(block)
        packets += [*video.encode(None), *audio.encode(None)]
        output.mux(sorted((packet for packet in packets if packet.dts is not None), key=lambda each: each.dts * each.time_base))
    return path


def whole(width: int, height: int) -> tuple[int, int]:
    return width, height


def loud(samples: np.ndarray) -> tuple[float, float]:
    """Beginning and end of the loud part of a channel, in seconds."""
    places = np.flatnonzero(np.abs(samples) > 0.2)
    return float(places[0]) / RATE, float(places[-1]) / RATE


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [("a.mp4", "aac", 44_100), ("a.mov", "pcm_s16le", 22_050), ("a.mkv", "libopus", 48_000), ("a.ts", "aac", 32_000)],
)
def test_sound_is_in_time_with_the_frames(tmp_path: Path, name: str, codec: str, rate: int) -> None:
    source = LiveFile(clip(tmp_path / name, codec, rate), size=whole)
    assert source.sound is not None
    times = []
    while (frame := source.read()) is not None:
        assert frame.sound_seconds == frame.pts_seconds
        end = source.sound.end_seconds
        assert end is not None
        assert end >= frame.pts_seconds - Fraction(1, 20)
        times.append(frame.pts_seconds)
    source.close()
    assert len(times) == 20
    samples = source.sound.read(times[0], times[0] + 2)
    assert loud(samples[:, 0]) == pytest.approx((1.0, 1.1), abs=0.005)
    assert np.abs(samples[:, 1]).max() < 0.05
    assert source.damage == []


def test_loop_repeats_frames_and_sound(tmp_path: Path) -> None:
    """The audio is longer than the video: what is longer is left out, as the frames begin again."""
    source = LiveFile(clip(tmp_path / "a.mp4", frames=15, audio_seconds=2.5), size=whole, loop=True)
    frames = [source.read() for _ in range(40)]
    source.close()
    assert source.sound is not None
    times = [frame.pts_seconds for frame in frames if frame is not None]
    assert times == [Fraction(number, 10) for number in range(40)]
    greys = [round(float(frame.image.mean()) / 10) for frame in frames if frame is not None]
    assert greys == [number % 15 for number in range(40)]
    samples = source.sound.read(Fraction(0), Fraction(4))
    for begin in (0, 1.5):
        part = samples[round(begin * RATE) : round((begin + 1.5) * RATE), 0]
        assert loud(part) == pytest.approx((1.0, 1.1), abs=0.005)
    assert source.info.frame_count is None


def test_a_file_without_audio_has_no_sound(make_clip: Callable[..., Path]) -> None:
    source = LiveFile(make_clip(), size=whole)
    frame = source.read()
    assert source.sound is None
    assert frame is not None
    assert frame.sound_seconds is None
    source.close()


def test_a_file_that_is_no_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("no video")
    with pytest.raises(InputError, match="is text"):
        LiveFile(path, size=whole)
