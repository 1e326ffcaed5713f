"""Thumbnails: what is kept of a style picture, and what is refused when a file brings something else."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from livestyle.errors import StyleError
from livestyle.frame import Image
from livestyle.networks import ARCHITECTURES
from livestyle.networks.body import Body
from livestyle.pictures.writing import encode_picture
from livestyle.style_files import file_format
from livestyle.style_files.file_format import read_header
from livestyle.style_files.thumbnail import make_thumbnail, read_thumbnail

LITE = ARCHITECTURES["lite"]


def write(path: Path, thumbnail: bytes | None) -> Path:
    body = Body(LITE, {name: np.zeros(shape, np.float32) for name, shape in LITE.parameters.items()})
    file_format.save(path, body, np.ones((2, LITE.row_length), np.float32), {}, with_body=False, thumbnail=thumbnail)
    return path


def read(path: Path, thumbnail: bytes | None) -> Image | None:
    return read_thumbnail(read_header(write(path, thumbnail)))


def smooth(height: int, width: int) -> Image:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 / width, y * 255 / height, x * 0 + 40], -1).astype(np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "moss.lite.safetensors"


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (960, 1920, (96, 192)),
        (300, 200, (144, 96)),
        (96, 96, (96, 96)),
        (30, 50, (30, 50)),  # not enlarged
        (100, 1024, (50, 512)),
        (2000, 1, (512, 1)),
    ],
)
def test_sizes_and_colours(path: Path, height: int, width: int, expected: tuple[int, int]) -> None:
    found = read(path, make_thumbnail(smooth(height, width)))
    assert found is not None
    assert found.shape == (*expected, 3)
    if min(expected) > 1:
        assert np.abs(found.astype(int) - smooth(*expected)).mean() < 4


def test_the_worst_picture_fits_into_a_style_file(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 512, 3), np.uint8)
    data = make_thumbnail(noise)
    assert len(data) <= file_format.THUMBNAIL_CAP_BYTES
    assert read_header(write(path, data)).has_thumbnail


def test_files_without_one(path: Path) -> None:
    header = read_header(write(path, None))
    assert not header.has_thumbnail
    assert file_format.load_thumbnail(header) is None
    assert read_thumbnail(header) is None


def test_rows_are_read_beside_it(path: Path) -> None:
    header = read_header(write(path, make_thumbnail(smooth(50, 50))))
    assert header.has_thumbnail
    assert not header.has_body
    assert np.array_equal(file_format.load_style(header).rows, np.ones((2, LITE.row_length)))


def test_kinds_of_jpeg(path: Path) -> None:
    picture = smooth(64, 80)
    for flags in ([cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 2], [cv2.IMWRITE_JPEG_OPTIMIZE, 1]):
        found = read(path, cv2.imencode(".jpg", picture, flags)[1].tobytes())
        assert found is not None
        assert found.shape == (64, 80, 3)
    grey = read(path, cv2.imencode(".jpg", picture[:, :, 0])[1].tobytes())
    assert grey is not None
    assert grey.shape == (64, 80, 3)


def larger(data: bytes, width: int, height: int) -> bytes:
    """The same JPEG, its frame header promising another size."""
    at = data.index(b"\xff\xc0")
    return data[: at + 5] + height.to_bytes(2) + width.to_bytes(2) + data[at + 9 :]


JPEG = make_thumbnail(smooth(60, 90))
REFUSED: dict[str, tuple[bytes, str]] = {
    "60,000 pixels wide": (larger(JPEG, 60_000, 60_000), "the thumbnail is 60000x60000 pixels"),
    "a pixel too high": (larger(JPEG, 90, 513), "the thumbnail is 90x513 pixels"),
    "no height": (larger(JPEG, 90, 0), "no JPEG"),
    "a large JPEG": (encode_picture(smooth(400, 600), ".jpg"), "the thumbnail is 600x400 pixels"),
    "PNG": (encode_picture(smooth(20, 20), ".png"), "no JPEG"),
    "text": (b"no picture at all", "no JPEG"),
    "a byte": (b"\xff", "no JPEG"),
    "its beginning": (JPEG[:2], "no JPEG"),
    "cut before the frame": (JPEG[: JPEG.index(b"\xff\xc0") + 8], "no JPEG"),
    "a size hidden behind rubbish": (JPEG[:2] + b"\x00" + larger(JPEG, 60_000, 60_000)[2:], "no JPEG"),
    "segments of no length": (JPEG[:2] + b"\xff\xe0\x00\x00" * 1000, "no JPEG"),
    "no pixels": (JPEG[: JPEG.index(b"\xff\xda")], "is not a picture"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_small_jpeg(case: str, path: Path) -> None:
    data, words = REFUSED[case]
    header = read_header(write(path, data))  # the style itself is good
    assert file_format.load_style(header).name == "moss"
    with pytest.raises(StyleError, match=words) as caught:
        read_thumbnail(header)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)
