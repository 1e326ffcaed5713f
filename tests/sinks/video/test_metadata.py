"""Tags, chapters, covers and attached files of the input in the output, and streams that cannot be kept."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import Clip, repaint

needs_mux_streams = pytest.mark.skipif(
    not hasattr(av.container.OutputContainer, "add_mux_stream"), reason="this PyAV cannot write such streams; it comes with 17"
)
needs_chapters = pytest.mark.skipif(
    not hasattr(av.container.OutputContainer, "set_chapters"), reason="this PyAV cannot write chapters; it comes with 16"
)

TAGS = {"title": "Holiday", "artist": "Me", "comment": "Rome", "date": "2023-07-01"}
CREATED = "2023-07-01T10:11:12.000000Z"
PLACE = "+41.9000+012.5000/"


def described(path: Path, clip: Path, *, tags: dict[str, str], streams: dict[int, dict[str, str]], flags: int = 0) -> Path:
    """The clip with tags, tags of streams, disposition flags of its last stream and, if PyAV can, two chapters of 1 s."""
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
    """(Start in seconds, end in seconds, title)."""
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


def test_tags_that_the_output_cannot_hold_are_reported(make_clip: Clip, tmp_path: Path) -> None:
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
def test_chapters_are_cut_with_the_video(make_clip: Clip, tmp_path: Path, container: str) -> None:
    clip = described(tmp_path / "tagged.mkv", make_clip(ticks=range(20)), tags={}, streams={})
    repaint(clip, tmp_path / f"out.{container}", start=Fraction(1, 2), duration=Fraction(1))
    assert chapters(tmp_path / f"out.{container}") == [(0, 0.5, "One"), (0.5, 1, "Two")]
    repaint(clip, tmp_path / f"late.{container}", start=Fraction(12, 10))
    assert chapters(tmp_path / f"late.{container}") == [(0, pytest.approx(0.8), "Two")]


@pytest.mark.skipif(not hasattr(av.stream.Stream, "disposition"), reason="that comes with PyAV 14.1")
@pytest.mark.parametrize("source", ["mp4", "mkv"])
@pytest.mark.parametrize("container", ["mkv", "mp4", "mov"])
def test_titles_languages_and_flags_of_tracks_are_kept(make_clip: Clip, tmp_path: Path, source: str, container: str) -> None:
    titles = {0: {"title": "Beach", "language": "ita"}, 1: {"title": "Comments", "language": "deu"}}
    comment = 0x8  # AV_DISPOSITION_COMMENT
    clip = described(tmp_path / f"tagged.{source}", make_clip(sound="aac"), tags={}, streams=titles, flags=comment)
    sink = repaint(clip, tmp_path / f"out.{container}")
    with av.open(str(tmp_path / f"out.{container}")) as written:
        video, audio = written.streams.video[0], written.streams.audio[0]
        if int(av.__version__.partition(".")[0]) >= 18 or source == container == "mkv":  # before, FFmpeg read no titles from MP4
            names = [stream.metadata.get("title") or stream.metadata.get("name") for stream in (video, audio)]
            assert names == ["Beach", "Comments"]
        assert video.language == "ita"
        assert audio.language == ("ger" if container == "mov" else "deu")
        assert bool(audio.disposition.value & 0x8) == (container != "mov")
    assert ("flags of audio stream 1 are not kept: comment" in sink.notes) == (container == "mov")


def picture_file(codec: str) -> bytes:
    """A picture file of one colour."""
    encoder: Any = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.time_base = 16, 16, Fraction(1, 25)
    encoder.pix_fmt = "rgb24" if codec == "png" else "yuvj420p"
    frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 200, np.uint8), format="rgb24").reformat(format=encoder.pix_fmt)
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def covers(path: Path) -> list[bytes]:
    """The covers that are stored as video streams."""
    with av.open(str(path)) as container:
        wanted = {stream.index for stream in container.streams.video if stream.disposition.value & 0x400}
        return [bytes(packet) for packet in container.demux() if packet.stream.index in wanted and packet.size]


def with_cover(clip: Path, name: str, codec: str) -> tuple[Path, bytes]:
    """The clip with a cover and, in Matroska, an attached font; and the cover's data."""
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


def test_timecode_track_is_reported(make_clip: Clip, tmp_path: Path) -> None:
    clip = make_clip("clip.mov", metadata={"timecode": "01:00:00:00"})
    assert repaint(clip, tmp_path / "out.mov").notes == ["data stream 1 (TimeCodeHandler) cannot be kept"]
