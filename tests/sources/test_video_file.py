"""The video file source: real files, with all that is odd about them."""

import itertools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from clips import Clip, packets, read, repaint, times

from livestyle.errors import InputError
from livestyle.frame import Frame, StreamInfo
from livestyle.sinks.video.writer import VideoWriter
from livestyle.sources.video.deinterlacing import deinterlaced
from livestyle.sources.video.file import VideoFile

UNEVEN = [0, 700, 1000, 3000, 3001, 9000]
INFO = StreamInfo(64, 48, rate=Fraction(10), time_base=Fraction(1, 10))


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
