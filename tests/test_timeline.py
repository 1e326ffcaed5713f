"""Packet times if the clock of a file jumps."""

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from clips import Clip, packets

from livestyle.sinks.video.writer import VideoWriter
from livestyle.sources.video.file import VideoFile
from livestyle.timeline import Timeline


def corrected(path: Path, container: str, times: list[Fraction | None]) -> list[float]:
    """Times, in seconds, of video packets after correction by a Timeline; -1 for a packet without a time."""
    timeline = Timeline(container)
    result = []
    with av.open(str(path)) as clip:
        originals = [packet for packet in clip.demux(video=0) if packet.size]
        for packet, time in zip(itertools.cycle(originals), times, strict=False):
            if len(result) == len(times):
                break
            packet.pts = packet.dts = None if time is None else round(time / packet.time_base)
            packet.duration = round(Fraction(1, 10) / packet.time_base)
            timeline.correct(packet)
            result.append(-1 if packet.pts is None else float(packet.pts * packet.time_base))
    return result


def tenths(*numbers: int) -> list[Fraction | None]:
    return [Fraction(number, 10) for number in numbers]


@pytest.mark.parametrize(
    ("container", "times", "expected"),
    [
        ("mpegts", (14, 15, 16, 14, 15, 16), (14, 15, 16, 17, 18, 19)),
        ("mpegts", (14, 15, 16, 14, 15, 16, 14, 15), (14, 15, 16, 17, 18, 19, 20, 21)),
        ("matroska,webm", (0, 1, 2, 0, 1, 2), (0, 1, 2, 3, 4, 5)),
        ("mpegts", (0, 1, 2, 36000, 36001), (0, 1, 2, 3, 4)),  # a jump ahead
        ("matroska,webm", (0, 1, 2, 36000, 36001), (0, 1, 2, 36000, 36001)),  # a long frame
        ("mpegts", (0, 1, 2, 90, 91), (0, 1, 2, 90, 91)),  # a pause
        ("mpegts", (0, 1, 2, 36000, 4, 5), (0, 1, 2, 3, 4, 5)),  # one packet has a wrong time
        ("mpegts", (954436, 954437, 0, 1), (954436, 954437, 954438, 954439)),  # 33 bits at 90 kHz
    ],
)
def test_times_grow_after_a_jump(make_clip: Clip, container: str, times: tuple[int, ...], expected: tuple[int, ...]) -> None:
    found = corrected(make_clip("clip.ts", options={"bf": "0"}), container, tenths(*times))
    assert found == pytest.approx([tick / 10 for tick in expected])


def test_packets_without_times_are_not_changed(make_clip: Clip) -> None:
    assert corrected(make_clip(options={"bf": "0"}), "mpegts", [None, None]) == [-1, -1]


def copy(path: Path, target: Path, **options: Any) -> VideoFile:
    """Copy frames and audio. options: of VideoFile. Returns the closed source."""
    source = VideoFile(path, **options)
    sink = VideoWriter(target, source.info, sound_from=path, preset="ultrafast")
    while (frame := source.read()) is not None:
        sink.write(frame)
    source.close()
    sink.close()
    return source


@pytest.mark.parametrize("suffix", ["ts", "mpg"])
@pytest.mark.parametrize("late", [0, 40_000], ids=["same clock", "first part late"])
def test_joined_recordings_follow_each_other(make_clip: Clip, tmp_path: Path, suffix: str, late: int) -> None:
    codecs = {"codec": "mpeg2video", "sound": "mp2"} if suffix == "mpg" else {"codec": "libx264", "sound": "aac"}
    rate = {"time_base": Fraction(1, 25)}
    first = make_clip(f"first.{suffix}", ticks=range(late, late + 25), sound_seconds=(late / 25, late / 25 + 1), **rate, **codecs)
    second = make_clip(f"second.{suffix}", ticks=range(25), **rate, **codecs)
    joined = tmp_path / f"joined.{suffix}"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    output = tmp_path / "out.mkv"
    source = copy(joined, output)
    assert source.damage == []
    times = sorted(time for time, _ in packets(output, "video"))
    assert len(times) == 50
    steps = [after - before for before, after in itertools.pairwise(times)]
    assert all(0.03 < step < 0.15 for step in steps)
    assert times[0] < 0.1
    sound = [time for time, _ in packets(output, "audio")]
    assert sound[0] < 0.1
    assert sound[-1] == pytest.approx(float(times[-1]), abs=0.2)
    assert all(-0.1 < after - before < 0.15 for before, after in itertools.pairwise(sound))


def test_start_in_the_second_of_two_joined_recordings(make_clip: Clip, tmp_path: Path) -> None:
    clip = make_clip("clip.ts", ticks=range(20), sound="aac", sound_seconds=(0, 2), options={"g": "5"})
    joined = tmp_path / "joined.ts"
    joined.write_bytes(clip.read_bytes() * 2)
    source = copy(joined, tmp_path / "out.mkv", start_seconds=3)
    whole = VideoFile(joined)
    whole.close()
    assert source.info.origin_seconds - whole.info.origin_seconds == pytest.approx(3, abs=0.1)
    assert len(packets(tmp_path / "out.mkv", "video")) == pytest.approx(10, abs=1)
    assert packets(tmp_path / "out.mkv", "audio")[-1][0] == pytest.approx(1, abs=0.15)
