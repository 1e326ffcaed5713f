"""Frames are upright, in the right colours, scaled, and composited over black."""

from fractions import Fraction

import numpy as np
import pytest
from av.video.frame import VideoFrame
from clips import Clip, flat, read

from livestyle.frame import Frame


def color(frame: Frame) -> list[int]:
    """The colour of a frame that has only one."""
    assert frame.image.std(axis=(0, 1)).max() < 1
    return [int(value) for value in frame.image[24, 32]]


# counter-clockwise rotation -> the corner of the upright frame at which the coded frame's top left one is shown
@pytest.mark.parametrize(
    ("rotation", "flipped", "corner"),
    [
        (0, False, (0, 0)),
        (90, False, (-1, 0)),
        (180, False, (-1, -1)),
        (-90, False, (0, -1)),
        (0, True, (0, -1)),
        (90, True, (-1, -1)),
    ],
)
def test_frames_are_upright(make_clip: Clip, rotation: int, flipped: bool, corner: tuple[int, int]) -> None:
    def one_white_corner(_: int) -> VideoFrame:
        image = np.zeros((48, 64, 3), np.uint8)
        image[:16, :16] = 255
        return VideoFrame.from_ndarray(image).reformat(format="yuv420p")

    path = make_clip(images=one_white_corner, rotation=rotation, flipped=flipped, aspect=Fraction(4, 3))
    source, frames = read(path)
    turned = rotation % 180 != 0
    assert (source.info.width, source.info.height) == ((48, 64) if turned else (64, 48))
    assert source.info.pixel_aspect == (Fraction(3, 4) if turned else Fraction(4, 3))
    corners = {(row, column): int(frames[0].image[row, column, 0]) for row in (0, -1) for column in (0, -1)}
    assert max(corners, key=lambda where: corners[where]) == corner
    assert sorted(corners.values())[-2] < 40


# Y'CbCr (100, 90, 180) to R'G'B' by the coefficients of each standard
@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"colorspace": 1, "color_range": 1}, (191, 78, 18)),
        ({"colorspace": 6, "color_range": 1}, (181, 70, 21)),
        ({"colorspace": 9, "color_range": 1}, (185, 71, 16)),
        ({"colorspace": 1, "color_range": 2}, (182, 83, 29)),
        ({}, (181, 70, 21)),  # untagged and small: BT.601
    ],
)
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p", "yuv420p10le"])
def test_colors_follow_the_tags(make_clip: Clip, tags: dict[str, int], expected: tuple[int, ...], pix_fmt: str) -> None:
    scale = 4 if pix_fmt.endswith("10le") else 1
    images = flat(100 * scale, 90 * scale, 180 * scale, pix_fmt=pix_fmt)
    path = make_clip(images=images, pix_fmt=pix_fmt, options={"crf": "1"}, **tags)
    assert np.abs(np.subtract(color(read(path)[1][0]), expected)).max() <= 2


@pytest.mark.parametrize("matrix", ["BT.601", "BT.709"])
def test_untagged_frames_have_the_usual_matrix_for_their_size(make_clip: Clip, matrix: str) -> None:
    size = (64, 48) if matrix == "BT.601" else (64, 720)

    def red(_: int) -> VideoFrame:
        frame = VideoFrame(*size, "yuv420p")
        for plane, value in zip(frame.planes, (81, 90, 240) if matrix == "BT.601" else (63, 102, 240), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        return frame

    image = read(make_clip(size=size, images=red, ticks=[0]))[1][0].image
    assert np.abs(image[20, 20].astype(int) - (255, 0, 0)).max() <= 3


# BT.2408: reference white, 203 cd/m², is 58 % in PQ and 75 % in HLG; it becomes 0.6 + 0.4 (1 + 1 / 10.8²) / 2 = 0.802.
# Light up to 60 % of it, 52.5 % in PQ, is unchanged; 1000 cd/m², 75 % in PQ and 100 % in HLG, is white.
@pytest.mark.parametrize(
    ("transfer", "signal", "light"),
    [(16, 0.525, 0.6), (16, 0.0, 0), (16, 0.7518, 1), (16, 0.5807, 0.802), (18, 0.75, 0.802), (18, 1.0, 1), (18, 0.0, 0)],
)
def test_hdr_is_tone_mapped(make_clip: Clip, transfer: int, signal: float, light: float) -> None:
    images = flat(round(64 + 876 * signal), 512, 512, pix_fmt="yuv420p10le")
    tags = {"colorspace": 9, "color_range": 1, "color_primaries": 9, "color_trc": transfer}
    source, frames = read(make_clip(images=images, pix_fmt="yuv420p10le", options={"crf": "1"}, **tags))
    assert any("tone-mapped" in note for note in source.notes)
    assert color(frames[0]) == pytest.approx([round(255 * light ** (1 / 2.4))] * 3, abs=4)


def test_tone_mapping_keeps_gradients_smooth(make_clip: Clip) -> None:
    def bluer_downwards(_: int) -> VideoFrame:
        frame = flat(500, 512, 512, pix_fmt="yuv420p10le")(0)
        rows = np.repeat(np.arange(416, 608, 8, dtype=np.uint16), frame.planes[1].line_size // 2)
        frame.planes[1].update(rows.tobytes())
        return frame

    tags = {"colorspace": 9, "color_range": 1, "color_primaries": 9, "color_trc": 18}
    image = read(make_clip(images=bluer_downwards, pix_fmt="yuv420p10le", options={"crf": "1"}, **tags))[1][0].image.astype(int)
    assert np.ptp(image, axis=1).max() <= 4  # each row has one colour
    steps = np.diff(image[:, 32, 2])
    assert -2 <= steps.min() <= steps.max() <= 12
    assert image[-1, 32, 2] - image[0, 32, 2] > 80


def test_transparency_is_composited_over_black(make_clip: Clip) -> None:
    def half(_: int) -> VideoFrame:
        image = np.full((48, 64, 4), 200, np.uint8)
        image[:, :, 3] = 128
        return VideoFrame.from_ndarray(image, format="rgba").reformat(format="argb")

    source, frames = read(make_clip("clip.mov", codec="qtrle", pix_fmt="argb", images=half))
    assert color(frames[0]) == [100, 100, 100]
    assert any("transparency" in note for note in source.notes)


def test_alpha_of_vp9_is_decoded(make_clip: Clip) -> None:
    def clear(_: int) -> VideoFrame:
        frame = VideoFrame(64, 48, "yuva420p")
        for plane, value in zip(frame.planes, (180, 128, 128, 0), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        return frame

    path = make_clip("clip.webm", codec="libvpx-vp9", pix_fmt="yuva420p", images=clear, metadata={"alpha_mode": "1"})
    assert read(path)[1][0].image.max() <= 2


def test_frames_are_scaled_to_the_requested_size(make_clip: Clip) -> None:
    requested = []

    def size(width: int, height: int) -> tuple[int, int]:
        requested.append((width, height))
        return 24, 32

    source, frames = read(make_clip(rotation=90), size=size)
    assert requested == [(48, 64)]
    assert frames[0].image.shape == (32, 24, 3)
    assert (source.info.width, source.info.height) == (24, 32)
