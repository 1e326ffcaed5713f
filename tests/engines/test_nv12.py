"""NV12 frames read from a file, painted, and written to a file, compared with RGB frames."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from livestyle.engines.nv12 import nv12_from_rgb, rgb_from_nv12
from livestyle.engines.torch_batch import paint_batch
from livestyle.frame import Frame, Image, StreamInfo
from livestyle.networks.torch_ops import to_uint8
from livestyle.sinks.video.writer import VideoWriter
from livestyle.sources.video.file import VideoFile
from livestyle.streaming.pipeline import read_all

Clip = Callable[..., Path]


def to_rgb(frame: Image) -> Image:
    assert frame.ndim == 2
    return to_uint8(rgb_from_nv12(torch.from_numpy(frame)[None]))[0].numpy()


@pytest.mark.parametrize("size", [(64, 48), (1280, 720)], ids=["BT.601", "BT.709"])
def test_nv12_to_rgb_equals_rgb_from_the_decoder(make_clip: Clip, size: tuple[int, int]) -> None:
    clip = make_clip(ticks=range(3), size=size, options={"qp": "0"})
    for one, other in zip(read_all(VideoFile(clip)), read_all(VideoFile(clip, for_gpu=True)), strict=True):
        assert one.pts_seconds == other.pts_seconds
        assert other.image.shape == (size[1] * 3 // 2, size[0])
        apart = np.abs(one.image.astype(int) - to_rgb(other.image))
        assert apart.mean() < 0.5
        assert apart.max() <= 2


def test_other_pixel_formats_and_rotated_video_stay_rgb(make_clip: Clip) -> None:
    def first(**properties: object) -> Image:
        frame = VideoFile(make_clip(f"{len(properties)}.mp4", **properties), for_gpu=True).read()
        assert frame is not None
        return frame.image

    assert first().ndim == 2
    assert first(pix_fmt="yuv444p").shape == (48, 64, 3)
    assert first(rotation=90, pix_fmt="yuv420p").shape == (64, 48, 3)
    assert first(color_range=2, pix_fmt="yuv420p", size=(64, 48)).shape == (48, 64, 3)


def test_nv12_values_by_hand() -> None:
    # RGB -> Y, U, V in BT.601, limited range
    for (red, green, blue), (y, u, v) in {
        (255, 255, 255): (235, 128, 128),
        (255, 0, 0): (81, 90, 240),
        (0, 0, 255): (41, 240, 110),
        (0, 0, 0): (16, 128, 128),
    }.items():
        picture = torch.tensor([red, green, blue]).view(1, 3, 1, 1).expand(1, 3, 4, 6) / 255
        coded = nv12_from_rgb(picture)[0]
        assert coded.shape == (6, 6)
        assert (coded[:4] == y).all()
        assert (coded[4:, 0::2] == u).all()
        assert (coded[4:, 1::2] == v).all()
        assert (rgb_from_nv12(coded[None]) - picture).abs().max() < 0.01


def test_rgb_to_nv12_and_back() -> None:
    y, x = np.mgrid[0:48, 0:64]
    smooth = np.stack([x * 4, y * 5, 255 - x - y * 2], axis=-1).astype(np.uint8)
    picture = torch.from_numpy(smooth)[None].permute(0, 3, 1, 2) / 255
    again = rgb_from_nv12(nv12_from_rgb(picture))
    assert (again - picture).abs().mean() * 255 < 1
    assert (again - picture)[..., 4:-4, 4:-4].abs().max() * 255 < 4  # not shifted: a shift by one pixel would be 2.5 on average


def test_painted_nv12_is_nv12() -> None:
    frames = torch.from_numpy(np.random.default_rng(0).integers(60, 200, (2, 36, 32), np.uint8))

    def copy(photo: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return photo.clone()

    painted = paint_batch(copy, torch.zeros(2, 1), None, frames)
    assert painted.shape == frames.shape
    assert (painted[:, :24].int() - frames[:, :24]).abs().float().mean() < 8  # random chroma is clipped
    half = paint_batch(copy, torch.zeros(2, 1), (torch.eye(3) * 0.5).expand(2, 3, 3), frames)
    assert (half.int() - painted).abs().max() <= 1


def test_video_written_from_nv12_equals_video_written_from_rgb(tmp_path: Path) -> None:
    y, x = np.mgrid[0:48, 0:64]
    image = np.stack([x * 4, y * 5, 255 - x - y * 2], axis=-1).astype(np.uint8)
    coded = nv12_from_rgb(torch.from_numpy(image)[None].permute(0, 3, 1, 2) / 255)[0].numpy()
    shown = []
    for name, picture in (("rgb.mp4", image), ("nv12.mp4", coded)):
        writer = VideoWriter(tmp_path / name, StreamInfo(64, 48, Fraction(25)), crf=0)
        for number in range(3):
            writer.write(Frame(picture, Fraction(number, 25)))
        writer.close()
        shown.append([frame.image.astype(int) for frame in read_all(VideoFile(tmp_path / name))])
    assert np.abs(np.array(shown[0]) - shown[1]).mean() < 0.5
    assert np.abs(np.array(shown[1]) - image).mean() < 1.5


def test_without_a_gpu_the_cpu_decodes_and_encodes_with_a_note(make_clip: Clip, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    source = VideoFile(make_clip(), for_gpu=True)
    assert source.notes == ["decoded on the CPU: the GPU has no decoder for it"]
    writer = VideoWriter(tmp_path / "out.mp4", source.info, on_gpu=True)
    for frame in read_all(source):
        writer.write(frame)
    writer.close()
    assert writer.notes == ["encoded by libx264"]
    assert len(list(read_all(VideoFile(tmp_path / "out.mp4")))) == 10
