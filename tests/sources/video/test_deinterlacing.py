"""Interlaced frames are deinterlaced; their times do not change."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from clips import Clip, read

from livestyle.sources.video.deinterlacing import deinterlaced


def combs(number: int) -> VideoFrame:
    """A frame with a bright bar that moves from field to field, so that its edges show combing."""
    image = np.full((48, 64, 3), 60, np.uint8)
    for field in (0, 1):
        left = 6 * number + 3 * field
        image[field::2, left : left + 8] = 180
    return VideoFrame.from_ndarray(image).reformat(format="yuv420p")


@pytest.mark.parametrize("container", ["mpg", "mp4", "mkv", "ts"])
def test_interlaced_frames_are_deinterlaced(make_clip: Clip, container: str) -> None:
    if container == "mpg":
        codec, options = "mpeg2video", {"flags": "+ildct+ilme", "bf": "2", "qscale": "1"}
    else:
        codec, options = "libx264", {"flags": "+ildct+ilme", "x264-params": "tff=1", "crf": "1"}
    path = make_clip(f"clip.{container}", range(10), Fraction(1, 25), rate=25, codec=codec, options=options, images=combs)
    source, frames = read(path)
    assert source.notes == ["interlaced frames are deinterlaced"]
    assert source.damage == []
    assert [frame.pts_seconds for frame in frames] == [Fraction(number, 25) for number in range(10)]
    assert read(path, start_seconds=Fraction(1, 5))[0].notes == ["interlaced frames are deinterlaced"]
    source, combed = read(path, deinterlace=False)
    assert source.notes == []
    assert [frame.pts_seconds for frame in combed] == [frame.pts_seconds for frame in frames]
    steps = [
        np.abs(np.diff(frame.image[4:-4, :, 0].astype(int), axis=0)).mean() for some in (frames, combed) for frame in some[1:-1]
    ]
    assert max(steps[:8]) < min(steps[8:]) / 3


@pytest.mark.parametrize(("layout", "planar"), [("nv12", "yuv420p"), ("yuv420p", "yuv420p"), ("yuv422p10le", "yuv422p10le")])
def test_pixel_formats_of_gpu_decoders_are_deinterlaced(layout: str, planar: str) -> None:
    frames = []
    for number in range(4):
        frame = combs(number).reformat(format=layout)
        frame.pts, frame.time_base = 10 * number, Fraction(1, 250)
        frames.append(frame)
    graph = av.filter.Graph()  # setfield marks the frames as interlaced
    chain = [
        graph.add_buffer(width=64, height=48, format=frames[0].format, time_base=Fraction(1, 250)),
        graph.add("setfield", "tff"),
        graph.add("buffersink"),
    ]
    graph.link_nodes(*chain).configure()
    marked = []
    for frame in frames:
        graph.push(frame)
        marked.append(graph.pull())
    progressive = list(deinterlaced(iter(marked), Fraction(1, 250)))
    assert [frame.pts for frame in progressive] == [0, 10, 20, 30]
    assert {frame.format.name for frame in progressive} == {planar}
    assert not any(frame.interlaced_frame for frame in progressive)
