"""Subtitles of the input in the output."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from clips import Clip, packets, repaint


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
