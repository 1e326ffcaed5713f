"""Deinterlace frames with FFmpeg's bwdif filter."""

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from typing import cast

import av
from av.filter import Graph
from av.video.frame import VideoFrame

PLANAR = {"nv12": "yuv420p", "nv16": "yuv422p", "nv24": "yuv444p", "p010le": "yuv420p10le", "p016le": "yuv420p16le"}
"""Pixel format of a GPU decoder -> the planar format with the same samples that bwdif accepts."""


def deinterlaced(frames: Iterator[VideoFrame], time_base: Fraction) -> Iterator[VideoFrame]:
    """Deinterlace interlaced frames, one frame for each, at unchanged times. Progressive frames pass through unchanged.

    From the first interlaced frame on, every frame is delayed until the next one is decoded.
    """
    graph: Graph | None = None
    made_for: tuple[str, int, int] | None = None
    for frame in frames:
        if made_for is None and not frame.interlaced_frame:
            yield frame
            continue
        kind = frame.format.name, frame.width, frame.height
        if graph is None or kind != made_for:
            if graph is not None:
                yield from _through(graph, None)
            graph, made_for = _graph(frame, time_base), kind
        yield from _through(graph, frame)
    if graph is not None:
        yield from _through(graph, None)


def _graph(frame: VideoFrame, time_base: Fraction) -> Graph:
    graph = Graph()
    planar = PLANAR.get(frame.format.name, frame.format.name)
    chain = [
        graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=time_base),
        graph.add("format", f"pix_fmts={planar}"),
        graph.add("bwdif", "mode=send_frame:deint=interlaced"),
        graph.add("buffersink"),
    ]
    graph.link_nodes(*chain).configure()
    return graph


def _through(graph: Graph, frame: VideoFrame | None) -> Iterator[VideoFrame]:
    graph.push(frame)
    with suppress(BlockingIOError, av.EOFError):
        while True:
            deinterlaced_frame = cast(VideoFrame, graph.pull())
            if deinterlaced_frame.pts is not None:
                deinterlaced_frame.pts //= 2  # bwdif halves the time base
            yield deinterlaced_frame
