"""Damaged files are read as far as possible, and the damage is reported."""

from pathlib import Path

import av
import pytest
from clips import Clip, read, repaint

from livestyle.errors import InputError
from livestyle.sources.video.file import VideoFile


def packet_places(path: Path) -> list[tuple[int, int]]:
    """Position and size of every video packet in the file, in bytes."""
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size and packet.pos is not None]


def test_reading_continues_after_a_broken_packet(make_clip: Clip) -> None:
    path = make_clip(options={"g": "1", "bf": "0"})
    position, size = packet_places(path)[4]
    data = bytearray(path.read_bytes())
    data[position : position + size] = b"\xff" * size
    path.write_bytes(data)
    source, frames = read(path)
    assert [frame.pts_seconds * 10 for frame in frames] == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert source.damage == ["1 packet could not be decoded"]


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_a_file_cut_off_in_the_middle_is_read_up_to_there(make_clip: Clip, container: str) -> None:
    path = make_clip(f"whole.{container}", ticks=range(30), options={"g": "1", "bf": "0"})
    if container == "mp4":  # with the index in front
        front = path.with_name("front.mp4")
        repaint(path, front)
        path = front
    position, _ = packet_places(path)[15]
    path.write_bytes(path.read_bytes()[:position])
    source, frames = read(path)
    assert 10 <= len(frames) <= 15
    assert any("cut off" in line for line in source.damage)


@pytest.mark.parametrize("missing", [0, 1, 3])
def test_an_mp4_without_its_last_frames_is_cut_off(make_clip: Clip, missing: int) -> None:
    clip = make_clip(ticks=range(30))
    path = clip.with_name("front.mp4")
    repaint(clip, path, preset="ultrafast")  # without B-frames, so the last frames are last in the file
    if missing:
        position, _ = packet_places(path)[-missing]
        path.write_bytes(path.read_bytes()[:position])
    source, frames = read(path)
    assert len(frames) == 30 - missing
    assert source.damage == ([f"the file is cut off: it ends at {(30 - missing) / 10:.2f} s of 3.00 s"] if missing else [])


def test_a_file_without_a_decodable_frame_is_refused(make_clip: Clip) -> None:
    path = make_clip(options={"g": "1", "bf": "0"})
    data = bytearray(path.read_bytes())
    for position, size in packet_places(path):
        data[position : position + size] = b"\xff" * size
    path.write_bytes(data)
    with pytest.raises(InputError, match="no frame of"):
        VideoFile(path)
