"""Subtitles of the input in the output: copied or converted."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from clips import Clip, packets, repaint

needs_mux_streams = pytest.mark.skipif(
    not hasattr(av.container.OutputContainer, "add_mux_stream"), reason="this PyAV cannot write such streams; it comes with 17"
)


def with_subtitles(clip: Path, codec: str, texts: list[tuple[int, int, bytes]]) -> Path:
    """A copy of the clip with French subtitles: (begin in ms, end in ms, data)."""
    path = clip.with_name(f"titled{clip.suffix}")
    with av.open(str(clip)) as source, av.open(str(path), "w") as output:
        copies = [output.add_stream_from_template(stream, opaque=True) for stream in source.streams]
        titles = output.add_mux_stream(codec, time_base=Fraction(1, 1000))
        titles.metadata["language"] = "fra"
        for packet in source.demux():
            if packet.size:
                packet.stream = copies[packet.stream.index]
                output.mux(packet)
        for begin, end, data in texts:
            title: Any = av.Packet(len(data))
            title.update(data)
            title.pts = title.dts = begin
            title.duration, title.time_base, title.stream = end - begin, Fraction(1, 1000), titles
            output.mux(title)
    return path


def each_half_second(data: bytes) -> list[tuple[int, int, bytes]]:
    """Three subtitles of 0.4 s."""
    return [(begin, begin + 400, data) for begin in (0, 500, 1000)]


def mov_text(text: str) -> bytes:
    return len(text.encode()).to_bytes(2, "big") + text.encode()


@needs_mux_streams
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
    clip = with_subtitles(make_clip(f"clip.{source}", ticks=range(20)), codec, each_half_second(first))
    output = tmp_path / f"out.{target}"
    sink = repaint(clip, output)
    shown = [(time, data) for time, data in packets(output, "subtitle") if len(data) > 2]  # MP4 fills the gaps with empty ones
    assert [data for _, data in shown] == [expected] * 3
    assert [time for time, _ in shown] == [0, Fraction(1, 2), 1]
    assert any("converted" in note for note in sink.notes) == (source != target)
    with av.open(str(output)) as container:
        assert container.streams.subtitles[0].language == "fra"


@needs_mux_streams
def test_subtitles_with_audio_that_begins_before_0(make_clip: Clip, tmp_path: Path) -> None:
    clip = make_clip(ticks=range(20), sound="libopus", sound_seconds=(0, 2))
    clip = with_subtitles(clip, "mov_text", each_half_second(mov_text("vague")))
    repaint(clip, tmp_path / "out.mp4")  # with a subtitle track in the fragments FFmpeg ended the process
    assert [data for _, data in packets(tmp_path / "out.mp4", "audio")] == [data for _, data in packets(clip, "audio")]
    assert mov_text("vague") in [data for _, data in packets(tmp_path / "out.mp4", "subtitle")]


@needs_mux_streams
@pytest.mark.parametrize("container", ["mp4", "mov"])
def test_overlapping_subtitles_begin_in_time(make_clip: Clip, tmp_path: Path, container: str) -> None:
    texts = [(number * 200, number * 200 + 350, b"%d" % number) for number in range(8)] + [(1900, 1990, b"last")]
    clip = with_subtitles(make_clip("clip.mkv", ticks=range(20), sound="aac", sound_seconds=(0, 2)), "subrip", texts)
    repaint(clip, tmp_path / f"out.{container}")
    with av.open(str(tmp_path / f"out.{container}")) as written:
        shown = [packet for packet in written.demux(subtitles=0) if packet.size > 2]
        milliseconds = [[round(ticks * packet.time_base * 1000) for ticks in (packet.pts, packet.duration)] for packet in shown]
    assert milliseconds == [[number * 200, 200] for number in range(7)] + [[1400, 350], [1900, 90]]
    assert [bytes(packet)[2:] for packet in shown] == [text for _, _, text in texts]


@needs_mux_streams
def test_subtitles_that_begin_together_are_joined_in_mp4(make_clip: Clip, tmp_path: Path) -> None:
    texts = [(100, 300, b"<i>left</i>"), (100, 500, b"right"), (700, 800, b"a < b & c")]
    clip = with_subtitles(make_clip("clip.mkv"), "subrip", texts)
    repaint(clip, tmp_path / "out.mp4")
    shown = [(round(time * 1000), data[2:]) for time, data in packets(tmp_path / "out.mp4", "subtitle") if len(data) > 2]
    assert shown == [(100, b"left\nright"), (700, b"a < b & c")]
    repaint(clip, tmp_path / "out.webm")
    assert [data for _, data in packets(tmp_path / "out.webm", "subtitle")] == [b"left", b"right", b"a &lt; b &amp; c"]
