"""Picture files: what is read, whatever the format, what is refused, and what is kept in the file that is written."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageCms
from PIL.ExifTags import IFD, Base

from livestyle.errors import InputError, TooLargeError
from livestyle.frame import Image
from livestyle.pictures import formats, limits
from livestyle.pictures.finding import find_pictures
from livestyle.pictures.reading import Picture, decode_picture, read_picture, read_stream
from livestyle.pictures.writing import encode_picture

BLOCKS = np.array([[[250, 0, 0], [0, 200, 0], [0, 0, 150]], [[200, 200, 0], [0, 100, 100], [60, 0, 60]]], np.uint8)
"""Six colours, by which every turn of a picture is told from every other."""


def blocks(side: int = 16) -> Image:
    return np.kron(BLOCKS, np.ones((side, side, 1), np.uint8))


def encoded(image: PillowImage.Image, kind: str, **options: Any) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def decoded(image: PillowImage.Image, kind: str, **options: Any) -> Picture:
    return decode_picture(encoded(image, kind, **options), f"the {kind}")


def middles(image: Image, side: int = 16) -> Image:
    return image[side // 2 :: side, side // 2 :: side]


# orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("kind", "alpha"), [("JPEG", False), ("PNG", False), ("PNG", True), ("WEBP", True)])
def test_every_orientation(kind: str, alpha: bool, orientation: int) -> None:
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


# colours


def test_colors_under_transparency_are_whole_in_tiff() -> None:
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
def test_colors_of_every_mode(case: str) -> None:
    kind, image, color, alpha = MODES[case]
    found = decoded(image, kind)
    assert np.abs(found.image.astype(int) - color).max() <= 1
    assert (None if found.alpha is None else found.alpha[0, 0]) == alpha


def test_transparent_entries_of_palettes_and_greys() -> None:
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
def test_16_bits_of_color(channels: int) -> None:
    deep = np.full((4, 5, channels), 200 * 257, np.uint16)
    for suffix in (".png", ".tif"):
        found = decode_picture(cv2.imencode(suffix, deep)[1].tobytes(), suffix)
        assert (found.image == 200).all()
        assert (found.alpha is not None) == (channels == 4)


def wide_gamut() -> bytes:
    """A profile whose red and blue are swapped, made of sRGB's by exchanging the two tags."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return data.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_color_profiles_are_converted(kind: str) -> None:
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(kind, {})
    image = PillowImage.new("RGB", (16, 16), (200, 100, 0))
    found = decoded(image, kind, icc_profile=wide_gamut(), **options)
    assert np.abs(found.image.astype(int) - (0, 100, 200)).max() <= 4
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(decoded(image, kind, icc_profile=srgb, **options).image, decoded(image, kind, **options).image)


def test_transparency_stays_with_a_color_profile() -> None:
    found = decoded(PillowImage.new("RGBA", (4, 3), (200, 100, 0, 55)), "PNG", icc_profile=wide_gamut())
    assert np.abs(found.image.astype(int) - (0, 100, 200)).max() <= 2
    assert found.alpha is not None
    assert (found.alpha == 55).all()


@pytest.mark.parametrize(("mode", "profile"), [("RGB", b"no profile at all"), ("CMYK", wide_gamut()), ("L", b"\0" * 200)])
def test_color_profiles_that_cannot_be_used_are_noted(mode: str, profile: bytes) -> None:
    found = decoded(PillowImage.new(mode, (16, 16)), "TIFF", icc_profile=profile)
    assert len(found.notes) == 1
    assert "colour profile" in found.notes[0]


# damage


def noisy(width: int = 64, height: int = 240) -> PillowImage.Image:
    return PillowImage.fromarray(np.random.default_rng(0).integers(1, 256, (height, width, 3), np.uint8))


CUT: dict[str, tuple[str, dict[str, Any]]] = {
    "JPEG": ("JPEG", {}),
    "progressive JPEG": ("JPEG", {"progressive": True}),
    "PNG": ("PNG", {}),
    "BMP": ("BMP", {}),
    "TIFF": ("TIFF", {}),
}


@pytest.mark.parametrize("case", CUT)
def test_a_picture_that_is_cut_off_is_salvaged(case: str) -> None:
    kind, options = CUT[case]
    data = encoded(noisy(), kind, **options)
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
    data = encoded(noisy(), "JPEG")
    found = decode_picture(data[:-2], "cut", salvage=True)
    assert found.damage
    assert np.array_equal(found.image, decode_picture(data, "whole").image)


@pytest.mark.parametrize("rest", [bytes(9000), b"\xff\xc4" + bytes([7] * 9000)])
def test_jpeg_that_goes_on_with_something_else_is_salvaged(rest: bytes) -> None:
    data = encoded(noisy(), "JPEG")
    cut = data[: len(data) * 2 // 3] + rest
    with pytest.raises(InputError, match="damaged"):
        decode_picture(cut, "cut")
    found = decode_picture(cut, "cut", salvage=True)
    assert found.damage
    assert np.array_equal(found.image[:96], decode_picture(data, "whole").image[:96])
    motion = b"\xff\xda" + rest  # phones put a video behind a photo
    assert np.array_equal(decode_picture(data + motion, "more than a JPEG").image, decode_picture(data, "whole").image)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF"])
def test_a_picture_of_which_nothing_is_left_is_refused(kind: str) -> None:
    data = encoded(noisy(), kind)
    for length in (1, 10, 40):
        with pytest.raises(InputError):
            decode_picture(data[:length], "cut", salvage=True)


def test_damaged_chunks_beside_the_pixels_do_not_matter() -> None:
    data = encoded(PillowImage.fromarray(blocks()), "PNG", dpi=(300, 300), icc_profile=wide_gamut())
    at = data.index(b"iCCP") + 20
    found = decode_picture(data[:at] + b"broken" + data[at + 6 :], "broken")
    assert np.array_equal(found.image, blocks())
    assert found.exif


def test_decoders_write_nothing_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(encoded(noisy(), "TIFF", compression="tiff_lzw"))
    data[60:90] = bytes(30)
    with pytest.raises(InputError, match="damaged"):
        decode_picture(bytes(data), "broken")
    assert capfd.readouterr() == ("", "")


# size


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def bmp(width: int, height: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 2, 0, 0, 256, 0) + bytes(1024)  # run lengths
    return b"BM" + struct.pack("<IHHI", 16 + len(header), 0, 0, 14 + len(header)) + header + b"\0\1"


def gif(width: int, height: int) -> bytes:
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return b"GIF89a" + screen + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\x00;"


def jpeg(width: int, height: int) -> bytes:
    data = encoded(PillowImage.new("RGB", (16, 16)), "JPEG")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def tiff(width: int, height: int) -> bytes:
    data = encoded(PillowImage.new("L", (257, 259)), "TIFF", compression="tiff_lzw")
    return data.replace(struct.pack("<HHIHH", 256, 3, 1, 257, 0), struct.pack("<HHII", 256, 4, 1, width)).replace(
        struct.pack("<HHIHH", 257, 3, 1, 259, 0), struct.pack("<HHII", 257, 4, 1, height)
    )


@pytest.mark.parametrize("make", [png, bmp, gif, jpeg, tiff])
def test_declared_sizes_are_checked_before_decoding(make: Callable[[int, int], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TooLargeError, match="32000x32000"):
        decode_picture(make(32_000, 32_000), "bomb")
    monkeypatch.setattr(limits, "free_bytes", lambda: 2**30)
    with pytest.raises(TooLargeError, match=r"20000x10000.* 1\.0 GiB"):
        decode_picture(make(20_000, 10_000), "bomb")


def test_what_is_no_regular_file_or_larger_than_a_picture_is_not_read(tmp_path: Path) -> None:
    sparse = tmp_path / "sparse.jpg"
    with sparse.open("wb") as file:
        file.truncate(20 << 30)
    with pytest.raises(TooLargeError, match="20,480 MiB"):
        read_picture(sparse)
    with pytest.raises(InputError, match="folder"):
        read_picture(tmp_path)
    with pytest.raises(InputError, match="nul"):
        read_picture(Path("nul\0byte.jpg"))
    if Path("/dev/zero").exists():
        with pytest.raises(InputError, match="device"):
            read_picture(Path("/dev/zero"))


def test_an_endless_stream_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return bytes(size)

    monkeypatch.setattr(limits, "FILE_CAP_BYTES", 2**27)
    with pytest.raises(TooLargeError, match="MiB"):
        read_stream(Endless(), "stdin")  # type: ignore[arg-type]


# animations, and what is not read


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
def test_what_is_not_read_is_named(data: bytes, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None)  # without pillow-heif
    with pytest.raises(InputError, match=says):
        decode_picture(data, "it")


def test_heic(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    data = io.BytesIO()
    heif.from_pillow(PillowImage.fromarray(blocks())).save(data, quality=95)
    found = decode_picture(data.getvalue(), "heic")
    assert np.abs(middles(found.image).astype(int) - BLOCKS).max() < 12


def test_folders(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "._a.png", "a.partial-2.png", "notes.txt", "sub/c.jpeg", "sub/d.heic", ".hidden/e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "sub/circle").symlink_to(tmp_path)
    (tmp_path / "broken.png").symlink_to(tmp_path / "nosuch")
    assert [path.name for path in find_pictures([tmp_path])] == ["a.png", "b.JPG"]
    assert [path.name for path in find_pictures([tmp_path], recursive=True)] == ["a.png", "b.JPG", "c.jpeg", "d.heic"]


# what is written


def photo_with_details() -> bytes:
    exif = PillowImage.Exif()
    exif.update({Base.Make: "Maker", Base.Model: "Camera", Base.DateTime: "2024:05:06 07:08:09", Base.Orientation: 6})
    exif[IFD.Exif] = {Base.DateTimeOriginal: "2024:05:06 07:08:09", Base.FNumber: 2.8, Base.MakerNote: b"x" * 60_000}
    exif[IFD.GPSInfo] = {1: "N", 2: (47.0, 30.0, 0.0)}
    exif[Base.XResolution], exif[Base.YResolution], exif[Base.ResolutionUnit] = 300, 300, 2
    return exif.tobytes()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_date_camera_place_and_resolution_are_kept(kind: str, suffix: str) -> None:
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


def test_resolution_turns_with_the_picture() -> None:
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
