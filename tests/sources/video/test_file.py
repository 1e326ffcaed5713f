"""The video file source: which stream and which frames it reads, at which times."""

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import Clip, flat, packets, read, repaint, times

from livestyle.errors import InputError
from livestyle.frame import Frame, StreamInfo
from livestyle.sinks.video.writer import VideoWriter
from livestyle.sources.video.file import VideoFile

UNEVEN = [0, 700, 1000, 3000, 3001, 9000]


INFO = StreamInfo(64, 48, rate=Fraction(10), time_base=Fraction(1, 10))


def test_presentation_times_equal_those_in_the_file(make_clip: Clip) -> None:
    assert times(make_clip(ticks=UNEVEN, time_base=Fraction(1, 1000))) == [Fraction(tick, 1000) for tick in UNEVEN]


def test_other_video_streams_are_noted(make_clip: Clip) -> None:
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


def test_a_cover_picture_is_not_read_as_video(make_clip: Clip) -> None:
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
    path.write_bytes(song[:42] + b"\x06" + len(block).to_bytes(3, "big") + block + song[42:])  # behind the first metadata block
    with pytest.raises(InputError, match="no video stream"):
        VideoFile(path)


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts", "avi"])
@pytest.mark.parametrize("start", [Fraction(1, 20), Fraction(1), Fraction(13, 10)])
def test_reading_starts_at_exactly_the_requested_frame(make_clip: Clip, container: str, start: Fraction) -> None:
    path = make_clip(f"clip.{container}", ticks=range(20), options={"g": "8"})
    file, whole = read(path)
    kept = [frame for frame in whole if frame.pts_seconds >= start]
    source, frames = read(path, start_seconds=start)
    assert source.info.origin_seconds == file.info.origin_seconds + kept[0].pts_seconds
    assert [frame.pts_seconds for frame in frames] == [frame.pts_seconds - kept[0].pts_seconds for frame in kept]
    assert all(np.array_equal(frame.image, same.image) for frame, same in zip(frames, kept, strict=True))
    assert source.damage == []


def test_duration_counts_from_the_first_frame_read(make_clip: Clip) -> None:
    path = make_clip(ticks=range(5, 25))
    assert len(read(path, duration_seconds=Fraction(1, 2))[1]) == 5
    source, frames = read(path, start_seconds=1, duration_seconds=Fraction(3, 10))
    assert source.info.origin_seconds == Fraction(3, 2)  # the file begins at 0.5
    assert [frame.pts_seconds for frame in frames] == [0, Fraction(1, 10), Fraction(1, 5)]


def test_start_after_the_end_is_refused(make_clip: Clip) -> None:
    with pytest.raises(InputError, match="no frame at or after 9 s"):
        VideoFile(make_clip(), start_seconds=9)


@pytest.mark.parametrize("name", ["-y.mp4", "a b.mp4", "水墨.mp4", "%03d.mp4", "a:b.mp4", "http:x.mp4", "x.m3u8", "no suffix"])
def test_any_file_name_is_accepted(make_clip: Clip, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_clip().rename(name)
    assert len(read(Path(name))[1]) == 10
    output = Path(name).with_suffix(".mkv")
    repaint(Path(name), output)
    assert len(read(output)[1]) == 10


def test_a_file_with_audio_only_is_refused(make_clip: Clip, tmp_path: Path) -> None:
    repaint(make_clip("clip.mkv", sound="aac"), tmp_path / "both.mkv")
    with av.open(str(tmp_path / "both.mkv")) as source, av.open(str(tmp_path / "sound.m4a"), "w") as output:
        stream = output.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    with pytest.raises(InputError, match="no video stream"):
        VideoFile(tmp_path / "sound.m4a")


VIDEOS = Path(__file__).resolve().parents[4] / "shared" / "videos"


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
def test_real_clips_are_read_and_rewritten_at_their_times(tmp_path: Path, name: str, count: int, damage: list[str]) -> None:
    source, frames = read(VIDEOS / name, duration_seconds=None if count < 50 else Fraction(2))
    assert len(frames) == count
    assert source.damage[:1] == damage
    assert all(before.pts_seconds < after.pts_seconds for before, after in itertools.pairwise(frames))
    repaint(VIDEOS / name, tmp_path / "out.mp4", duration=None if count < 50 else Fraction(2))
    assert times(tmp_path / "out.mp4") == [frame.pts_seconds for frame in frames]


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
def test_start_between_distant_frames_reads_the_frame_on_the_screen(make_clip: Clip, container: str) -> None:
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


def test_start_after_the_last_frame_reads_it_with_the_rest_of_its_duration(make_clip: Clip, tmp_path: Path) -> None:
    sink = VideoWriter(tmp_path / "still.mp4", INFO)
    for frame in read(make_clip(ticks=[0, 1]))[1]:
        sink.write(Frame(frame.image, frame.pts_seconds, duration_seconds=Fraction(4)))
    sink.close()
    _, frames = read(tmp_path / "still.mp4", start_seconds=3)
    assert [(frame.pts_seconds, frame.duration_seconds) for frame in frames] == [(0, Fraction(11, 10))]


@pytest.mark.parametrize("name", ["clip.gif", "clip.apng"])
def test_animated_pictures_keep_their_times(make_clip: Clip, name: str) -> None:
    codec, layout = ("gif", "rgb8") if name.endswith("gif") else ("apng", "rgb24")
    source, frames = read(make_clip(name, [0, 2, 10], codec=codec, pix_fmt=layout))
    assert [frame.pts_seconds for frame in frames] == [0, Fraction(1, 5), 1]
    assert source.damage == []


@pytest.mark.parametrize("rate", [25, 60_000])
def test_an_impossible_rate_is_replaced_by_a_measured_one(make_clip: Clip, rate: int) -> None:
    path = make_clip("clip.mkv", range(10), Fraction(1, 25), rate=25)
    data = path.read_bytes()
    default_duration = b"\x23\xe3\x83"  # the element's id and length; nanoseconds
    at = data.index(default_duration) + 4
    size = data[at - 1] & 0x7F
    path.write_bytes(data[:at] + round(10**9 / rate).to_bytes(size, "big") + data[at + size :])
    assert read(path)[0].info.rate == 25


def test_the_default_stream_is_painted(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as output:
        streams: list[Any] = [output.add_stream("libx264", rate=10) for _ in range(2)]
        for stream, disposition in zip(streams, (0, 1), strict=True):
            stream.codec_context.width, stream.codec_context.height, stream.codec_context.pix_fmt = 64, 48, "yuv420p"
            if not hasattr(stream, "disposition"):
                pytest.skip("PyAV 14.0 has no dispositions")
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


CASES = Path(__file__).resolve().parents[4] / "shared" / "cases"


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
def test_unusual_files_have_regular_times(tmp_path: Path, name: str, count: int, rate: int | None, seconds: float) -> None:
    source, frames = read(CASES / name)
    assert source.damage == []
    assert len(frames) == count
    assert rate is None or source.info.rate == rate
    assert frames[0].pts_seconds < 0.03
    assert frames[-1].duration_seconds is not None
    assert frames[-1].pts_seconds + frames[-1].duration_seconds == pytest.approx(seconds, abs=0.05)
    assert all(before.pts_seconds < after.pts_seconds for before, after in itertools.pairwise(frames))
