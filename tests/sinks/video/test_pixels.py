"""Encoded pixels: colours and sizes."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import read

from livestyle.frame import Frame, Image, StreamInfo
from livestyle.sinks.video.writer import VideoWriter


@pytest.mark.parametrize(("height", "matrix"), [(48, 6), (720, 1)])
def test_colors_survive_and_are_tagged(tmp_path: Path, height: int, matrix: int) -> None:
    y, x = np.mgrid[0:height, 0:64]
    image = np.stack([x * 4, y * 255 / height, 255 - x * 2 - y * 100 / height], axis=-1).astype(np.uint8)
    sink = VideoWriter(tmp_path / "out.mp4", StreamInfo(64, height, rate=Fraction(10), time_base=Fraction(1, 10)), crf=0)
    sink.write(Frame(image, Fraction(0)))
    sink.close()
    assert np.abs(read(tmp_path / "out.mp4")[1][0].image.astype(int) - image).mean() < 1
    with av.open(str(tmp_path / "out.mp4")) as container:
        tags = container.streams.video[0].codec_context
        assert (tags.colorspace, tags.color_range, tags.color_primaries, tags.color_trc) == (matrix, 1, 1, 1)


def test_odd_sizes_are_padded_where_the_pixel_format_needs_it(tmp_path: Path) -> None:
    image: Image = np.full((7, 5, 3), 60, np.uint8)
    image[:, 4] = 200
    info = StreamInfo(5, 7, rate=Fraction(10), time_base=Fraction(1, 10))
    sink = VideoWriter(tmp_path / "out.mp4", info, crf=0, pix_fmt="yuv422p")
    sink.write(Frame(image, Fraction(0)))
    sink.close()
    assert any("5x7 became 6x7" in note for note in sink.notes)
    written = read(tmp_path / "out.mp4")[1][0].image
    assert written.shape == (7, 6, 3)
    assert np.abs(written[:, 4:].astype(int) - 200).max() <= 2
    sink = VideoWriter(tmp_path / "full.mp4", info, pix_fmt="yuv444p")
    sink.write(Frame(image, Fraction(0)))
    sink.close()
    assert sink.notes == []
    assert read(tmp_path / "full.mp4")[1][0].image.shape == (7, 5, 3)
