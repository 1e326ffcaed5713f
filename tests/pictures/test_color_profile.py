"""ICC profiles are converted to sRGB."""

import numpy as np
import pytest
from picture_files import decoded, swapped_red_and_blue
from PIL import Image as PillowImage
from PIL import ImageCms


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_pictures_with_a_color_profile_are_converted_to_srgb(kind: str) -> None:
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(kind, {})
    image = PillowImage.new("RGB", (16, 16), (200, 100, 0))
    found = decoded(image, kind, icc_profile=swapped_red_and_blue(), **options)
    assert np.abs(found.image.astype(int) - (0, 100, 200)).max() <= 4
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(decoded(image, kind, icc_profile=srgb, **options).image, decoded(image, kind, **options).image)


def test_alpha_is_kept_when_a_color_profile_is_converted() -> None:
    found = decoded(PillowImage.new("RGBA", (4, 3), (200, 100, 0, 55)), "PNG", icc_profile=swapped_red_and_blue())
    assert np.abs(found.image.astype(int) - (0, 100, 200)).max() <= 2
    assert found.alpha is not None
    assert (found.alpha == 55).all()


@pytest.mark.parametrize(
    ("mode", "profile"), [("RGB", b"no profile at all"), ("CMYK", swapped_red_and_blue()), ("L", b"\0" * 200)]
)
def test_color_profiles_that_cannot_be_used_are_noted(mode: str, profile: bytes) -> None:
    found = decoded(PillowImage.new(mode, (16, 16)), "TIFF", icc_profile=profile)
    assert len(found.notes) == 1
    assert "colour profile" in found.notes[0]
