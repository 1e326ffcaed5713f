"""The video file source and sink: real files, with all that is odd about them."""

import contextlib
import itertools
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from time import perf_counter
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from livestyle.errors import InputError, OutputError
from livestyle.frame import Frame, Image, StreamInfo
from livestyle.sinks.video.encoders import GPU_ENCODERS, Encoder
from livestyle.sinks.video.writer import VideoWriter
from livestyle.sources.video.deinterlacing import deinterlaced
from livestyle.sources.video.file import VideoFile

Clip = Callable[..., Path]
UNEVEN = [0, 700, 1000, 3000, 3001, 9000]
LOSSLESS = {"crf": "0", "preset": "ultrafast"}
INFO = StreamInfo(64, 48, rate=Fraction(10), time_base=Fraction(1, 10))


def read(path: Path, **options: Any) -> tuple[VideoFile, list[Frame]]:
    """The source, read to its end and closed, and its frames."""
    source = VideoFile(path, **options)
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    source.close()
    return source, frames


def times(path: Path) -> list[Fraction]:
    return [frame.pts_seconds for frame in read(path)[1]]


def repaint(path: Path, target: Path, start: Fraction | int = 0, duration: Fraction | None = None, **options: Any) -> VideoWriter:
    """Every frame as it is, with the sound: what the video command does with a network that returns its input."""
    source = VideoFile(path, start_seconds=start, duration_seconds=duration)
    sink = VideoWriter(target, source.info, sound_from=path, duration_seconds=duration, **options)
    while (frame := source.read()) is not None:
        sink.write(frame)
    source.close()
    sink.close()
    return sink


def packets(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    with av.open(f"file:{path}") as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        if not streams:
            return []
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in container.demux(streams) if packet.pts is not None]


def flat(*values: int, pix_fmt: str = "yuv420p") -> Callable[[int], VideoFrame]:
    """Pictures of one colour, in the pixel format's own numbers."""

    def make(_: int) -> VideoFrame:
        frame = VideoFrame(64, 48, pix_fmt)
        wide = any(component.bits > 8 for component in frame.format.components)
        for plane, value in zip(frame.planes, values, strict=True):
            row = np.full(plane.line_size // (2 if wide else 1), value, np.uint16 if wide else np.uint8)
            plane.update(np.tile(row, plane.height).tobytes())
        return frame

    return make


def color(frame: Frame) -> list[int]:
    """Of a picture of one colour."""
    assert frame.image.std(axis=(0, 1)).max() < 1
    return [int(value) for value in frame.image[24, 32]]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# reading


def test_times_are_those_of_the_file(make_clip: Clip) -> None:
    assert times(make_clip(ticks=UNEVEN, time_base=Fraction(1, 1000))) == [Fraction(tick, 1000) for tick in UNEVEN]


# which corner of the upright picture shows the coded picture's top left one: counter-clockwise turns
@pytest.mark.parametrize(
    ("rotation", "flipped", "corner"),
    [
        (0, False, (0, 0)),
        (90, False, (-1, 0)),
        (180, False, (-1, -1)),
        (-90, False, (0, -1)),
        (0, True, (0, -1)),
        (90, True, (-1, -1)),
    ],
)
def test_pictures_are_upright(make_clip: Clip, rotation: int, flipped: bool, corner: tuple[int, int]) -> None:
    def one_white_corner(_: int) -> VideoFrame:
        image = np.zeros((48, 64, 3), np.uint8)
        image[:16, :16] = 255
        return VideoFrame.from_ndarray(image).reformat(format="yuv420p")

    path = make_clip(images=one_white_corner, rotation=rotation, flipped=flipped, aspect=Fraction(4, 3))
    source, frames = read(path)
    turned = rotation % 180 != 0
    assert (source.info.width, source.info.height) == ((48, 64) if turned else (64, 48))
    assert source.info.pixel_aspect == (Fraction(3, 4) if turned else Fraction(4, 3))
    corners = {(row, column): int(frames[0].image[row, column, 0]) for row in (0, -1) for column in (0, -1)}
    assert max(corners, key=lambda where: corners[where]) == corner
    assert sorted(corners.values())[-2] < 40


# Y'CbCr (100, 90, 180) to R'G'B' by the three standards' coefficients
@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"colorspace": 1, "color_range": 1}, (191, 78, 18)),
        ({"colorspace": 6, "color_range": 1}, (181, 70, 21)),
        ({"colorspace": 9, "color_range": 1}, (185, 71, 16)),
        ({"colorspace": 1, "color_range": 2}, (182, 83, 29)),
        ({}, (181, 70, 21)),  # untagged and small: BT.601
    ],
)
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p", "yuv420p10le"])
def test_colors_by_matrix_and_range(make_clip: Clip, tags: dict[str, int], expected: tuple[int, ...], pix_fmt: str) -> None:
    scale = 4 if pix_fmt.endswith("10le") else 1
    images = flat(100 * scale, 90 * scale, 180 * scale, pix_fmt=pix_fmt)
    path = make_clip(images=images, pix_fmt=pix_fmt, options={"crf": "1"}, **tags)
    assert np.abs(np.subtract(color(read(path)[1][0]), expected)).max() <= 2


@pytest.mark.parametrize("matrix", ["BT.601", "BT.709"])
def test_untagged_is_what_players_take(make_clip: Clip, matrix: str) -> None:
    size = (64, 48) if matrix == "BT.601" else (64, 720)

    def red(_: int) -> VideoFrame:
        frame = VideoFrame(*size, "yuv420p")
        for plane, value in zip(frame.planes, (81, 90, 240) if matrix == "BT.601" else (63, 102, 240), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        return frame

    image = read(make_clip(size=size, images=red, ticks=[0]))[1][0].image
    assert np.abs(image[20, 20].astype(int) - (255, 0, 0)).max() <= 3


# BT.2408: reference white, 203 cd/m², is 58 % in PQ and 75 % in HLG; it becomes 0.6 + 0.4 (1 + 1 / 10.8²) / 2 = 0.802.
# 60 % of its light is left as it is: in PQ 52.5 %; 1000 cd/m², 75 % in PQ and 100 % in HLG, is white
@pytest.mark.parametrize(
    ("transfer", "signal", "light"),
    [(16, 0.525, 0.6), (16, 0.0, 0), (16, 0.7518, 1), (16, 0.5807, 0.802), (18, 0.75, 0.802), (18, 1.0, 1), (18, 0.0, 0)],
)
def test_high_dynamic_range_is_tone_mapped(make_clip: Clip, transfer: int, signal: float, light: float) -> None:
    images = flat(round(64 + 876 * signal), 512, 512, pix_fmt="yuv420p10le")
    tags = {"colorspace": 9, "color_range": 1, "color_primaries": 9, "color_trc": transfer}
    source, frames = read(make_clip(images=images, pix_fmt="yuv420p10le", options={"crf": "1"}, **tags))
    assert any("tone-mapped" in note for note in source.notes)
    assert color(frames[0]) == pytest.approx([round(255 * light ** (1 / 2.4))] * 3, abs=4)


def test_high_dynamic_range_keeps_colours_smooth(make_clip: Clip) -> None:
    def bluer_downwards(_: int) -> VideoFrame:
        frame = flat(500, 512, 512, pix_fmt="yuv420p10le")(0)
        rows = np.repeat(np.arange(416, 608, 8, dtype=np.uint16), frame.planes[1].line_size // 2)
        frame.planes[1].update(rows.tobytes())
        return frame

    tags = {"colorspace": 9, "color_range": 1, "color_primaries": 9, "color_trc": 18}
    image = read(make_clip(images=bluer_downwards, pix_fmt="yuv420p10le", options={"crf": "1"}, **tags))[1][0].image.astype(int)
    assert np.ptp(image, axis=1).max() <= 4  # each row is of one colour
    steps = np.diff(image[:, 32, 2])
    assert -2 <= steps.min() <= steps.max() <= 12
    assert image[-1, 32, 2] - image[0, 32, 2] > 80


def test_transparency_is_over_black(make_clip: Clip) -> None:
    def half(_: int) -> VideoFrame:
        image = np.full((48, 64, 4), 200, np.uint8)
        image[:, :, 3] = 128
        return VideoFrame.from_ndarray(image, format="rgba").reformat(format="argb")

    source, frames = read(make_clip("clip.mov", codec="qtrle", pix_fmt="argb", images=half))
    assert color(frames[0]) == [100, 100, 100]
    assert any("transparency" in note for note in source.notes)


def test_transparency_of_vp9(make_clip: Clip) -> None:
    def clear(_: int) -> VideoFrame:
        frame = VideoFrame(64, 48, "yuva420p")
        for plane, value in zip(frame.planes, (180, 128, 128, 0), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        return frame

    path = make_clip("clip.webm", codec="libvpx-vp9", pix_fmt="yuva420p", images=clear, metadata={"alpha_mode": "1"})
    assert read(path)[1][0].image.max() <= 2


def test_scaled_to_the_asked_size(make_clip: Clip) -> None:
    asked = []

    def size(width: int, height: int) -> tuple[int, int]:
        asked.append((width, height))
        return 24, 32

    source, frames = read(make_clip(rotation=90), size=size)
    assert asked == [(48, 64)]
    assert frames[0].image.shape == (32, 24, 3)
    assert (source.info.width, source.info.height) == (24, 32)


def test_other_video_streams_are_named(make_clip: Clip) -> None:
    path = make_clip().with_name("two.mkv")
    with av.open(str(path), "w") as output:
        streams: list[Any] = [output.add_stream("libx264", rate=10) for _ in range(2)]
        for stream in streams:
            stream.codec_context.width, stream.codec_context.height, stream.codec_context.pix_fmt = 64, 48, "yuv420p"
        for number in range(10):
            for stream in streams:
                frame = flat(100 + number, 128, 128)(number)
                frame.pts, frame.time_base = number, Fraction(1, 10)
                output.mux(stream.encode(frame))
        for stream in streams:
            output.mux(stream.encode(None))
    source, frames = read(path)
    assert len(frames) == 10
    assert source.notes == ["video stream 1 is left out: the first one is painted"]


def test_a_cover_is_no_video(make_clip: Clip) -> None:
    jpeg = make_clip("cover.mkv", codec="mjpeg", pix_fmt="yuvj420p", ticks=[0])
    cover = packets(jpeg, "video")[0][1]
    path = jpeg.with_name("song.flac")
    with av.open(str(path), "w") as output:
        sound: Any = output.add_stream("flac", rate=48_000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 9600), np.int16), format="s16", layout="stereo")
        silence.sample_rate = 48_000
        output.mux(sound.encode(silence) + sound.encode(None))
    song = path.read_bytes()
    numbers = [number.to_bytes(4, "big") for number in (3, 10, 0, 64, 48, 24, 0, len(cover))]  # 3: the front cover
    block = b"".join([*numbers[:2], b"image/jpeg", *numbers[2:], cover])
    path.write_bytes(song[:42] + b"\x06" + len(block).to_bytes(3, "big") + block + song[42:])  # after the first block
    with pytest.raises(InputError, match="no video stream"):
        VideoFile(path)


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts", "avi"])
@pytest.mark.parametrize("start", [Fraction(1, 20), Fraction(1), Fraction(13, 10)])
def test_start_finds_the_frame_itself(make_clip: Clip, container: str, start: Fraction) -> None:
    path = make_clip(f"clip.{container}", ticks=range(20), options={"g": "8"})
    file, whole = read(path)
    kept = [frame for frame in whole if frame.pts_seconds >= start]
    source, frames = read(path, start_seconds=start)
    assert source.info.origin_seconds == file.info.origin_seconds + kept[0].pts_seconds
    assert [frame.pts_seconds for frame in frames] == [frame.pts_seconds - kept[0].pts_seconds for frame in kept]
    assert all(np.array_equal(frame.image, same.image) for frame, same in zip(frames, kept, strict=True))
    assert source.damage == []


def test_duration_counts_from_the_first_frame(make_clip: Clip) -> None:
    path = make_clip(ticks=range(5, 25))
    assert len(read(path, duration_seconds=Fraction(1, 2))[1]) == 5
    source, frames = read(path, start_seconds=1, duration_seconds=Fraction(3, 10))
    assert source.info.origin_seconds == Fraction(3, 2)  # the file begins at 0.5
    assert [frame.pts_seconds for frame in frames] == [0, Fraction(1, 10), Fraction(1, 5)]


def test_start_after_the_end(make_clip: Clip) -> None:
    with pytest.raises(InputError, match="no picture at or after 9 s"):
        VideoFile(make_clip(), start_seconds=9)


@pytest.mark.parametrize("name", ["-y.mp4", "a b.mp4", "水墨.mp4", "%03d.mp4", "a:b.mp4", "http:x.mp4", "x.m3u8", "no suffix"])
def test_any_name_is_a_name(make_clip: Clip, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_clip().rename(name)
    assert len(read(Path(name))[1]) == 10
    output = Path(name).with_suffix(".mkv")
    repaint(Path(name), output)
    assert len(read(output)[1]) == 10


# damage


def packet_places(path: Path) -> list[tuple[int, int]]:
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size and packet.pos is not None]


def test_reads_on_past_a_broken_packet(make_clip: Clip) -> None:
    path = make_clip(options={"g": "1", "bf": "0"})
    position, size = packet_places(path)[4]
    data = bytearray(path.read_bytes())
    data[position : position + size] = b"\xff" * size
    path.write_bytes(data)
    source, frames = read(path)
    assert [frame.pts_seconds * 10 for frame in frames] == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert source.damage == ["1 packet could not be decoded"]


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_a_cut_off_file_is_read_as_far_as_it_goes(make_clip: Clip, container: str) -> None:
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
def test_an_mp4_without_its_last_pictures_is_cut_off(make_clip: Clip, missing: int) -> None:
    clip = make_clip(ticks=range(30))
    path = clip.with_name("front.mp4")
    repaint(clip, path, preset="ultrafast")  # without B-frames: the last pictures come last
    if missing:
        position, _ = packet_places(path)[-missing]
        path.write_bytes(path.read_bytes()[:position])
    source, frames = read(path)
    assert len(frames) == 30 - missing
    assert source.damage == ([f"the file is cut off: it ends at {(30 - missing) / 10:.2f} s of 3.00 s"] if missing else [])


def test_nothing_decodable(make_clip: Clip) -> None:
    path = make_clip(options={"g": "1", "bf": "0"})
    data = bytearray(path.read_bytes())
    for position, size in packet_places(path):
        data[position : position + size] = b"\xff" * size
    path.write_bytes(data)
    with pytest.raises(InputError, match="not one picture"):
        VideoFile(path)


PLAYLISTS = {
    "hls.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.ts\n#EXT-X-ENDLIST\n",
    "hls.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.ts\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile clip.ts\n",
    "list.mkv": "ffconcat version 1.0\nfile clip.ts\n",
    "dash.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
    "stream.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_playlists_are_refused(make_clip: Clip, name: str, tmp_path: Path) -> None:
    make_clip("clip.ts")
    (tmp_path / name).write_text(PLAYLISTS[name])
    with pytest.raises(InputError, match="playlist"):
        VideoFile(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.mp4", None, "No such file"),
        ("empty.mp4", b"", "empty"),
        ("text.mp4", b"Dear diary, today I saw a wave.\n" * 50, "text"),
        ("picture.mp4", b"\x89PNG\r\n\x1a\n" + bytes(100), "is a picture, not a video"),
        ("noise.mp4", bytes(range(256)) * 20, "not a video"),
    ],
)
def test_what_is_no_video(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        VideoFile(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder"):
        VideoFile(tmp_path)


def test_sound_alone_is_no_video(make_clip: Clip, tmp_path: Path) -> None:
    repaint(make_clip("clip.mkv", sound="aac"), tmp_path / "both.mkv")
    with av.open(str(tmp_path / "both.mkv")) as source, av.open(str(tmp_path / "sound.m4a"), "w") as output:
        stream = output.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    with pytest.raises(InputError, match="no video stream"):
        VideoFile(tmp_path / "sound.m4a")


# writing


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


def test_matroska_rounds_to_milliseconds(tmp_path: Path) -> None:
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


def test_times_that_do_not_grow_lose_no_frame(tmp_path: Path) -> None:
    sink = VideoWriter(tmp_path / "out.mp4", StreamInfo(64, 48, rate=Fraction(10), time_base=Fraction(1, 1000)))
    for tick in (0, 100, 100, 50, 200):
        sink.write(Frame(np.zeros((48, 64, 3), np.uint8), Fraction(tick, 1000)))
    sink.close()
    assert [time * 1000 for time in times(tmp_path / "out.mp4")] == [0, 100, 101, 102, 200]
    assert any(note.startswith("times that did not grow: 2") for note in sink.notes)


@pytest.mark.parametrize(("height", "matrix"), [(48, 6), (720, 1)])
def test_colors_come_back_and_are_tagged(tmp_path: Path, height: int, matrix: int) -> None:
    y, x = np.mgrid[0:height, 0:64]
    image = np.stack([x * 4, y * 255 / height, 255 - x * 2 - y * 100 / height], axis=-1).astype(np.uint8)
    sink = VideoWriter(tmp_path / "out.mp4", StreamInfo(64, height, rate=Fraction(10), time_base=Fraction(1, 10)), crf=0)
    sink.write(Frame(image, Fraction(0)))
    sink.close()
    assert np.abs(read(tmp_path / "out.mp4")[1][0].image.astype(int) - image).mean() < 1
    with av.open(str(tmp_path / "out.mp4")) as container:
        tags = container.streams.video[0].codec_context
        assert (tags.colorspace, tags.color_range, tags.color_primaries, tags.color_trc) == (matrix, 1, 1, 1)


def test_odd_sizes_become_even(tmp_path: Path) -> None:
    image: Image = np.full((7, 5, 3), 60, np.uint8)
    image[:, 4] = 200
    info = StreamInfo(5, 7, rate=Fraction(10), time_base=Fraction(1, 10))
    sink = VideoWriter(tmp_path / "out.mp4", info, crf=0, pix_fmt="yuv422p")
    sink.write(Frame(image, Fraction(0)))
    sink.close()
    assert any("5x7 became 6x7" in note for note in sink.notes)
    written = read(tmp_path / "out.mp4")[1][0].image
    assert written.shape == (7, 6, 3)
    assert np.abs(written[:, 4:].astype(int) - 200).max() <= 2
    sink = VideoWriter(tmp_path / "full.mp4", info, pix_fmt="yuv444p")
    sink.write(Frame(image, Fraction(0)))
    sink.close()
    assert sink.notes == []
    assert read(tmp_path / "full.mp4")[1][0].image.shape == (7, 5, 3)


def test_pixel_aspect_is_kept(make_clip: Clip, tmp_path: Path) -> None:
    repaint(make_clip(aspect=Fraction(128, 117)), tmp_path / "out.mp4")
    assert read(tmp_path / "out.mp4")[0].info.pixel_aspect == Fraction(128, 117)


@pytest.mark.parametrize(
    ("container", "codec"),
    [("mp4", "hevc"), ("mp4", "av1"), ("mkv", "vp9"), ("webm", "av1"), ("mov", "libx264")],
)
def test_codecs(make_clip: Clip, tmp_path: Path, container: str, codec: str) -> None:
    if codec == "av1" and "libsvtav1" not in av.codecs_available:
        pytest.skip("this build of FFmpeg, as in PyAV 14.0's wheels, has no libsvtav1")
    clip = make_clip(ticks=range(25))
    target = tmp_path / f"out.{container}"
    repaint(clip, target, codec=codec)
    assert [round(time * 10) for time in times(target)] == list(range(25))


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
def test_what_cannot_be_written(tmp_path: Path, name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OutputError, match=message):
        VideoWriter(tmp_path / name, INFO, **options)
    assert names(tmp_path) == []


def test_a_folder_is_no_output(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").mkdir()
    with pytest.raises(OutputError, match="folder"):
        VideoWriter(tmp_path / "out.mp4", INFO)


def test_the_index_is_in_front(make_clip: Clip, tmp_path: Path) -> None:
    repaint(make_clip(sound="aac"), tmp_path / "out.mp4")
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert b"moof" not in data


def test_an_existing_file_stays_until_the_new_one_is_complete(make_clip: Clip, tmp_path: Path) -> None:
    clip = make_clip()
    (tmp_path / "out.mp4").write_bytes(b"old")
    sink = VideoWriter(tmp_path / "out.mp4", INFO)
    sink.write(read(clip)[1][0])
    assert (tmp_path / "out.mp4").read_bytes() == b"old"
    sink.close()
    assert len(read(tmp_path / "out.mp4")[1]) == 1


# sound and subtitles


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


def with_subtitles(clip: Path, codec: str, texts: list[bytes]) -> Path:
    """The clip with a subtitle each half second, shown for 0.4 s."""
    if not hasattr(av.container.OutputContainer, "add_mux_stream"):
        pytest.skip("this PyAV cannot write subtitles; it comes with 17")
    path = clip.with_name(f"titled{clip.suffix}")
    with av.open(str(clip)) as source, av.open(str(path), "w") as output:
        copies = [output.add_stream_from_template(stream, opaque=True) for stream in source.streams]
        titles = output.add_mux_stream(codec, time_base=Fraction(1, 1000))
        titles.metadata["language"] = "fra"
        for packet in source.demux():
            if packet.size:
                packet.stream = copies[packet.stream.index]
                output.mux(packet)
        for number, text in enumerate(texts):
            title: av.Packet[Any] = av.Packet(text)
            title.pts = title.dts = number * 500
            title.duration, title.time_base, title.stream = 400, Fraction(1, 1000), titles
            output.mux(title)
    return path


def mov_text(text: str) -> bytes:
    return len(text.encode()).to_bytes(2, "big") + text.encode()


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("mp4", "mp4", mov_text("vague")),
        ("mp4", "mkv", b"vague"),
        ("mkv", "mkv", b"<i>vague</i>"),
        ("mkv", "mp4", mov_text("vague")),
    ],
)
def test_subtitles_are_copied_or_converted(make_clip: Clip, tmp_path: Path, source: str, target: str, expected: bytes) -> None:
    codec, first = ("mov_text", mov_text("vague")) if source == "mp4" else ("subrip", b"<i>vague</i>")
    clip = with_subtitles(make_clip(f"clip.{source}", ticks=range(20)), codec, [first, first, first])
    output = tmp_path / f"out.{target}"
    sink = repaint(clip, output)
    shown = [(time, data) for time, data in packets(output, "subtitle") if len(data) > 2]  # MP4 fills the gaps with empty ones
    assert [data for _, data in shown] == [expected] * 3
    assert [time for time, _ in shown] == [0, Fraction(1, 2), 1]
    assert any("converted" in note for note in sink.notes) == (source != target)
    with av.open(str(output)) as container:
        assert container.streams.subtitles[0].language == "fra"


def test_subtitles_beside_sound_that_begins_before_0(make_clip: Clip, tmp_path: Path) -> None:
    clip = with_subtitles(make_clip(ticks=range(20), sound="libopus", sound_seconds=(0, 2)), "mov_text", [mov_text("vague")] * 3)
    repaint(clip, tmp_path / "out.mp4")  # with a subtitle track in the fragments FFmpeg ended the process
    assert [data for _, data in packets(tmp_path / "out.mp4", "audio")] == [data for _, data in packets(clip, "audio")]
    assert mov_text("vague") in [data for _, data in packets(tmp_path / "out.mp4", "subtitle")]


# ending badly


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_interrupted_keeps_every_frame(make_clip: Clip, tmp_path: Path, container: str) -> None:
    clip = make_clip(sound="aac")
    sink = VideoWriter(tmp_path / f"out.{container}", INFO, sound_from=clip)
    for frame in read(clip)[1]:
        sink.write(frame)
    sink.close(KeyboardInterrupt())
    assert len(times(tmp_path / f"out.partial.{container}")) == 10
    assert not (tmp_path / f"out.{container}").exists()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals")
@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_an_interrupt_at_any_moment_of_the_completion_leaves_a_video(make_clip: Clip, tmp_path: Path, container: str) -> None:
    clip = make_clip(ticks=range(20), sound="aac", sound_seconds=(0, 2))
    frames = read(clip)[1]

    def complete(seconds: float) -> float:
        """Close a file with an interrupt after so long; how long it took."""
        sink = VideoWriter(tmp_path / f"out.{container}", INFO, sound_from=clip)
        for frame in frames:
            sink.write(frame)
        started = perf_counter()
        signal.setitimer(signal.ITIMER_REAL, seconds)
        with contextlib.suppress(KeyboardInterrupt):
            try:
                sink.close()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        return perf_counter() - started

    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        whole = complete(60)
        for part in range(1, 25):
            left = names(tmp_path)[1:]
            assert left, f"nothing was left after {part - 1}/24 of the completion"
            for name in left:
                assert len(times(tmp_path / name)) >= 16  # the rest was inside the encoder
                (tmp_path / name).unlink()
            complete(whole * part / 24)
    finally:
        signal.signal(signal.SIGALRM, previous)


KILLED = """
import sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from livestyle.frame import Frame, StreamInfo
from livestyle.sinks.video.writer import VideoWriter

path, preset, rate, sound = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
info = StreamInfo(64, 48, rate=Fraction(rate), time_base=Fraction(1, rate))
sink = VideoWriter(path, info, preset=preset, sound_from=Path(sound))
noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
for number in range(4 * rate):
    sink.write(Frame(np.roll(noise, number, axis=1), Fraction(number, rate)))
print("written", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("container", "preset", "rate"),
    [("mp4", "veryfast", 30), ("mp4", "medium", 10), ("mp4", "veryslow", 30), ("mkv", "slow", 25), ("mov", "slow", 5)],
)
def test_killed_plays_up_to_the_last_second(make_clip: Clip, tmp_path: Path, container: str, preset: str, rate: int) -> None:
    sound = make_clip(sound="aac", sound_seconds=(0, 4))
    arguments = [str(tmp_path / f"out.{container}"), preset, str(rate), str(sound)]
    process = subprocess.Popen([sys.executable, "-c", KILLED, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    assert names(tmp_path) == ["clip.mp4", f"out.partial.{container}"]
    partial = tmp_path / f"out.partial.{container}"
    assert times(partial)[-1] - times(partial)[0] >= 3 - Fraction(1, rate)
    assert packets(partial, "audio")[-1][0] >= 2.8


@pytest.mark.parametrize("container", ["mp4", "mov", "m4v", "mkv"])
def test_encoded_by_a_gpu(make_clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, container: str) -> None:
    # NVENC's presets are p1 to p7, which libx264, as its stand-in here, gets to see as little as NVENC sees libx264's
    stand_in = Encoder("libx264", "p4", lambda crf, preset, delay: {"preset": {"p4": "ultrafast"}[preset], "bf": "0"})
    monkeypatch.setitem(GPU_ENCODERS, "h264", stand_in)
    clip = make_clip(sound="aac")
    sink = repaint(clip, tmp_path / f"out.{container}", on_gpu=True)
    assert "encoded by libx264" in sink.notes
    assert len(times(tmp_path / f"out.{container}")) == 10
    assert names(tmp_path) == ["clip.mp4", f"out.{container}"]


def test_encoded_by_the_gpu_that_paints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {encoder.on(3).options(18, "p4", 0)["gpu"] for encoder in GPU_ENCODERS.values()} == {"3"}
    stand_in = Encoder("libx264", "p4", lambda crf, preset, delay: {"preset": "ultrafast", "bf": "0"})
    monkeypatch.setitem(GPU_ENCODERS, "h264", stand_in)
    sink = VideoWriter(tmp_path / "out.mp4", INFO, on_gpu=True, gpu=2)
    assert sink._encoder.options(18, "p4", 0)["gpu"] == "2"
    sink.close(OutputError("not wanted"))


FULL_DISK = """
import resource, sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from livestyle.errors import OutputError
from livestyle.frame import Frame, StreamInfo
from livestyle.sinks.video.writer import VideoWriter

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))  # no room left, as far as this process sees
sink = VideoWriter(Path(sys.argv[1]), StreamInfo(320, 240, rate=Fraction(10), time_base=Fraction(1, 10)))
rng = np.random.default_rng(0)
try:
    for number in range(40):
        sink.write(Frame(rng.integers(0, 256, (240, 320, 3), dtype=np.uint8), Fraction(number, 10)))
    sink.close()
except OutputError as error:
    sink.close(error)
    print(error)
"""


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv", "webm"])
def test_full_disk_keeps_what_was_written(tmp_path: Path, container: str) -> None:
    target, partial = tmp_path / f"out.{container}", tmp_path / f"out.partial.{container}"
    arguments = [sys.executable, "-c", FULL_DISK, str(target), "400000"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"cannot write {target}: ")
    assert names(tmp_path) == [partial.name]
    with av.open(str(partial)) as left:
        count = 0
        with contextlib.suppress(av.FFmpegError):  # the last one was cut
            for _ in left.decode(video=0):
                count += 1
    assert count >= 5
    said = re.search(rf"; ([\d.]+) s that were painted are in {re.escape(str(partial))}", done.stdout)
    assert said
    assert float(said[1]) == pytest.approx(count / 10, abs=0.2)  # pictures between two others are encoded after both


# ../shared


VIDEOS = Path(__file__).resolve().parents[3] / "shared" / "videos"


@pytest.mark.skipif(not VIDEOS.is_dir(), reason="../shared is not here")
@pytest.mark.parametrize(
    ("name", "count", "damage"),
    [
        ("video_90.mov", 3, []),
        ("fire2.mp4", 25, []),
        ("corrupted.mp4", 49, ["1 packet could not be decoded"]),
        ("nasa_13013.mp4", 50, []),
    ],
)
def test_real_clips(tmp_path: Path, name: str, count: int, damage: list[str]) -> None:
    source, frames = read(VIDEOS / name, duration_seconds=None if count < 50 else Fraction(2))
    assert len(frames) == count
    assert source.damage[:1] == damage
    assert all(before.pts_seconds < after.pts_seconds for before, after in itertools.pairwise(frames))
    repaint(VIDEOS / name, tmp_path / "out.mp4", duration=None if count < 50 else Fraction(2))
    assert times(tmp_path / "out.mp4") == [frame.pts_seconds for frame in frames]


# times


def sound_times(path: Path) -> list[Fraction]:
    return [time for time, _ in packets(path, "audio")]


@pytest.mark.parametrize("container", ["ts", "m2ts", "mkv", "mp4", "mov", "flv", "mpg"])
@pytest.mark.parametrize("late", [0, 7])
def test_a_file_that_starts_late_begins_at_0(make_clip: Clip, tmp_path: Path, container: str, late: int) -> None:
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
@pytest.mark.parametrize("sound_seconds", [(0.5, 1), (2.5, 3)], ids=["sound first", "picture first"])
def test_an_offset_between_sound_and_picture_is_kept(
    make_clip: Clip, tmp_path: Path, container: str, sound_seconds: tuple[float, float]
) -> None:
    clip = make_clip(f"clip.{container}", range(20, 40), sound="aac", sound_seconds=sound_seconds)  # the picture at 2 s
    repaint(clip, tmp_path / "out.mp4")
    first, first_sound = times(tmp_path / "out.mp4")[0], sound_times(tmp_path / "out.mp4")[0]
    assert first - first_sound == pytest.approx(2 - sound_seconds[0], abs=0.05)
    assert min(first, first_sound) == pytest.approx(0, abs=0.05)


def test_a_negative_time_is_no_time_before_0_in_the_output(make_clip: Clip, tmp_path: Path) -> None:
    clip = make_clip("clip.mkv", range(-5, 15), options={"bf": "0"})
    repaint(clip, tmp_path / "out.mp4")
    assert times(tmp_path / "out.mp4") == [Fraction(number, 10) for number in range(20)]


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
def test_start_in_a_still_stretch(make_clip: Clip, container: str) -> None:
    path = make_clip(f"clip.{container}", [0, 1, 2, 50, 51, 90], options={"g": "3"})
    whole = read(path)[1]
    source, frames = read(path, start_seconds=1, duration_seconds=2)
    assert [frame.pts_seconds for frame in frames] == [0]
    assert np.array_equal(frames[0].image, whole[2].image)
    assert frames[0].duration_seconds == 2
    assert source.damage == []
    frames = read(path, start_seconds=4)[1]
    assert [frame.pts_seconds for frame in frames] == [0, 1, Fraction(11, 10), 5]
    assert np.array_equal(frames[1].image, whole[3].image)


def test_start_while_the_last_picture_is_shown(make_clip: Clip, tmp_path: Path) -> None:
    sink = VideoWriter(tmp_path / "still.mp4", INFO)
    for frame in read(make_clip(ticks=[0, 1]))[1]:
        sink.write(Frame(frame.image, frame.pts_seconds, duration_seconds=Fraction(4)))
    sink.close()
    _, frames = read(tmp_path / "still.mp4", start_seconds=3)
    assert [(frame.pts_seconds, frame.duration_seconds) for frame in frames] == [(0, Fraction(11, 10))]


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv", "webm"])
@pytest.mark.parametrize("sound", [None, "aac"])
@pytest.mark.parametrize("options", [{}, {"preset": "medium"}], ids=["default", "with B-frames"])
def test_the_last_picture_keeps_its_duration(
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


@pytest.mark.parametrize("name", ["clip.gif", "clip.apng"])
def test_animated_pictures_have_their_own_times(make_clip: Clip, name: str) -> None:
    codec, layout = ("gif", "rgb8") if name.endswith("gif") else ("apng", "rgb24")
    source, frames = read(make_clip(name, [0, 2, 10], codec=codec, pix_fmt=layout))
    assert [frame.pts_seconds for frame in frames] == [0, Fraction(1, 5), 1]
    assert source.damage == []


@pytest.mark.parametrize("rate", [25, 60_000])
def test_a_rate_that_cannot_be_is_measured(make_clip: Clip, rate: int) -> None:
    path = make_clip("clip.mkv", range(10), Fraction(1, 25), rate=25)
    data = path.read_bytes()
    default_duration = b"\x23\xe3\x83"  # nanoseconds
    at = data.index(default_duration) + 4
    size = data[at - 1] & 0x7F
    path.write_bytes(data[:at] + round(10**9 / rate).to_bytes(size, "big") + data[at + size :])
    assert read(path)[0].info.rate == 25


def combs(number: int) -> VideoFrame:
    """A white bar that moves on from field to field."""
    image = np.full((48, 64, 3), 60, np.uint8)
    for field in (0, 1):
        left = 6 * number + 3 * field
        image[field::2, left : left + 8] = 180
    return VideoFrame.from_ndarray(image).reformat(format="yuv420p")


@pytest.mark.parametrize("container", ["mpg", "mp4", "mkv", "ts"])
def test_interlaced_pictures_are_deinterlaced(make_clip: Clip, container: str) -> None:
    if container == "mpg":
        codec, options = "mpeg2video", {"flags": "+ildct+ilme", "bf": "2", "qscale": "1"}
    else:
        codec, options = "libx264", {"flags": "+ildct+ilme", "x264-params": "tff=1", "crf": "1"}
    path = make_clip(f"clip.{container}", range(10), Fraction(1, 25), rate=25, codec=codec, options=options, images=combs)
    source, frames = read(path)
    assert source.notes == ["interlaced pictures are deinterlaced"]
    assert source.damage == []
    assert [frame.pts_seconds for frame in frames] == [Fraction(number, 25) for number in range(10)]
    assert read(path, start_seconds=Fraction(1, 5))[0].notes == ["interlaced pictures are deinterlaced"]
    source, combed = read(path, deinterlace=False)
    assert source.notes == []
    assert [frame.pts_seconds for frame in combed] == [frame.pts_seconds for frame in frames]
    steps = [
        np.abs(np.diff(frame.image[4:-4, :, 0].astype(int), axis=0)).mean() for some in (frames, combed) for frame in some[1:-1]
    ]
    assert max(steps[:8]) < min(steps[8:]) / 3


@pytest.mark.parametrize(("layout", "planar"), [("nv12", "yuv420p"), ("yuv420p", "yuv420p"), ("yuv422p10le", "yuv422p10le")])
def test_deinterlacing_what_a_gpu_decodes(layout: str, planar: str) -> None:
    pictures = []
    for number in range(4):
        picture = combs(number).reformat(format=layout)
        picture.pts, picture.time_base = 10 * number, Fraction(1, 250)
        pictures.append(picture)
    graph = av.filter.Graph()  # marks them as interlaced
    chain = [
        graph.add_buffer(width=64, height=48, format=pictures[0].format, time_base=Fraction(1, 250)),
        graph.add("setfield", "tff"),
        graph.add("buffersink"),
    ]
    graph.link_nodes(*chain).configure()
    marked = []
    for picture in pictures:
        graph.push(picture)
        marked.append(graph.pull())
    whole = list(deinterlaced(iter(marked), Fraction(1, 250)))
    assert [picture.pts for picture in whole] == [0, 10, 20, 30]
    assert {picture.format.name for picture in whole} == {planar}
    assert not any(picture.interlaced_frame for picture in whole)


def test_the_default_stream_is_painted(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as output:
        streams: list[Any] = [output.add_stream("libx264", rate=10) for _ in range(2)]
        for stream, disposition in zip(streams, (0, 1), strict=True):
            stream.codec_context.width, stream.codec_context.height, stream.codec_context.pix_fmt = 64, 48, "yuv420p"
            if not hasattr(stream, "disposition"):
                pytest.skip("PyAV 14.0 knows no dispositions")
            stream.disposition = disposition
        for number in range(5):
            for stream, value in zip(streams, (60, 200), strict=True):
                frame = flat(value, 128, 128)(number)
                frame.pts, frame.time_base = number, Fraction(1, 10)
                output.mux(stream.encode(frame))
        for stream in streams:
            output.mux(stream.encode(None))
    source, frames = read(path)
    assert source.notes == ["video stream 0 is left out: stream 1, the default one, is painted"]
    assert frames[0].image.mean() > 190


CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"


@pytest.mark.skipif(not CASES.is_dir(), reason="../shared is not here")
@pytest.mark.parametrize(
    ("name", "count", "rate", "seconds"),
    [
        ("01-starts-late.ts", 50, 25, 2.0),
        ("02-joined.ts", 100, 25, 4.0),
        ("08-last-picture-long.gif", 3, None, 5.0),
        ("18-interlaced.mpg", 50, 25, 2.0),
        ("33-field-pictures.mkv", 50, 25, 2.0),
        ("40-raw.dv", 10, 25, 0.4),
    ],
)
def test_cases_of_times(tmp_path: Path, name: str, count: int, rate: int | None, seconds: float) -> None:
    source, frames = read(CASES / name)
    assert source.damage == []
    assert len(frames) == count
    assert rate is None or source.info.rate == rate
    assert frames[0].pts_seconds < 0.03
    assert frames[-1].duration_seconds is not None
    assert frames[-1].pts_seconds + frames[-1].duration_seconds == pytest.approx(seconds, abs=0.05)
    assert all(before.pts_seconds < after.pts_seconds for before, after in itertools.pairwise(frames))
