"""Thumbnails: their size and colours, and the bytes that are refused."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from livestyle.errors import StyleError
from livestyle.frame import Image
from livestyle.networks import ARCHITECTURES
from livestyle.networks.body import Body
from livestyle.pictures.writing import encode_picture
from livestyle.style_files.file_format import THUMBNAIL_CAP_BYTES, load_rows, load_thumbnail_jpeg, read_header, write_style_file
from livestyle.style_files.thumbnail import load_thumbnail, make_thumbnail

LITE = ARCHITECTURES["lite"]


def write(path: Path, thumbnail: bytes | None) -> Path:
    body = Body(LITE, {name: np.zeros(shape, np.float32) for name, shape in LITE.parameters.items()})
    write_style_file(path, body, np.ones((2, LITE.row_length), np.float32), {}, include_body=False, thumbnail=thumbnail)
    return path


def read(path: Path, thumbnail: bytes | None) -> Image | None:
    return load_thumbnail(read_header(write(path, thumbnail)))


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
def test_thumbnail_has_the_expected_size_and_colours(path: Path, height: int, width: int, expected: tuple[int, int]) -> None:
    found = read(path, make_thumbnail(smooth(height, width)))
    assert found is not None
    assert found.shape == (*expected, 3)
    if min(expected) > 1:
        assert np.abs(found.astype(int) - smooth(*expected)).mean() < 4


def test_thumbnail_of_noise_fits_into_a_style_file(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 512, 3), np.uint8)
    data = make_thumbnail(noise)
    assert len(data) <= THUMBNAIL_CAP_BYTES
    assert read_header(write(path, data)).has_thumbnail


def test_style_file_without_thumbnail(path: Path) -> None:
    header = read_header(write(path, None))
    assert not header.has_thumbnail
    assert load_thumbnail_jpeg(header) is None
    assert load_thumbnail(header) is None


def test_rows_are_read_from_a_file_with_thumbnail(path: Path) -> None:
    header = read_header(write(path, make_thumbnail(smooth(50, 50))))
    assert header.has_thumbnail
    assert not header.has_body
    assert np.array_equal(load_rows(header), np.ones((2, LITE.row_length)))


def test_all_kinds_of_jpeg_are_decoded(path: Path) -> None:
    picture = smooth(64, 80)
    for flags in ([cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 2], [cv2.IMWRITE_JPEG_OPTIMIZE, 1]):
        found = read(path, cv2.imencode(".jpg", picture, flags)[1].tobytes())
        assert found is not None
        assert found.shape == (64, 80, 3)
    grey = read(path, cv2.imencode(".jpg", picture[:, :, 0])[1].tobytes())
    assert grey is not None
    assert grey.shape == (64, 80, 3)


def larger(data: bytes, width: int, height: int) -> bytes:
    """Replace the size in a JPEG's frame header."""
    at = data.index(b"\xff\xc0")
    return data[: at + 5] + height.to_bytes(2) + width.to_bytes(2) + data[at + 9 :]


JPEG = make_thumbnail(smooth(60, 90))
REFUSED: dict[str, tuple[bytes, str]] = {
    "60,000 pixels wide": (larger(JPEG, 60_000, 60_000), "the thumbnail has 60000x60000 pixels"),
    "a pixel too high": (larger(JPEG, 90, 513), "the thumbnail has 90x513 pixels"),
    "no height": (larger(JPEG, 90, 0), "is not a JPEG"),
    "a large JPEG": (encode_picture(smooth(400, 600), ".jpg"), "the thumbnail has 600x400 pixels"),
    "PNG": (encode_picture(smooth(20, 20), ".png"), "is not a JPEG"),
    "text": (b"no picture at all", "is not a JPEG"),
    "one byte": (b"\xff", "is not a JPEG"),
    "start of image only": (JPEG[:2], "is not a JPEG"),
    "truncated before the frame": (JPEG[: JPEG.index(b"\xff\xc0") + 8], "is not a JPEG"),
    "bytes between segments": (JPEG[:2] + b"\x00" + larger(JPEG, 60_000, 60_000)[2:], "is not a JPEG"),
    "segments of length 0": (JPEG[:2] + b"\xff\xe0\x00\x00" * 1000, "is not a JPEG"),
    "no pixels": (JPEG[: JPEG.index(b"\xff\xda")], "is not a picture"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_other_bytes_are_refused(case: str, path: Path) -> None:
    data, words = REFUSED[case]
    header = read_header(write(path, data))  # the style itself is valid
    assert load_rows(header).shape == (2, LITE.row_length)
    with pytest.raises(StyleError, match=words) as caught:
        load_thumbnail(header)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)
