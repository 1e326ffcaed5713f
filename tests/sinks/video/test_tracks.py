"""What a video file holds beside its pictures, in another file: sound, subtitles, tags, chapters, covers. Real files."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from livestyle.sinks.video.writer import VideoWriter
from livestyle.sources.video.file import VideoFile

EXPERIMENTAL = {"strict": "experimental"}
"""As FFmpeg calls its encoder for Vorbis."""

Clip = Callable[..., Path]
TITLED = hasattr(av.container.OutputContainer, "add_mux_stream")
needs_mux_streams = pytest.mark.skipif(not TITLED, reason="this PyAV cannot write such streams; it comes with 17")
needs_chapters = pytest.mark.skipif(not hasattr(av.container.OutputContainer, "set_chapters"), reason="that comes with PyAV 16")


def repaint(path: Path, target: Path, start: Fraction | int = 0, duration: Fraction | None = None) -> VideoWriter:
    """Every frame as it is: what the video command does with a network that returns its input."""
    source = VideoFile(path, start_seconds=start, duration_seconds=duration)
    sink = VideoWriter(target, source.info, sound_from=path, duration_seconds=duration)
    while (frame := source.read()) is not None:
        sink.write(frame)
    source.close()
    sink.close()
    return sink


def packets(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in container.demux(streams) if packet.pts is not None]


def tone(
    hertz: int, seconds: Fraction | float, rate: int = 48_000, layout: str = "stereo", first: int = 0
) -> list[av.AudioFrame]:
    """A sine of 0.3 in frames of 1024 samples, the first of which is shown at that many samples."""
    channels = av.AudioLayout(layout).nb_channels
    count = round(seconds * rate / 1024)
    frames = []
    for number in range(count):
        time = np.arange(number * 1024, (number + 1) * 1024) / rate
        wave = np.repeat(np.sin(2 * np.pi * hertz * time) * 0.3, channels)[None].astype(np.float32)
        frame = av.AudioFrame.from_ndarray(wave, format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, first + number * 1024, Fraction(1, rate)
        frames.append(frame)
    return frames


def encoded(codec: str, frames: list[av.AudioFrame]) -> tuple[Any, list[Any]]:
    """The encoder, and the packets of these frames."""
    encoder: Any = av.CodecContext.create(codec, "w")
    encoder.sample_rate, encoder.layout = frames[0].sample_rate, frames[0].layout
    encoder.format = encoder.codec.audio_formats[0]
    encoder.time_base = Fraction(1, frames[0].sample_rate)
    encoder.options = EXPERIMENTAL
    encoder.flags |= 0x400000  # headers of the file, not of the packet
    found = [packet for frame in [*frames, None] for packet in encoder.encode(frame)]
    for packet in found:
        packet.time_base = Fraction(1, encoder.sample_rate)
    return encoder, found


def with_sound(clip: Path, name: str, codec: str, sound: Sequence[Any], rate: int = 48_000, layout: str = "stereo") -> Path:
    """The clip's pictures with these packets of sound."""
    path = clip.with_name(name)
    with av.open(str(clip)) as source, av.open(str(path), "w") as output:
        video: Any = output.add_stream("libx264", rate=10, options={"bf": "0"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio: Any = output.add_stream(codec, rate=rate, options=EXPERIMENTAL)
        audio.codec_context.layout = layout
        pictures = []
        for frame in source.decode(video=0):
            pictures += video.encode(frame)
        pictures += video.encode(None)
        output.start_encoding()
        for packet in sound:
            packet.stream = audio
        for packet in sorted([*pictures, *sound], key=lambda packet: packet.dts * packet.time_base):
            output.mux(packet)
    return path


def replaced(packet: Any, data: bytes) -> Any:
    """A packet with other bytes."""
    other: Any = av.Packet(len(data))
    other.update(data)
    other.pts, other.dts, other.duration, other.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    return other


def heard(path: Path) -> tuple[str, np.ndarray[Any, Any]]:
    """The layout of the first sound, and its first channel at 48 kHz from time 0 of the picture on, silent where nothing is."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        assert video.start_time is not None
        start = video.start_time * video.time_base
        wave = np.zeros(0)
        layout = ""
        resampler = av.AudioResampler("flt", None, 48_000)
        for decoded in container.decode(audio=0):
            layout = layout or decoded.layout.name
            for frame in resampler.resample(decoded):
                samples = frame.to_ndarray().reshape(-1, frame.layout.nb_channels)[:, 0]
                assert frame.pts is not None
                begin = round((frame.pts * frame.time_base - start) * 48_000)
                if abs(begin - len(wave)) < 100:
                    begin = len(wave)  # Matroska rounds to milliseconds
                end = max(begin + len(samples), 0)
                wave = np.pad(wave, (0, max(0, end - len(wave))))
                wave[max(begin, 0) : end] = samples[max(-begin, 0) :]
    return layout, wave


def loudness(wave: np.ndarray[Any, Any], begin: float, end: float) -> float:
    return float(np.sqrt((wave[round(begin * 48_000) : round(end * 48_000)] ** 2).mean()))


def pitch(wave: np.ndarray[Any, Any], begin: float, end: float) -> float:
    part = wave[round(begin * 48_000) : round(end * 48_000)]
    return float(np.abs(np.fft.rfft(part * np.hanning(len(part)))).argmax() * 48_000 / len(part))


# sound


def test_packets_shorter_than_a_millisecond_stay_in_time(make_clip: Clip, tmp_path: Path) -> None:
    _, sound = encoded("pcm_s16le", tone(440, 1))
    whole = b"".join(bytes(packet) for packet in sound)
    short = []
    for number in range(len(whole) // 160):  # 40 samples each
        packet = replaced(sound[0], whole[number * 160 : number * 160 + 160])
        packet.pts = packet.dts = number * 40
        packet.duration = 40
        short.append(packet)
    clip = with_sound(make_clip(), "short.mkv", "pcm_s16le", short)
    before = packets(clip, "audio")
    assert len({time for time, _ in before}) < len(before)  # Matroska rounds to milliseconds
    sink = repaint(clip, tmp_path / "out.mkv")
    assert packets(tmp_path / "out.mkv", "audio") == before
    assert sink.damage == []


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_sound_that_overlaps_is_whole(make_clip: Clip, tmp_path: Path, container: str) -> None:
    pieces = []
    for number, first in enumerate((0, 47 * 1024 - 1024)):  # the second one begins with the first one's last packet
        _, sound = encoded("aac", tone(440, Fraction(47 * 1024, 48_000), first=first))
        ticks = range(10 * number, 10 * number + 10)
        pieces.append(with_sound(make_clip(f"{number}.mp4", ticks=ticks), f"{number}.ts", "aac", sound).read_bytes())
    clip = tmp_path / "joined.ts"
    clip.write_bytes(b"".join(pieces))
    sink = repaint(clip, tmp_path / f"out.{container}")
    before, after = packets(clip, "audio"), packets(tmp_path / f"out.{container}", "audio")
    assert len(after) == len(before) > 90
    assert [time for time, _ in after] == sorted(time for time, _ in after)
    assert abs((after[-1][0] - after[0][0]) - (before[-1][0] - before[0][0])) < Fraction(1, 20)
    assert sink.damage == []


def test_a_packet_that_cannot_be_copied_costs_no_other(make_clip: Clip, tmp_path: Path) -> None:
    _, sound = encoded("aac", tone(440, 1))
    clip = with_sound(make_clip(), "sound.ts", "aac", sound)
    data = bytearray(clip.read_bytes())
    header = bytes(data[data.index(b"\xff\xf1") :][:3])
    places = [place for place in range(len(data)) if data[place : place + 3] == header]
    data[places[20] + 1] = 0  # as no header looks
    clip.write_bytes(data)
    repaint(clip, tmp_path / "out.mp4")
    assert len(packets(tmp_path / "out.mp4", "audio")) >= 40
    assert loudness(heard(tmp_path / "out.mp4")[1], 0.7, 0.9) > 0.14


@pytest.mark.parametrize("broken", [1, 3])
def test_packets_that_cannot_be_decoded_are_damage(make_clip: Clip, tmp_path: Path, broken: int) -> None:
    _, sound = encoded("flac", tone(440, 2))
    sound[5 : 5 + broken] = [replaced(packet, b"\0" * 50) for packet in sound[5 : 5 + broken]]
    clip = with_sound(make_clip(ticks=range(20)), "sound.mkv", "flac", sound)
    sink = repaint(clip, tmp_path / "out.webm")
    assert len(sink.damage) == 1
    assert sink.damage[0].startswith(f"{broken} packet{'s' * (broken > 1)} of audio stream 1 (flac) could not be kept: ")
    wave = heard(tmp_path / "out.webm")[1]
    assert loudness(wave, 1, 1.9) > 0.14
    assert len(wave) == pytest.approx(2 * 48_000, abs=6_000)


@pytest.mark.parametrize("container", ["webm", "mov"])
def test_sound_of_which_nothing_decodes_is_damage(make_clip: Clip, tmp_path: Path, container: str) -> None:
    _, sound = encoded("flac", tone(440, 1))
    clip = with_sound(make_clip(), "sound.mkv", "flac", [replaced(packet, b"\0" * 50) for packet in sound])
    sink = repaint(clip, tmp_path / f"out.{container}")
    assert sink.damage == ["audio stream 1 (flac) is left out: nothing of it could be decoded"]
    assert not any("converted" in note for note in sink.notes)
    with av.open(str(tmp_path / f"out.{container}")) as written:
        assert [stream.type for stream in written.streams] == ["video"]


def test_sound_of_which_nothing_decodes_is_said_where_it_is_copied(make_clip: Clip, tmp_path: Path) -> None:
    _, sound = encoded("flac", tone(440, 1))
    clip = with_sound(make_clip(), "sound.mkv", "flac", [replaced(packet, b"\0" * 50) for packet in sound])
    sink = repaint(clip, tmp_path / "out.mkv")
    assert sink.damage == ["audio stream 1 (flac) is copied as it is: nothing of it could be decoded"]
    assert packets(tmp_path / "out.mkv", "audio") == packets(clip, "audio")


def test_sound_that_ends_before_the_start_is_said(make_clip: Clip, tmp_path: Path) -> None:
    clip = make_clip("clip.mkv", ticks=range(40), sound="pcm_s16le", sound_seconds=(0, 0.5))
    sink = repaint(clip, tmp_path / "out.mp4", start=2)
    assert sink.notes == ["audio stream 1 (pcm_s16le) is left out: it holds nothing in this part"]
    assert sink.damage == []


@pytest.mark.parametrize(
    ("source", "container"),
    [("mkv", "webm"), ("mkv", "mp4"), ("ts", "webm"), ("ts", "mp4"), ("ts", "mkv"), ("flv", "webm"), ("flv", "mp4")],
)
def test_sound_whose_layout_and_rate_change(make_clip: Clip, tmp_path: Path, source: str, container: str) -> None:
    if source == "flv" and container == "mp4" and not hasattr(av.Packet, "has_sidedata"):
        pytest.skip("PyAV before 16 does not show that the format of packets to be copied changes")
    codec = "mp2" if source == "mkv" else "aac"
    parts = [tone(440, 1), tone(880, 1, rate=44_100, layout="mono", first=44_100), tone(440, 1, first=96_000)]
    if source == "mkv":
        sound = [packet for part in parts for packet in encoded(codec, part)[1] if packet.pts >= 0]
        clip = with_sound(make_clip(ticks=range(30)), "sound.mkv", codec, sound)
    else:
        pieces = []
        for number, part in enumerate(parts):
            _, sound = encoded(codec, part)
            options = {"rate": part[0].sample_rate, "layout": part[0].layout.name}
            video = make_clip(f"{number}.mp4", ticks=range(10 * number, 10 * number + 10))
            pieces.append(with_sound(video, f"{number}.{source}", codec, sound, **options).read_bytes())
        clip = tmp_path / f"sound.{source}"
        header = 13 if source == "flv" else 0  # bytes that a file begins with, once
        clip.write_bytes(pieces[0] + b"".join(piece[header:] for piece in pieces[1:]))
    sink = repaint(clip, tmp_path / f"out.{container}")
    layout, wave = heard(tmp_path / f"out.{container}")
    assert layout == "stereo"
    for begin, hertz in ((0.2, 440), (1.2, 880), (2.2, 440)):
        assert pitch(wave, begin, begin + 0.6) == pytest.approx(hertz, abs=4)
        assert loudness(wave, begin, begin + 0.6) > 0.14
    assert len(wave) == pytest.approx(3 * 48_000, abs=6_000)
    assert sink.damage == []
    assert any("is converted to" in note for note in sink.notes)


@pytest.mark.parametrize(
    ("channels", "layout", "note"), [(8, "7.1", ""), (6, "5.1", ""), (16, "7.1", "mixed from hexadecagonal to 7.1")]
)
@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_channels_are_kept(make_clip: Clip, tmp_path: Path, container: str, channels: int, layout: str, note: str) -> None:
    name = {6: "5.1", 8: "7.1", 16: "hexadecagonal"}[channels]
    _, sound = encoded("pcm_s16le", tone(440, 1, layout=name))
    clip = with_sound(make_clip(), "sound.mov", "pcm_s16le", sound, layout=name)
    sink = repaint(clip, tmp_path / f"out.{container}")
    assert heard(tmp_path / f"out.{container}")[0] == layout
    assert note in sink.notes[0]
    assert "mixed" in note or "mixed" not in sink.notes[0]
    assert sink.damage == []


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_converted_sound_keeps_gaps_and_cuts_overlaps(make_clip: Clip, tmp_path: Path, container: str) -> None:
    # a tone up to 1 s, nothing up to 2 s, another up to 3 s, and the last half second of it again
    parts = [tone(440, 1), tone(880, 1, first=96_000), tone(880, 0.5, first=120_000), tone(440, 0.5, first=144_000)]
    sound = [packet for part in parts for packet in encoded("pcm_s16le", part)[1]]
    sound.sort(key=lambda packet: packet.pts)
    clip = with_sound(make_clip(ticks=range(35)), "sound.mkv", "pcm_s16le", sound)
    sink = repaint(clip, tmp_path / f"out.{container}")
    wave = heard(tmp_path / f"out.{container}")[1]
    assert loudness(wave, 0.1, 0.9) > 0.14
    assert loudness(wave, 1.1, 1.9) < 0.01
    assert pitch(wave, 2.1, 2.5) == pytest.approx(880, abs=5)
    assert pitch(wave, 3.05, 3.45) == pytest.approx(440, abs=5)
    assert len(wave) == pytest.approx(3.5 * 48_000, abs=3_000)
    assert sink.damage == []


@pytest.mark.parametrize(
    ("codec", "container", "written"),
    [
        ("pcm_s16le", "mp4", "aac"),
        ("pcm_s16le", "mov", "pcm_s16le"),
        ("vorbis", "mp4", "aac"),
        ("vorbis", "webm", "vorbis"),
        ("mp2", "mp4", "aac"),
        ("mp2", "mov", "aac"),
        ("ac3", "mp4", "ac3"),
        ("flac", "mp4", "flac"),
    ],
)
def test_sound_that_players_of_the_container_know(
    make_clip: Clip, tmp_path: Path, codec: str, container: str, written: str
) -> None:
    if av.__version__.startswith("14.0.") and written == "vorbis":
        pytest.skip("PyAV 14.0.0 copies no Vorbis; it is converted")
    _, sound = encoded(codec, tone(440, 1))
    clip = with_sound(make_clip(), "sound.mkv", codec, sound)
    sink = repaint(clip, tmp_path / f"out.{container}")
    with av.open(str(tmp_path / f"out.{container}")) as output:
        assert output.streams.audio[0].codec_context.name == written
    assert any("is converted to aac" in note for note in sink.notes) == (written == "aac")
    assert loudness(heard(tmp_path / f"out.{container}")[1], 0.2, 0.8) > 0.14


# subtitles


def with_subtitles(clip: Path, texts: list[tuple[int, int, str]]) -> Path:
    """The clip with these: (begin in ms, end in ms, text)."""
    path = clip.with_name("titled.mkv")
    with av.open(str(clip)) as source, av.open(str(path), "w") as output:
        copies = [output.add_stream_from_template(stream, opaque=True) for stream in source.streams]
        titles: Any = output.add_mux_stream("subrip", time_base=Fraction(1, 1000))
        for packet in source.demux():
            if packet.size:
                packet.stream = copies[packet.stream.index]
                output.mux(packet)
        for begin, end, text in texts:
            title: Any = av.Packet(len(text.encode()))
            title.update(text.encode())
            title.pts = title.dts = begin
            title.duration, title.time_base, title.stream = end - begin, Fraction(1, 1000), titles
            output.mux(title)
    return path


@needs_mux_streams
@pytest.mark.parametrize("container", ["mp4", "mov"])
def test_subtitles_that_overlap_begin_in_time(make_clip: Clip, tmp_path: Path, container: str) -> None:
    texts = [(number * 200, number * 200 + 350, f"{number}") for number in range(8)] + [(1900, 1990, "last")]
    clip = with_subtitles(make_clip("clip.mkv", ticks=range(20), sound="aac", sound_seconds=(0, 2)), texts)
    repaint(clip, tmp_path / f"out.{container}")
    with av.open(str(tmp_path / f"out.{container}")) as written:
        shown = [packet for packet in written.demux(subtitles=0) if packet.size > 2]
        milliseconds = [[round(ticks * packet.time_base * 1000) for ticks in (packet.pts, packet.duration)] for packet in shown]
    assert milliseconds == [[number * 200, 200] for number in range(7)] + [[1400, 350], [1900, 90]]
    assert [bytes(packet)[2:].decode() for packet in shown] == [text for _, _, text in texts]


@needs_mux_streams
def test_subtitles_that_begin_together_are_one(make_clip: Clip, tmp_path: Path) -> None:
    clip = with_subtitles(make_clip("clip.mkv"), [(100, 300, "<i>left</i>"), (100, 500, "right"), (700, 800, "a < b & c")])
    repaint(clip, tmp_path / "out.mp4")
    shown = [(round(time * 1000), data[2:]) for time, data in packets(tmp_path / "out.mp4", "subtitle") if len(data) > 2]
    assert shown == [(100, b"left\nright"), (700, b"a < b & c")]
    repaint(clip, tmp_path / "out.webm")
    assert [data for _, data in packets(tmp_path / "out.webm", "subtitle")] == [b"left", b"right", b"a &lt; b &amp; c"]


# tags, chapters, covers, attached files


TAGS = {"title": "Holiday", "artist": "Me", "comment": "Rome", "date": "2023-07-01"}
CREATED = "2023-07-01T10:11:12.000000Z"
PLACE = "+41.9000+012.5000/"


def described(path: Path, clip: Path, *, tags: dict[str, str], streams: dict[int, dict[str, str]], flags: int = 0) -> Path:
    """The clip with tags, tags of its streams, two chapters of 1 s where PyAV can, and flags of its last stream."""
    if av.__version__.startswith("14.0."):
        pytest.skip("PyAV 14.0 copies no streams of pictures")
    with av.open(str(clip)) as source, av.open(str(path), "w") as output:
        copies: list[Any] = [output.add_stream_from_template(stream, opaque=True) for stream in source.streams]
        for index, stream_tags in streams.items():
            copies[index].metadata.update(stream_tags)
        output.metadata.update(tags)
        if flags:
            copies[-1].disposition = flags
        if hasattr(output, "set_chapters"):
            output.set_chapters(
                [
                    {"id": 1, "start": 0, "end": 1000, "time_base": Fraction(1, 1000), "metadata": {"title": "One"}},
                    {"id": 2, "start": 1000, "end": 2000, "time_base": Fraction(1, 1000), "metadata": {"title": "Two"}},
                ]
            )
        for packet in source.demux():
            if packet.size:
                packet.stream = copies[packet.stream.index]
                output.mux(packet)
    return path


def chapters(path: Path) -> list[tuple[float, float, str]]:
    with av.open(str(path)) as container:
        return [
            (
                float(chapter["start"] * chapter["time_base"]),
                float(chapter["end"] * chapter["time_base"]),
                chapter["metadata"]["title"],
            )
            for chapter in container.chapters()
        ]


def lowered(tags: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in tags.items()}


@pytest.mark.parametrize("sound", [None, "aac"])
@pytest.mark.parametrize("source", ["mp4", "mkv"])
@pytest.mark.parametrize("container", ["mkv", "mp4", "mov", "webm"])
def test_tags_are_kept(make_clip: Clip, tmp_path: Path, source: str, container: str, sound: str | None) -> None:
    tags = TAGS | {"creation_time": CREATED, "location": PLACE, "encoder": "Camera 1"}
    clip = described(tmp_path / f"tagged.{source}", make_clip(ticks=range(20), sound=sound), tags=tags, streams={})
    sink = repaint(clip, tmp_path / f"out.{container}")
    with av.open(str(tmp_path / f"out.{container}")) as written:
        found = lowered(written.metadata)
        assert found | TAGS == found
        assert found["creation_time"] == CREATED
        assert found["location"].startswith("+41.9000+012.5000/")
        assert found["encoder"].startswith("Lavf")
        assert container in ("mp4", "mov") or "major_brand" not in found
    assert not any("tag" in note or "data stream" in note for note in sink.notes) or not hasattr(written, "set_chapters")


def test_tags_that_the_output_cannot_hold_are_said(make_clip: Clip, tmp_path: Path) -> None:
    clip = described(tmp_path / "tagged.mkv", make_clip(), tags={"title": "Holiday", "MOOD": "calm"}, streams={})
    assert any("the output cannot hold 1 tag of the input: MOOD" in note for note in repaint(clip, tmp_path / "out.mp4").notes)
    repaint(clip, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as written:
        assert written.metadata["MOOD"] == "calm"


@needs_chapters
@pytest.mark.parametrize("source", ["mp4", "mkv"])
@pytest.mark.parametrize("container", ["mkv", "mp4", "mov", "webm"])
def test_chapters_are_kept(make_clip: Clip, tmp_path: Path, source: str, container: str) -> None:
    clip = described(tmp_path / f"tagged.{source}", make_clip(ticks=range(20)), tags={}, streams={})
    sink = repaint(clip, tmp_path / f"out.{container}")
    assert chapters(tmp_path / f"out.{container}") == [(0, 1, "One"), (1, 2, "Two")]
    assert sink.notes == []


@needs_chapters
@pytest.mark.parametrize("container", ["mkv", "mp4"])
def test_chapters_are_cut_with_the_picture(make_clip: Clip, tmp_path: Path, container: str) -> None:
    clip = described(tmp_path / "tagged.mkv", make_clip(ticks=range(20)), tags={}, streams={})
    repaint(clip, tmp_path / f"out.{container}", start=Fraction(1, 2), duration=Fraction(1))
    assert chapters(tmp_path / f"out.{container}") == [(0, 0.5, "One"), (0.5, 1, "Two")]
    repaint(clip, tmp_path / f"late.{container}", start=Fraction(12, 10))
    assert chapters(tmp_path / f"late.{container}") == [(0, pytest.approx(0.8), "Two")]


@pytest.mark.skipif(not hasattr(av.stream.Stream, "disposition"), reason="that comes with PyAV 14.1")
@pytest.mark.parametrize("source", ["mp4", "mkv"])
@pytest.mark.parametrize("container", ["mkv", "mp4", "mov"])
def test_titles_languages_and_flags_of_tracks(make_clip: Clip, tmp_path: Path, source: str, container: str) -> None:
    titles = {0: {"title": "Beach", "language": "ita"}, 1: {"title": "Comments", "language": "deu"}}
    clip = described(tmp_path / f"tagged.{source}", make_clip(sound="aac"), tags={}, streams=titles, flags=0x8)  # a comment
    sink = repaint(clip, tmp_path / f"out.{container}")
    with av.open(str(tmp_path / f"out.{container}")) as written:
        video, audio = written.streams.video[0], written.streams.audio[0]
        if int(av.__version__.partition(".")[0]) >= 18 or source == container == "mkv":  # before, FFmpeg reads no titles from MP4
            names = [stream.metadata.get("title") or stream.metadata.get("name") for stream in (video, audio)]
            assert names == ["Beach", "Comments"]
        assert video.language == "ita"
        assert audio.language == ("ger" if container == "mov" else "deu")
        assert bool(audio.disposition.value & 0x8) == (container != "mov")
    assert ("flags of audio stream 1 are not kept: comment" in sink.notes) == (container == "mov")


def picture_file(codec: str) -> bytes:
    """A picture of one colour."""
    encoder: Any = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.time_base = 16, 16, Fraction(1, 25)
    encoder.pix_fmt = "rgb24" if codec == "png" else "yuvj420p"
    frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 200, np.uint8), format="rgb24").reformat(format=encoder.pix_fmt)
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def covers(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        wanted = {stream.index for stream in container.streams.video if stream.disposition.value & 0x400}
        return [bytes(packet) for packet in container.demux() if packet.stream.index in wanted and packet.size]


def with_cover(clip: Path, name: str, codec: str) -> tuple[Path, bytes]:
    path, cover = clip.with_name(name), picture_file(codec)
    with av.open(str(clip)) as source, av.open(str(path), "w") as output:
        copies = [output.add_stream_from_template(stream, opaque=True) for stream in source.streams]
        if path.suffix == ".mkv":
            output.add_attachment("cover.jpg", {"png": "image/png", "mjpeg": "image/jpeg"}[codec], cover)
            output.add_attachment("brush.ttf", "font/ttf", b"a font")
        else:
            attached: Any = output.add_mux_stream(codec, width=16, height=16)
            attached.disposition = 0x400
            packet: Any = av.Packet(len(cover))
            packet.update(cover)
            packet.pts = packet.dts = 0
            packet.stream = attached
            output.mux(packet)
        for packet in source.demux():
            if packet.size:
                packet.stream = copies[packet.stream.index]
                output.mux(packet)
    return path, cover


@needs_mux_streams
@pytest.mark.parametrize("codec", ["mjpeg", "png"])
@pytest.mark.parametrize("source", ["mp4", "mkv"])
@pytest.mark.parametrize("container", ["mkv", "mp4", "mov", "webm"])
def test_covers_and_attached_files(make_clip: Clip, tmp_path: Path, source: str, container: str, codec: str) -> None:
    clip, cover = with_cover(make_clip(sound="aac"), f"covered.{source}", codec)
    output = tmp_path / f"out.{container}"
    notes = " ".join(repaint(clip, output, start=Fraction(3, 10)).notes)
    kept = container in ("mkv", "mp4")
    assert covers(output) == ([cover] if kept else [])
    assert ("the cover in stream" in notes) != kept
    with av.open(str(output)) as written:
        files: list[Any] = [stream for stream in written.streams if stream.type == "attachment"]
        assert [(file.name, file.mimetype, file.data) for file in files] == (
            [("brush.ttf", "font/ttf", b"a font")] if source == container == "mkv" else []
        )
    assert ("the attached file brush.ttf is left out" in notes) == (source == "mkv" and container != "mkv")


def test_a_timecode_track_is_said(make_clip: Clip, tmp_path: Path) -> None:
    clip = make_clip("clip.mov", metadata={"timecode": "01:00:00:00"})
    assert repaint(clip, tmp_path / "out.mov").notes == ["data stream 1 (TimeCodeHandler) cannot be kept"]
