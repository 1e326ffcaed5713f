"""Whole pictures from interlaced ones, by FFmpeg's bwdif."""

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from typing import cast

import av
from av.filter import Graph
from av.video.frame import VideoFrame

PLANAR = {"nv12": "yuv420p", "nv16": "yuv422p", "nv24": "yuv444p", "p010le": "yuv420p10le", "p016le": "yuv420p16le"}
"""What bwdif takes in place of a GPU's formats; the colours stay where they are."""


def deinterlaced(pictures: Iterator[VideoFrame], time_base: Fraction) -> Iterator[VideoFrame]:
    """The pictures with the interlaced ones made whole, one for one, at their times. Progressive ones are left as they are.

    From the first interlaced picture on, each is given when the next one is known.
    """
    graph: Graph | None = None
    made_for: tuple[str, int, int] | None = None
    for picture in pictures:
        if made_for is None and not picture.interlaced_frame:
            yield picture
            continue
        kind = picture.format.name, picture.width, picture.height
        if graph is None or kind != made_for:
            if graph is not None:
                yield from _through(graph, None)
            graph, made_for = _graph(picture, time_base), kind
        yield from _through(graph, picture)
    if graph is not None:
        yield from _through(graph, None)


def _graph(picture: VideoFrame, time_base: Fraction) -> Graph:
    graph = Graph()
    planar = PLANAR.get(picture.format.name, picture.format.name)
    chain = [
        graph.add_buffer(width=picture.width, height=picture.height, format=picture.format, time_base=time_base),
        graph.add("format", f"pix_fmts={planar}"),
        graph.add("bwdif", "mode=send_frame:deint=interlaced"),
        graph.add("buffersink"),
    ]
    graph.link_nodes(*chain).configure()
    return graph


def _through(graph: Graph, picture: VideoFrame | None) -> Iterator[VideoFrame]:
    graph.push(picture)
    with suppress(BlockingIOError, av.EOFError):
        while True:
            whole = cast(VideoFrame, graph.pull())
            if whole.pts is not None:
                whole.pts //= 2  # bwdif counts in half ticks
            yield whole
