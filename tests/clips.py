"""Helpers that read, copy and inspect video files in tests. The fixture `make_clip` in conftest.py creates such files."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame

from livestyle.frame import Frame
from livestyle.sinks.video.writer import VideoWriter
from livestyle.sources.video.file import VideoFile

Clip = Callable[..., Path]


def read(path: Path, **options: Any) -> tuple[VideoFile, list[Frame]]:
    """Read a video to its end. Returns the closed source and all frames. options: of VideoFile."""
    source = VideoFile(path, **options)
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    source.close()
    return source, frames


def times(path: Path) -> list[Fraction]:
    """Presentation times of all frames of a video, in seconds."""
    return [frame.pts_seconds for frame in read(path)[1]]


def repaint(path: Path, target: Path, start: Fraction | int = 0, duration: Fraction | None = None, **options: Any) -> VideoWriter:
    """Copy all frames, with audio and subtitles, as the video command does with a network that returns its input.

    options: of VideoWriter. Returns the closed writer.
    """
    source = VideoFile(path, start_seconds=start, duration_seconds=duration)
    sink = VideoWriter(target, source.info, sound_from=path, duration_seconds=duration, **options)
    while (frame := source.read()) is not None:
        sink.write(frame)
    source.close()
    sink.close()
    return sink


def packets(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    """Packets of all streams of a type ("video", "audio" or "subtitle"), as (presentation time in seconds, data)."""
    with av.open(f"file:{path}") as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        if not streams:
            return []
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in container.demux(streams) if packet.pts is not None]


def flat(*values: int, pix_fmt: str = "yuv420p") -> Callable[[int], VideoFrame]:
    """Return a function for `make_clip(images=...)` that makes frames of one colour. values: one per plane of `pix_fmt`."""

    def make(_: int) -> VideoFrame:
        frame = VideoFrame(64, 48, pix_fmt)
        wide = any(component.bits > 8 for component in frame.format.components)
        for plane, value in zip(frame.planes, values, strict=True):
            row = np.full(plane.line_size // (2 if wide else 1), value, np.uint16 if wide else np.uint8)
            plane.update(np.tile(row, plane.height).tobytes())
        return frame

    return make
