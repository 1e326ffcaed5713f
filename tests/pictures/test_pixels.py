"""Pictures are converted to sRGB from every pixel format, and turned upright."""

import struct

import cv2
import numpy as np
import pytest
from picture_files import BLOCKS, blocks, decoded, encoded, middles
from PIL import Image as PillowImage
from PIL.ExifTags import Base

from livestyle.pictures.reading import decode_picture


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("kind", "alpha"), [("JPEG", False), ("PNG", False), ("PNG", True), ("WEBP", True)])
def test_pictures_are_turned_upright_from_every_orientation(kind: str, alpha: bool, orientation: int) -> None:
    stored = PillowImage.fromarray(blocks())
    if alpha:
        stored.putalpha(PillowImage.fromarray(np.kron([[10, 20, 30], [40, 50, 60]], np.ones((16, 16))).astype(np.uint8)))
    exif = PillowImage.Exif()
    exif[Base.Orientation] = orientation
    found = decoded(stored, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    upright = {
        1: BLOCKS,
        2: np.fliplr(BLOCKS),
        3: np.rot90(BLOCKS, 2),
        4: np.flipud(BLOCKS),
        5: BLOCKS.swapaxes(0, 1),
        6: np.rot90(BLOCKS, -1),  # clockwise
        7: np.rot90(BLOCKS, 2).swapaxes(0, 1),
        8: np.rot90(BLOCKS),
    }[orientation]
    assert np.abs(middles(found.image).astype(int) - upright).max() <= (8 if kind == "JPEG" else 0)
    assert (found.alpha is not None) == alpha
    if found.alpha is not None:
        first = {1: 10, 2: 30, 3: 60, 4: 40, 5: 10, 6: 40, 7: 60, 8: 30}[orientation]
        assert found.alpha[0, 0] == first


def test_tiff_colors_are_not_premultiplied_by_alpha() -> None:
    half = np.dstack([np.full((4, 4, 3), (240, 214, 250)), np.full((4, 4), 128)]).astype(np.uint8)
    found = decoded(PillowImage.fromarray(half), "TIFF")
    assert found.alpha is not None
    assert (found.image == (240, 214, 250)).all()
    assert (found.alpha == 128).all()
    data = encoded(PillowImage.fromarray((half // (2, 2, 2, 1)).astype(np.uint8)), "TIFF")
    tag = [struct.pack("<HHIHH", 338, 3, 1, value, 0) for value in (2, 1)]  # of a plain and a premultiplied alpha channel
    assert tag[0] in data
    found = decode_picture(data.replace(*tag), "premultiplied")
    assert np.abs(found.image.astype(int) - (240, 214, 250)).max() <= 2


MODES: dict[str, tuple[str, PillowImage.Image, tuple[int, int, int], int | None]] = {
    "grey": ("PNG", PillowImage.new("L", (4, 3), 77), (77, 77, 77), None),
    "grey and alpha": ("PNG", PillowImage.new("LA", (4, 3), (77, 9)), (77, 77, 77), 9),
    "black and white": ("PNG", PillowImage.new("1", (4, 3), 1), (255, 255, 255), None),
    "grey of 16 bits": ("PNG", PillowImage.fromarray(np.full((3, 4), 77 * 257, np.uint16)), (77, 77, 77), None),
    "grey of 16 bits, TIFF": ("TIFF", PillowImage.fromarray(np.full((3, 4), 77 * 257, np.uint16)), (77, 77, 77), None),
    "palette": ("GIF", PillowImage.new("RGB", (4, 3), (255, 0, 102)).quantize(), (255, 0, 102), None),
    "CMYK": ("JPEG", PillowImage.new("CMYK", (16, 16), (0, 255, 255, 0)), (255, 0, 0), None),
    "CMYK, TIFF": ("TIFF", PillowImage.new("CMYK", (4, 3), (255, 0, 0, 0)), (0, 255, 255), None),
}


@pytest.mark.parametrize("case", MODES)
def test_every_pixel_mode_is_converted_to_rgb(case: str) -> None:
    kind, image, color, alpha = MODES[case]
    found = decoded(image, kind)
    assert np.abs(found.image.astype(int) - color).max() <= 1
    assert (None if found.alpha is None else found.alpha[0, 0]) == alpha


def test_transparent_palette_entries_and_grey_levels_become_alpha() -> None:
    palette = PillowImage.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putdata([0, 1])
    found = decoded(palette, "PNG", transparency=bytes([128, 255]))
    assert found.image.tolist() == [[[10, 20, 30], [200, 100, 50]]]
    assert found.alpha is not None
    assert found.alpha.tolist() == [[128, 255]]
    grey = PillowImage.fromarray(np.array([[5, 99]], np.uint8))
    found = decoded(grey, "PNG", transparency=99)
    assert found.alpha is not None
    assert found.alpha.tolist() == [[255, 0]]


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bits_per_channel_are_reduced_to_8(channels: int) -> None:
    deep = np.full((4, 5, channels), 200 * 257, np.uint16)
    for suffix in (".png", ".tif"):
        found = decode_picture(cv2.imencode(suffix, deep)[1].tobytes(), suffix)
        assert (found.image == 200).all()
        assert (found.alpha is not None) == (channels == 4)
