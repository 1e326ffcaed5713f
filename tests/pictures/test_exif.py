"""Date, camera, place and resolution of a photo are kept in the painting's file."""

import io

import pytest
from picture_files import blocks, decoded, encoded
from PIL import Image as PillowImage
from PIL.ExifTags import IFD, Base

from livestyle.pictures.reading import decode_picture
from livestyle.pictures.writing import encode_picture


def photo_with_details() -> bytes:
    exif = PillowImage.Exif()
    exif.update({Base.Make: "Maker", Base.Model: "Camera", Base.DateTime: "2024:05:06 07:08:09", Base.Orientation: 6})
    exif[IFD.Exif] = {Base.DateTimeOriginal: "2024:05:06 07:08:09", Base.FNumber: 2.8, Base.MakerNote: b"x" * 60_000}
    exif[IFD.GPSInfo] = {1: "N", 2: (47.0, 30.0, 0.0)}
    exif[Base.XResolution], exif[Base.YResolution], exif[Base.ResolutionUnit] = 300, 300, 2
    return exif.tobytes()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_date_camera_place_and_resolution_are_kept_in_every_format(kind: str, suffix: str) -> None:
    source = encoded(PillowImage.fromarray(blocks()), kind, exif=photo_with_details())
    found = decode_picture(source, "photo")
    assert found.image.shape == (48, 32, 3)
    with PillowImage.open(io.BytesIO(encode_picture(found.image, suffix, exif=found.exif))) as written:
        exif = written.getexif()
        assert written.size == (32, 48)
        assert (exif[Base.Make], exif[Base.Model], exif[Base.DateTime]) == ("Maker", "Camera", "2024:05:06 07:08:09")
        assert exif.get(Base.Orientation, 1) == 1
        if suffix != ".webp":
            assert written.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        if suffix == ".tif":
            return
        camera = exif.get_ifd(IFD.Exif)
        assert camera[Base.DateTimeOriginal] == "2024:05:06 07:08:09"
        assert float(camera[Base.FNumber]) == pytest.approx(2.8)
        assert Base.MakerNote not in camera
        assert exif.get_ifd(IFD.GPSInfo)[2] == (47, 30, 0)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".bmp"])
def test_resolution_without_exif_is_kept(suffix: str) -> None:
    found = decoded(PillowImage.new("RGB", (8, 6)), "PNG", dpi=(300, 300))
    with PillowImage.open(io.BytesIO(encode_picture(found.image, suffix, exif=found.exif))) as written:
        assert written.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_resolution_is_swapped_when_the_picture_is_rotated() -> None:
    exif = PillowImage.Exif()
    exif[Base.Orientation] = 6
    found = decoded(PillowImage.new("RGB", (8, 6)), "PNG", dpi=(300, 150), exif=exif)
    with PillowImage.open(io.BytesIO(encode_picture(found.image, ".png", exif=found.exif))) as written:
        assert written.info["dpi"] == pytest.approx((150, 300), abs=0.1)


@pytest.mark.parametrize("exif", [b"Exif\0\0rubbish", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"Exif\0\0MM\0*\xff\xff\xff\xff"])
def test_damaged_exif_is_left_out(exif: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    found = decoded(PillowImage.fromarray(blocks()), "JPEG", exif=exif)
    assert found.image.shape == (32, 48, 3)
    assert encode_picture(found.image, ".jpg", exif=found.exif)
    assert capfd.readouterr() == ("", "")
