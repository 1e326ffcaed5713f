"""Content crops from folders, videos and drawn scenes: reproducible, and without unusable pictures."""

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from livestyle.errors import TrainingError
from livestyle.sources.video.file import VideoFile
from livestyle.train.content import drawn
from livestyle.train.content.crops import ContentCrops, collate, try_read_picture

Clip = Callable[..., Path]


def write_pictures(folder: Path, count: int = 4) -> None:
    """Write pictures with grey levels of 20, 40 ... and stripes of +-5, every second one in a subfolder."""
    for number in range(count):
        path = folder / ("deep/er" if number % 2 else ".") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = np.full((40 + number, 64, 3), number * 20 + 15, np.uint8)
        picture[:, ::2] += 10
        cv2.imwrite(str(path), picture)


def level(crop: torch.Tensor) -> int:
    return round(crop.mean().item() * 255)


def test_every_epoch_has_every_picture_once_in_a_new_order(tmp_path: Path) -> None:
    write_pictures(tmp_path, 8)
    crops = ContentCrops(tmp_path, 32, 1.0, seed=0)
    assert len(crops) == 8
    epochs = [[level(crops[epoch * 8 + i][0]) for i in range(8)] for epoch in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == [20, 40, 60, 80, 100, 120, 140, 160]
    assert epochs[0] != epochs[1]


def test_crop_depends_on_seed_and_number_only() -> None:
    first, again, other = (ContentCrops(Path("drawn:scenes"), 48, 1.6, seed) for seed in (3, 3, 4))
    backwards = [again[i][0] for i in reversed(range(6))]
    assert all(torch.equal(first[i][0], crop) for i, crop in zip(reversed(range(6)), backwards, strict=True))
    assert not torch.equal(first[0][0], other[0][0])
    assert first[0][0].shape == (3, 48, 48)
    assert 0 <= first[0][0].min() < first[0][0].max() <= 1


def test_every_epoch_has_new_crops(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), drawn.stripes())
    crops = ContentCrops(tmp_path, 32, 2.0, seed=0)
    assert not torch.equal(crops[0][0], crops[1][0])


def test_zoom_1_crops_the_centre_as_the_original_does(tmp_path: Path) -> None:
    picture = np.zeros((32, 96, 3), np.uint8)
    picture[:, 32:64] = (0, 0, 255)  # the lower half of the middle third is red, in OpenCV's BGR order
    picture[:16, 32:64] = (0, 255, 0)  # the upper half is green
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    crop, _ = ContentCrops(tmp_path, 32, 1.0, seed=0)[0]
    assert torch.equal(crop[:, 16:], torch.tensor([1.0, 0, 0])[:, None, None].expand(3, 16, 32))
    assert torch.equal(crop[:, :16], torch.tensor([0, 1.0, 0])[:, None, None].expand(3, 16, 32))


def test_unreadable_pictures_are_skipped_and_reported(tmp_path: Path) -> None:
    write_pictures(tmp_path, 2)
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "notes.txt").touch()
    crops = ContentCrops(tmp_path, 32, 1.0, seed=0)
    assert len(crops) == 4  # the folder and the notes are not counted as pictures
    batch, unusable = collate([crops[i] for i in range(4)])
    assert {level(crop) for crop in batch} == {20, 40}
    paths = [path for path in crops.pictures if isinstance(path, Path)]
    assert unusable == {number for number, path in enumerate(paths) if try_read_picture(path) is None}
    assert len(unusable) == 2


def test_crops_of_one_colour_are_replaced(tmp_path: Path) -> None:
    """Crops of one colour make gradients explode, and pictures with a white background have many such crops."""
    picture = np.full((64, 64, 3), 255, np.uint8)
    picture[24:40, 24:40] = 0  # a quarter of the crops at the largest zoom are white
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    cv2.imwrite(str(tmp_path / "white.png"), np.full((64, 64, 3), 255, np.uint8))
    crops = ContentCrops(tmp_path, 32, 3.0, seed=0)
    found = [crops[number] for number in range(60)]
    assert all(255 * crop.std() >= 1 for crop, _ in found)
    assert set().union(*(unusable for _, unusable in found)) == {1}  # white.png, the second by name
    (tmp_path / "a.png").unlink()
    with pytest.raises(TrainingError, match="none of the 1 content pictures can be read and has more than one colour"):
        ContentCrops(tmp_path, 32, 3.0, seed=0)[0]


def test_folder_of_unreadable_pictures_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("no picture")
    with pytest.raises(TrainingError, match="none of the 1 content pictures can be read"):
        ContentCrops(tmp_path, 32, 1.0, seed=0)[0]


def test_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no content pictures in .* \(.*\.jpg.*\); name a folder"):
        ContentCrops(tmp_path, 32, 1.0, seed=0)


def write_video(path: Path, frames: int) -> None:
    """Write a lossless video whose frames have increasing grey levels, with stripes of +-5."""
    import av  # after cv2, or windows hang on Linux

    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
        for number in range(frames):
            picture = np.full((48, 64, 3), number % 200, np.uint8)
            picture[:, ::2] += 10
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def test_video_as_content(tmp_path: Path) -> None:
    write_video(tmp_path / "film.mkv", 12)
    crops = ContentCrops(tmp_path / "film.mkv", 32, 1.5, seed=0)
    assert len(crops) == 12
    assert np.asarray(crops.pictures[0]).shape == (48, 64, 3)  # not enlarged; the maximum for its short side is 32 times the zoom
    assert crops[5][0].shape == (3, 32, 32)


def test_frames_of_a_long_video_are_evenly_spaced(tmp_path: Path) -> None:
    write_video(tmp_path / "film.mkv", 900)
    crops = ContentCrops(tmp_path / "film.mkv", 32, 1.0, seed=0)
    assert len(crops) == 225  # every fourth: 900 is more than twice 400
    levels = [round(np.asarray(picture).mean()) for picture in crops.pictures[:40]]
    assert set(np.diff(levels)) == {4}


def test_video_content_is_rotated_as_in_painting(make_clip: Clip) -> None:
    path = make_clip("turned.mp4", range(4), rotation=90)  # 64x48 pixels in the file, shown as 48x64
    crops = ContentCrops(path, 32, 1.0, seed=0)
    video = VideoFile(path, size=lambda width, height: (32, 43))
    for picture in crops.pictures:
        frame = video.read()
        assert frame is not None
        assert np.array_equal(picture, frame.image)
    video.close()
    assert np.asarray(crops.pictures[0]).shape == (43, 32, 3)


def test_high_dynamic_range_is_tone_mapped_with_a_note(make_clip: Clip) -> None:
    path = make_clip("hdr.mkv", range(3), color_trc=16, color_primaries=9, colorspace=9)
    assert [note for note in ContentCrops(path, 32, 1.0, seed=0).notes if "tone-mapped" in note]


def test_small_video_is_not_enlarged_and_damage_is_noted(make_clip: Clip) -> None:
    path = make_clip("clip.mkv", range(40), options={"x264-params": "keyint=5"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    crops = ContentCrops(path, 256, 2.0, seed=0)
    assert 5 < len(crops) < 40
    assert np.asarray(crops.pictures[0]).shape == (48, 64, 3)
    assert any("cut off" in note for note in crops.notes)
    assert crops[0][0].shape == (3, 256, 256)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc/self/fd")
def test_unusable_video_is_closed(make_clip: Clip, tmp_path: Path) -> None:
    path = make_clip("clip.mkv", range(10))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 8])
    with pytest.raises(TrainingError):
        ContentCrops(path, 32, 1.0, seed=0)
    opened = [os.path.realpath(entry) for entry in Path("/proc/self/fd").iterdir()]
    assert str(path) not in opened


def test_strips_and_broken_links_are_skipped(tmp_path: Path) -> None:
    """A strip one pixel wide would be enlarged to gigabytes."""
    write_pictures(tmp_path, 2)
    rng = np.random.default_rng(0)
    cv2.imwrite(str(tmp_path / "strip.png"), rng.integers(0, 256, (1, 30_000, 3), np.uint8))
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    crops = ContentCrops(tmp_path, 32, 1.0, seed=0)
    _, unusable = collate([crops[i] for i in range(3)])
    assert [crops.name(number) for number in unusable] == [str(tmp_path / "strip.png")]


PLAYLISTS = [b"ffconcat version 1.0\nfile film.mkv\n", b"#EXTM3U\n#EXTINF:1,\nfilm.mkv\n"]


@pytest.mark.parametrize("content", [b"no video", b"", *PLAYLISTS])
def test_playlists_and_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    write_video(tmp_path / "film.mkv", 5)
    (tmp_path / "bad.mkv").write_bytes(content)
    with pytest.raises(TrainingError, match=r"bad\.mkv is neither a folder of pictures nor a video"):
        ContentCrops(tmp_path / "bad.mkv", 32, 1.0, seed=0)


def test_drawn_pictures_are_reproducible() -> None:
    assert all(np.array_equal(a, b) for a, b in zip(drawn.scenes(), drawn.scenes(), strict=True))
    for name in drawn.STYLES:
        picture = drawn.draw_style(f"drawn:{name}")
        assert picture.shape == (256, 256, 3)
        assert picture.dtype == np.uint8
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 6  # five colours and the outlines
    with pytest.raises(TrainingError, match="no drawn picture drawn:cats; choose one of drawn:stripes, drawn:tiles"):
        drawn.draw_style("drawn:cats")
