"""Frames lost from damaged files are counted. Intact files with uneven times are not reported as damaged."""

import random
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from livestyle.sources.video.file import VideoFile

Clip = Callable[..., Path]

CODECS = {"webm": "libvpx", "avi": "mpeg4", "mpg": "mpeg2video", "wmv": "wmv2"}
SOUNDS = {"webm": "libopus", "avi": "libmp3lame", "mpg": "mp2", "wmv": "libmp3lame"}


def noise(number: int) -> av.VideoFrame:
    """A frame of random blocks, which is hard to compress, so that its packet is large."""
    image = np.random.default_rng(number).integers(0, 256, (12, 16, 3), np.uint8)
    return av.VideoFrame.from_ndarray(np.kron(image, np.ones((4, 4, 1), np.uint8))).reformat(format="yuv420p")


@pytest.fixture
def clip(make_clip: Clip) -> Clip:
    def make(suffix: str, ticks: Any = range(60), sound: bool = True, **options: Any) -> Path:
        return make_clip(
            f"clip.{suffix}",
            ticks,
            Fraction(1, 25),
            rate=25,
            images=noise,
            codec=CODECS.get(suffix, "libx264"),
            sound=SOUNDS.get(suffix, "aac") if sound else None,
            sound_seconds=(0, len(ticks) / 25),
            options={"g": "10", "bf": "0"},
            **options,
        )

    return make


def read(path: Path, **options: Any) -> tuple[int, list[str]]:
    """Read a video to its end: the number of frames, and the damage."""
    source = VideoFile(path, **options)
    count = 0
    while source.read() is not None:
        count += 1
    source.close()
    return count, source.damage


def missing(damage: list[str]) -> int:
    """The number of missing frames that the damage reports."""
    found = re.search(r"(\d+) frames? of the file (is|are) missing", " ".join(damage))
    return int(found[1]) if found else 0


def break_file(path: Path, where: float, size: int, kind: str) -> None:
    """Overwrite or, with kind "cut", delete `size` bytes of a file. where: their position, as a share of the file's size."""
    data = bytearray(path.read_bytes())
    at = int(len(data) * where)
    if kind == "cut":
        del data[at : at + size]
    else:
        data[at : at + size] = bytes(size) if kind == "zeros" else random.Random(at).randbytes(size)
    path.write_bytes(data)


@pytest.mark.parametrize("suffix", ["mkv", "webm", "flv", "avi", "ts"])
@pytest.mark.parametrize("kind", ["zeros", "noise", "cut"])
def test_lost_frames_are_counted(clip: Clip, suffix: str, kind: str) -> None:
    path = clip(suffix)
    break_file(path, 0.3, path.stat().st_size // 8, kind)
    count, damage = read(path)
    assert count < 60
    assert missing(damage) == 60 - count or any("cut off" in line for line in damage), (count, damage)


@pytest.mark.parametrize("suffix", ["mkv", "flv", "avi", "ts"])
def test_lost_frames_are_counted_without_audio(clip: Clip, suffix: str) -> None:
    path = clip(suffix, sound=False)
    break_file(path, 0.4, path.stat().st_size // 8, "noise")
    count, damage = read(path)
    assert count < 60
    assert missing(damage) == 60 - count


@pytest.mark.parametrize("suffix", ["mkv", "webm", "flv", "avi"])
def test_a_file_that_lacks_only_its_last_frames_is_damaged(clip: Clip, suffix: str) -> None:
    path = clip(suffix, sound=False)
    with av.open(str(path)) as container:
        position = [packet.pos for packet in container.demux(video=0) if packet.size and packet.pos][-3]
    path.write_bytes(path.read_bytes()[: position + 20])
    count, damage = read(path)
    assert count <= 58
    assert damage


STILL = [*range(20), 60, 61, 62, 63, 64, 200, *range(300, 330)]


@pytest.mark.parametrize(
    ("suffix", "sound"), [*((suffix, True) for suffix in ("mp4", "mkv", "webm", "flv", "avi", "ts", "mpg", "wmv")), ("ts", False)]
)
@pytest.mark.parametrize("ticks", [range(60), STILL], ids=["even", "screen recording"])
def test_intact_files_are_not_reported_as_damaged(clip: Clip, suffix: str, sound: bool, ticks: Any) -> None:
    if suffix == "wmv" and ticks is STILL and not hasattr(av.stream.Stream, "disposition"):
        pytest.skip("PyAV 14.0 takes the video for a cover")
    if suffix == "mpg" and ticks is STILL:
        pytest.skip("MPEG-2 has a fixed rate")
    assert read(clip(suffix, ticks, sound))[1] == []


@pytest.mark.parametrize("kind", ["whole", "zeros", "noise", "cut"])
def test_broken_pages_of_ogg_are_reported(make_clip: Clip, kind: str) -> None:
    sizes = {"rate": 25, "images": noise, "codec": "libvpx", "sound": "libopus", "sound_seconds": (0, 60 / 25)}
    path = make_clip("clip.ogg", range(60), Fraction(1, 25), options={"g": "10"}, **sizes)
    if kind != "whole":
        break_file(path, 0.4, path.stat().st_size // 8, kind)
    count, damage = read(path)
    assert (count < 60) == (kind != "whole")
    assert (damage == []) == (kind == "whole")
    assert all("could not be read" in line or "missing" in line for line in damage)


def test_unread_files_joined_to_the_first_are_reported(clip: Clip) -> None:
    path = clip("flv")
    path.write_bytes(path.read_bytes() * 3)
    count, damage = read(path)
    assert count == 60
    assert damage == ["the last 67% of the file were not read"]


def patch_box(path: Path, box: bytes, offset: int, value: int) -> Path:
    """Write four bytes into an MP4, `offset` bytes after the name of the first box `box`."""
    data = bytearray(path.read_bytes())
    at = data.index(box) + offset
    data[at : at + 4] = value.to_bytes(4, "big", signed=value < 0)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("box", "offset", "value"),
    [
        (b"mdhd", 16, 1),
        (b"mdhd", 16, 1280),
        (b"mdhd", 16, 6400),
        (b"stts", 16, 5120),
        (b"stts", 16, 1 << 29),
        (b"mvhd", 16, 48_000_000),
    ],
    ids=["scale 1", "scale", "half the scale", "duration", "longest duration", "scale of the movie"],
)
def test_frames_hidden_by_wrong_times_are_counted(clip: Clip, box: bytes, offset: int, value: int) -> None:
    count, damage = read(patch_box(clip("mp4", sound=False), box, offset, value))
    assert count < 60
    assert any(f"hide {60 - count} frames of 60" in line for line in damage) or missing(damage), damage


def test_frames_too_close_in_time_are_reported(clip: Clip) -> None:
    count, damage = read(patch_box(clip("mp4", sound=False), b"mdhd", 16, 12_800_000))
    assert count == 60
    assert damage == ["the file's times are wrong: 60 frames in 0.00236 s"]


def test_frames_hidden_by_negative_times_are_reported(make_clip: Clip) -> None:
    path = make_clip("clip.mp4", range(60), Fraction(1, 25), rate=25, images=noise, options={"bf": "2"})
    data = bytearray(path.read_bytes())
    table = data.index(b"ctts")
    data[table + 4] = 1  # version 1: offsets are signed
    for entry in range(int.from_bytes(data[table + 8 : table + 12])):
        at = table + 16 + 8 * entry
        data[at : at + 4] = (int.from_bytes(data[at : at + 4]) - 6400).to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    count, damage = read(path)
    assert 40 < count < 60
    assert any("frames end" in line or "hide" in line for line in damage), damage


def test_frames_that_depend_on_frames_before_a_cut_do_not_count_as_lost(make_clip: Clip) -> None:
    """An open GOP: the B-frames before its keyframe need the GOP before it, which was cut away."""
    options = {"g": "12", "bf": "2", "x264-params": "open-gop=1:scenecut=0:bframes=2:b-adapt=0:keyint=12:min-keyint=12"}
    path = make_clip("whole.ts", range(48), Fraction(1, 25), images=noise, options=options)
    cut = path.with_name("cut.mkv")
    with av.open(str(path)) as whole, av.open(str(cut), "w") as output:
        stream = output.add_stream_from_template(whole.streams.video[0])
        keys = 0
        for packet in whole.demux(video=0):
            keys += packet.is_keyframe and packet.size > 0
            if keys >= 2 and packet.size:
                packet.stream = stream
                output.mux(packet)
    count, damage = read(cut)
    assert count >= 30
    assert damage == []


def test_frames_lost_at_the_beginning_are_counted(clip: Clip) -> None:
    path = clip("mkv", sound=False)
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size and packet.pos]
    data = bytearray(path.read_bytes())
    for position, size in places[:4]:
        data[position + 16 : position + size] = b"\xff" * (size - 16)
    path.write_bytes(data)
    count, damage = read(path)
    assert count < 60
    assert any(f"{60 - count} packets" in line for line in damage) or missing(damage) == 60 - count, damage
