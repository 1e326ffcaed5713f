"""Convert decoded frames to upright RGB images of one size, or to NV12 for a GPU."""

import struct
from collections.abc import Callable
from fractions import Fraction
from typing import Any, cast

import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from livestyle.frame import Image
from livestyle.media import matrix_of_untagged, scale_graph
from livestyle.sources.video.tone_mapping import ToneMapper

MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
"""Number of the YCbCr matrix (matrix coefficients) in ISO 23091-2 -> its number in swscale."""

EXACT_BILINEAR = 0x2 | 0x40000 | 0x2000
"""swscale's bilinear + accurate_rnd + full_chroma_int. Without the last two, swscale's shortcuts darken every frame by a grey
level or more. Numbers, because PyAV has names for these flags only from version 17 on."""

EXACT_BICUBIC = 0x4 | 0x40000 | 0x2000
"""swscale's bicubic + accurate_rnd + full_chroma_int, for 16-bit output: there FFmpeg 8's bilinear turns 4:2:0 frames that keep
their height into noise."""

HDR = {16: "PQ", 18: "HLG"}
"""Number of the transfer characteristics in ISO 23091-2 -> name."""


class UprightFrames:
    """Rotates, scales and converts frames. The first frame of the stream decides the rotation and the size of the images.

    first: that frame. size: (width, height) of the upright frame -> (width, height) of the images; it may raise to refuse the
    file. pixel_aspect: width / height of a coded pixel. color_trc: the stream's transfer characteristics, as in ISO 23091-2.
    time_base: seconds per tick of the frames' times.
    """

    def __init__(
        self,
        first: VideoFrame,
        size: Callable[[int, int], tuple[int, int]],
        *,
        pixel_aspect: Fraction,
        color_trc: int,
        time_base: Fraction,
    ) -> None:
        self.notes: list[str] = []
        self.resized = 0
        """Number of frames so far that differed in size from the first one."""
        self._turn = _turn(first)
        transposed = self._turn[0]
        self._coded_size = first.width, first.height
        self._untagged_matrix = matrix_of_untagged(first.width, first.height)
        self.pixel_aspect = 1 / pixel_aspect if transposed else pixel_aspect
        """Width / height of a pixel of the images."""
        self.width, self.height = size(first.height, first.width) if transposed else size(first.width, first.height)
        self._scaled_size = (self.height, self.width) if transposed else (self.width, self.height)
        self._tone_mapper = None
        if transfer := HDR.get(color_trc):
            self._tone_mapper = ToneMapper(hlg=transfer == "HLG")
            self.notes.append(f"high dynamic range ({transfer}) is tone-mapped to the standard range")
        if _has_alpha(first):
            self.notes.append("transparency is composited over black")
        self._time_base = time_base
        self._reformatter = VideoReformatter()
        self._filter: tuple[tuple[str, int, int, str], Graph] | None = None

    def image(self, frame: VideoFrame, nv12: bool) -> Image:
        """Convert a frame: (H, W, 3) uint8 RGB; with nv12, if `fits_nv12(frame)`, (H + H/2, W) uint8 NV12."""
        if nv12 and self.fits_nv12(frame):
            return cast(Image, self._reformatter.reformat(frame, format="nv12").to_ndarray())
        return self._to_rgb(frame)

    def fits_nv12(self, frame: VideoFrame) -> bool:
        """Whether NV12 loses nothing: 8 bits, 4:2:0, limited range, the usual matrix for this size; not rotated or scaled."""
        return (
            frame.format.name in ("yuv420p", "nv12")
            and frame.color_range != ColorRange.JPEG
            and MATRICES.get(frame.colorspace, self._untagged_matrix) == self._untagged_matrix
            and self._tone_mapper is None
            and not any(self._turn)
            and (frame.width, frame.height) == self._coded_size == self._scaled_size
            and frame.width % 2 == frame.height % 2 == 0
        )

    def _to_rgb(self, frame: VideoFrame) -> Image:
        """Convert a frame to (H, W, 3) uint8 RGB: upright, scaled, composited over black."""
        if (frame.width, frame.height) != self._coded_size:
            self.resized += 1
        alpha = _has_alpha(frame)
        matrix = MATRICES.get(frame.colorspace, self._untagged_matrix)
        full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj") or frame.format.is_rgb
        pix_fmt = "rgb48le" if self._tone_mapper else "rgba" if alpha else "rgb24"
        if "BT2020" in Colorspace.__members__:
            reformatted = self._reformatter.reformat(
                frame,
                *self._scaled_size,
                format=pix_fmt,
                src_colorspace=None if frame.format.is_rgb else matrix,
                dst_colorspace=None if frame.format.is_rgb else matrix,
                src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
                dst_color_range=ColorRange.JPEG,
                interpolation=EXACT_BICUBIC if self._tone_mapper else EXACT_BILINEAR,
            )
        else:  # PyAV's reformatter has no BT.2020 before version 18, and takes full range for limited before 17
            reformatted = self._filtered(frame, None if frame.format.is_rgb else matrix, full, pix_fmt)
        converted = reformatted.to_ndarray()
        if self._tone_mapper:
            image = self._tone_mapper(cast(NDArray[np.uint16], converted))
        elif alpha:
            weighted = converted[..., :3].astype(np.uint16) * converted[..., 3:]
            image = ((weighted + 127) // 255).astype(np.uint8)
        else:
            image = cast(Image, converted)
        transposed, flip_rows, flip_columns = self._turn
        if transposed:
            image = image.transpose(1, 0, 2)
        if flip_rows:
            image = image[::-1]
        if flip_columns:
            image = image[:, ::-1]
        return np.ascontiguousarray(image)

    def _filtered(self, frame: VideoFrame, matrix: int | None, full: bool, pix_fmt: str) -> VideoFrame:
        """Scale and convert like the reformatter, but always with H.264's chroma location: at the left of each pair of pixels."""
        layout, (width, height) = frame.format, self._scaled_size
        # bicubic: FFmpeg 7's bilinear shifts chroma by half a row
        options = f"{width}:{height}:interl=-1:flags=bicubic+accurate_rnd+full_chroma_int:in_chroma_loc=left:"
        options += f"in_range={'full' if full else 'limited'}" + ("" if matrix is None else f":in_color_matrix={int(matrix)}")
        made_for = (layout.name, layout.width, layout.height, options)
        if self._filter is None or self._filter[0] != made_for:
            self._filter = made_for, scale_graph(layout, self._time_base, options, pix_fmt)
        self._filter[1].push(frame)
        return cast(VideoFrame, self._filter[1].pull())


def _has_alpha(frame: VideoFrame) -> bool:
    return frame.format.has_palette or any(component.is_alpha for component in frame.format.components)


def _turn(frame: VideoFrame) -> tuple[bool, bool, bool]:
    """Whether to transpose the frame, to flip its rows, and to flip its columns, in this order, to make it upright."""
    side_data = cast(dict[Type, Any], frame.side_data).get(Type.DISPLAYMATRIX)
    if side_data is None:
        return False, False, False
    # the point (x, y) of the frame is shown at (a x + c y, b x + d y); y points down
    a, b, _, c, d, *_ = struct.unpack("9i", bytes(side_data))
    if abs(b) > abs(a):
        return True, b < 0, c < 0
    return False, d < 0, a < 0
