"""A damaged picture is refused, or, if the caller asks for it, what can be decoded of it is used."""

from typing import Any

import numpy as np
import pytest
from picture_files import blocks, encoded, noise_picture, swapped_red_and_blue
from PIL import Image as PillowImage

from livestyle.errors import InputError
from livestyle.pictures.reading import decode_picture

CUT: dict[str, tuple[str, dict[str, Any]]] = {
    "JPEG": ("JPEG", {}),
    "progressive JPEG": ("JPEG", {"progressive": True}),
    "PNG": ("PNG", {}),
    "BMP": ("BMP", {}),
    "TIFF": ("TIFF", {}),
}


@pytest.mark.parametrize("case", CUT)
def test_a_picture_that_is_cut_off_is_salvaged_only_on_request(case: str) -> None:
    kind, options = CUT[case]
    data = encoded(noise_picture(), kind, **options)
    whole = decode_picture(data, "whole")
    assert whole.damage == []
    cut = data[: len(data) * 2 // 3]
    with pytest.raises(InputError, match="damaged"):
        decode_picture(cut, "cut")
    found = decode_picture(cut, "cut", salvage=True)
    assert len(found.damage) == 1
    assert found.image.shape == (240, 64, 3)
    if case not in ("progressive JPEG", "BMP"):  # whose rows do not come from top to bottom
        assert np.array_equal(found.image[:96], whole.image[:96])


def test_jpeg_without_its_end_marker_is_salvaged() -> None:
    data = encoded(noise_picture(), "JPEG")
    found = decode_picture(data[:-2], "cut", salvage=True)
    assert found.damage
    assert np.array_equal(found.image, decode_picture(data, "whole").image)


@pytest.mark.parametrize("rest", [bytes(9000), b"\xff\xc4" + bytes([7] * 9000)])
def test_jpeg_whose_data_end_in_zeros_or_garbage_is_salvaged(rest: bytes) -> None:
    data = encoded(noise_picture(), "JPEG")
    cut = data[: len(data) * 2 // 3] + rest
    with pytest.raises(InputError, match="damaged"):
        decode_picture(cut, "cut")
    found = decode_picture(cut, "cut", salvage=True)
    assert found.damage
    assert np.array_equal(found.image[:96], decode_picture(data, "whole").image[:96])
    motion = b"\xff\xda" + rest  # phones put a video behind a photo
    assert np.array_equal(decode_picture(data + motion, "more than a JPEG").image, decode_picture(data, "whole").image)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF"])
def test_a_picture_without_decodable_pixels_is_refused(kind: str) -> None:
    data = encoded(noise_picture(), kind)
    for length in (1, 10, 40):
        with pytest.raises(InputError):
            decode_picture(data[:length], "cut", salvage=True)


def test_damaged_optional_png_chunks_are_ignored() -> None:
    data = encoded(PillowImage.fromarray(blocks()), "PNG", dpi=(300, 300), icc_profile=swapped_red_and_blue())
    at = data.index(b"iCCP") + 20
    found = decode_picture(data[:at] + b"broken" + data[at + 6 :], "broken")
    assert np.array_equal(found.image, blocks())
    assert found.exif


def test_decoders_write_nothing_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(encoded(noise_picture(), "TIFF", compression="tiff_lzw"))
    data[60:90] = bytes(30)
    with pytest.raises(InputError, match="damaged"):
        decode_picture(bytes(data), "broken")
    assert capfd.readouterr() == ("", "")
