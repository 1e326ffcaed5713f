"""Messages about files that are not read or that contain several pictures; HEIC."""

import io

import numpy as np
import pytest
from picture_files import BLOCKS, blocks, decoded, middles
from PIL import Image as PillowImage

from livestyle.errors import InputError
from livestyle.pictures import formats
from livestyle.pictures.reading import decode_picture


def test_other_pictures_of_a_file_are_noted() -> None:
    first, second = PillowImage.new("RGB", (8, 6), (255, 0, 0)), PillowImage.new("RGB", (8, 6), (0, 255, 0))
    for kind in ("GIF", "PNG", "WEBP", "TIFF"):
        found = decoded(first, kind, save_all=True, append_images=[second])
        assert len(found.notes) == 1
        assert ("several pages" if kind == "TIFF" else "livestyle video") in found.notes[0]
        assert np.abs(found.image.astype(int) - (255, 0, 0)).max() <= 3
        assert decoded(first, kind).notes == []


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0", r"pip install 'livestyle\[heic\]'"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "livestyle video"),
        (b"\xff\x0a" + bytes(20), "JPEG XL"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "not a picture"),
        (b"<svg></svg>", "not a picture"),
    ],
)
def test_the_error_names_the_format_that_cannot_be_read(data: bytes, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None)  # without pillow-heif
    with pytest.raises(InputError, match=says):
        decode_picture(data, "it")


def test_heic_is_read_with_pillow_heif() -> None:
    heif = pytest.importorskip("pillow_heif")
    data = io.BytesIO()
    heif.from_pillow(PillowImage.fromarray(blocks())).save(data, quality=95)
    found = decode_picture(data.getvalue(), "heic")
    assert np.abs(middles(found.image).astype(int) - BLOCKS).max() < 12
