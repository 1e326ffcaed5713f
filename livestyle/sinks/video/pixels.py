"""Converts frames to the pixel format of the encoder."""

from fractions import Fraction
from typing import cast

import numpy as np
from av.filter import Graph
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace

from livestyle.errors import OutputError
from livestyle.frame import Frame, StreamInfo
from livestyle.media import matrix_of_untagged, scale_graph


class YuvConverter:
    """Converts RGB and NV12 frames to limited-range YCbCr in one pixel format.

    Where the pixel format needs an even width or height, the last column or row is repeated. Raises OutputError if FFmpeg
    has no such pixel format.

    pix_fmt: FFmpeg's name of the pixel format. time_base: seconds per tick.
    """

    def __init__(self, pix_fmt: str, info: StreamInfo, time_base: Fraction) -> None:
        self.layout = _layout(pix_fmt, info)
        """Pixel format, and the width and height after padding."""
        self.matrix = matrix_of_untagged(self.layout.width, self.layout.height)
        """The YCbCr matrix."""
        self._padding = (self.layout.height - info.height, self.layout.width - info.width)
        self._time_base = time_base
        self._graph = _rgb_to_yuv(self.layout, self.matrix, time_base)

    def __call__(self, frame: Frame, ticks: int) -> VideoFrame:
        """The frame in the encoded pixel format, with `ticks` as its presentation time."""
        if frame.image.ndim == 2:
            nv12 = VideoFrame.from_ndarray(frame.image, format="nv12")
            nv12.pts, nv12.time_base = ticks, self._time_base
            return nv12.reformat(format=self.layout.name)
        image = frame.image
        if any(self._padding):
            rows, columns = self._padding
            image = np.pad(image, ((0, rows), (0, columns), (0, 0)), mode="edge")
        rgb = VideoFrame.from_numpy_buffer(np.ascontiguousarray(image), format="rgb24")
        rgb.pts, rgb.time_base = ticks, self._time_base
        self._graph.push(rgb)
        return cast(VideoFrame, self._graph.pull())


def _layout(pix_fmt: str, info: StreamInfo) -> VideoFormat:
    try:
        two_by_two = VideoFormat(pix_fmt, 2, 2)
    except ValueError:
        raise OutputError(f"there is no pixel format {pix_fmt}; try yuv420p or yuv444p") from None
    # where two pixels share a chroma sample the size must be even
    right = info.width % 2 if two_by_two.chroma_width(2) == 1 else 0
    below = info.height % 2 if two_by_two.chroma_height(2) == 1 else 0
    return VideoFormat(pix_fmt, info.width + right, info.height + below)


def _rgb_to_yuv(layout: VideoFormat, matrix: Colorspace, time_base: Fraction) -> Graph:
    # chroma samples lie beside the left one of two pixels, where decoders expect them
    options = "flags=bilinear+full_chroma_inp:in_range=full:out_range=limited:out_chroma_loc=left:"
    options += f"out_color_matrix={'bt709' if matrix == Colorspace.ITU709 else 'bt601'}"
    return scale_graph(VideoFormat("rgb24", layout.width, layout.height), time_base, options, layout.name)
