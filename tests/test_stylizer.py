"""The Python API: styles by name, arrays in and out."""

import pickle
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from predictors import copy_with_predictors, painting, write_predictor

import livestyle
from livestyle import errors
from livestyle.errors import DeviceError, LivestyleError, StyleError
from livestyle.frame import Frame, Image
from livestyle.pictures.writing import write_picture
from livestyle.style_files.gallery import Gallery
from livestyle.stylizer import MANY_FRAMES, Stylizer


@pytest.fixture(scope="module")
def gallery(style_folder: Path) -> Gallery:
    return Gallery([style_folder])


@pytest.fixture
def stylizer(gallery: Gallery) -> Iterator[Stylizer]:
    with Stylizer("ash", device="cpu", gallery=gallery) as opened:
        yield opened


@pytest.fixture
def photo() -> Image:
    return np.random.default_rng(0).integers(60, 190, (20, 27, 3), np.uint8)


def test_package_exports_the_api() -> None:
    assert livestyle.Stylizer is Stylizer
    assert callable(livestyle.stylize)
    with pytest.raises(AttributeError):
        _ = livestyle.nothing


def test_stylize_paints_one_picture(style_folder: Path, photo: Image) -> None:
    painted = livestyle.stylize(photo, style=str(style_folder / "birch.lite.safetensors"), device="cpu")
    assert painted.shape == photo.shape
    assert painted.dtype == np.uint8


def test_default_look_has_the_arguments_of_the_constructor(gallery: Gallery, photo: Image) -> None:
    with Stylizer("ash", device="cpu", strength=0.25, keep_colors=True, gallery=gallery) as stylizer:
        look = stylizer.default_look
        assert (look.name, look.strength, look.keep_colors) == ("ash", 0.25, True)
        assert np.array_equal(stylizer(photo), stylizer(photo, look))
        assert stylizer.look() == look


def test_look_takes_missing_arguments_from_the_default_look(gallery: Gallery) -> None:
    with Stylizer("ash", device="cpu", strength=0.5, keep_colors=True, gallery=gallery) as stylizer:
        default = stylizer.default_look
        assert stylizer.look(strength=0) == replace(default, strength=0.0)
        assert stylizer.look(keep_colors=False) == replace(default, keep_colors=False)
        coal = stylizer.look("coal")
        assert (coal.name, coal.strength, coal.keep_colors) == ("coal", 0.5, True)
        assert stylizer.look("coal", strength=1, keep_colors=False) == replace(coal, strength=1.0, keep_colors=False)
        assert stylizer.default_look is default


def test_styles_trained_together_share_a_body(stylizer: Stylizer) -> None:
    ash, birch, coal = (stylizer.look(name) for name in ("ash", "birch", "coal"))
    assert ash.body is birch.body is stylizer.default_look.body
    assert coal.body != ash.body
    assert not np.array_equal(ash.rows, birch.rows)


def test_looks_paint_differently(stylizer: Stylizer, photo: Image) -> None:
    paintings = [stylizer(photo, stylizer.look(name)) for name in ("ash", "birch", "coal", "ash")]
    assert np.array_equal(paintings[0], paintings[3])
    assert np.array_equal(paintings[0], stylizer(photo))
    assert not np.array_equal(paintings[0], paintings[1])
    assert not np.array_equal(paintings[0], paintings[2])


def test_batch_takes_one_look_or_one_per_frame(stylizer: Stylizer, photo: Image) -> None:
    birch, faint = stylizer.look("birch"), stylizer.look(strength=0.25)
    painted = stylizer.submit([photo, photo, photo], [birch, stylizer.default_look, faint]).result()
    for image, look in zip(painted, [birch, None, faint], strict=True):
        assert np.abs(image.astype(int) - stylizer(photo, look)).max() <= 1
        assert np.array_equal(stylizer(photo, look), stylizer.submit([photo], look).result()[0])


def test_looks_that_do_not_fit_the_batch_are_refused(stylizer: Stylizer, photo: Image) -> None:
    ash, coal = stylizer.look("ash"), stylizer.look("coal")
    with pytest.raises(LivestyleError, match="expected one look, or one for each of 2 frames, found 1 looks"):
        stylizer.submit([photo, photo], [ash])
    with pytest.raises(LivestyleError, match="the looks of one batch have different bodies"):
        stylizer.submit([photo, photo], [ash, coal])


@pytest.mark.parametrize(
    ("blend", "name"),
    [("ash:.75,birch:.25", "ash:.75,birch:.25"), ({"ash": 3, "birch": 1}, "ash:0.75,birch:0.25")],
    ids=["text", "mapping"],
)
def test_blend_is_the_weighted_mean_of_rows(stylizer: Stylizer, blend: Any, name: str) -> None:
    look, ash, birch = (stylizer.look(style) for style in (blend, "ash", "birch"))
    assert look.name == name
    np.testing.assert_allclose(look.rows, 0.75 * ash.rows + 0.25 * birch.rows, atol=1e-6)


@pytest.mark.parametrize(
    ("style", "message"),
    [
        ("ash,coal", "ash and coal cannot be blended: their bodies differ"),
        ("brich", "did you mean birch"),
        ("ash:nan", "cannot read the style"),
    ],
)
def test_unusable_styles_are_refused(stylizer: Stylizer, style: str, message: str) -> None:
    with pytest.raises(StyleError, match=message):
        stylizer.look(style)


def test_model_selects_the_network(gallery: Gallery, photo: Image) -> None:
    with Stylizer("ash", "full", "cpu", gallery=gallery) as full:
        assert full.model == "full"
        assert full(photo).shape == photo.shape
        with pytest.raises(StyleError, match="the model full is not available: birch has lite"):
            full.look("birch")
    with Stylizer("ash", "auto", "cpu", gallery=gallery) as auto:
        assert auto.model == "lite"
    with pytest.raises(StyleError, match="coal has lite"):
        Stylizer("ash,coal", "full", "cpu", gallery=gallery)
    with pytest.raises(StyleError, match="no model 'huge'; use one of auto, full, lite"):
        Stylizer("ash", "huge", "cpu", gallery=gallery)


def test_auto_takes_another_network_if_the_style_lacks_the_preferred(style_folder: Path, photo: Image) -> None:
    with Stylizer(str(style_folder / "ash.full.safetensors"), "auto", "cpu", gallery=Gallery([])) as stylizer:
        assert stylizer.model == "full"


def test_load_all_loads_each_body_once(stylizer: Stylizer) -> None:
    assert stylizer.load_all() == ["ash", "birch", "coal"]
    assert len(stylizer._bodies) == 2  # ash and birch share one; only lite is loaded, which all styles have


def test_load_all_skips_unusable_styles_with_a_note(style_folder: Path, tmp_path: Path) -> None:
    for name in ("coal.lite.safetensors", "birch.lite.safetensors"):  # without birch's body
        (tmp_path / name).write_bytes((style_folder / name).read_bytes())
    gallery = Gallery([tmp_path])
    with Stylizer("coal", device="cpu", gallery=gallery) as stylizer:
        assert stylizer.load_all() == ["coal"]
    assert len(gallery.notes) == 1
    assert "birch.lite.safetensors needs a body" in gallery.notes[0]


@pytest.fixture
def predicting(style_folder: Path, tmp_path: Path) -> Iterator[Stylizer]:
    """A stylizer for the pictures tmp_path/sea.png and tmp_path/more/sea.png; coal's body has no predictor."""
    folder = copy_with_predictors(style_folder, tmp_path / "styles")
    write_picture(tmp_path / "sea.png", painting())
    (tmp_path / "more").mkdir()
    write_picture(tmp_path / "more/sea.png", painting(1))
    with Stylizer(tmp_path / "sea.png", device="cpu", gallery=Gallery([folder])) as opened:
        yield opened


def test_picture_is_a_style(predicting: Stylizer, tmp_path: Path, photo: Image) -> None:
    assert (predicting.default_look.name, predicting.model) == ("sea", "lite")
    other = predicting.look(str(tmp_path / "more/sea.png"))
    assert not np.array_equal(predicting(photo), predicting(photo, other))
    assert predicting.load_all() == ["ash", "birch", "coal", "sea", str(tmp_path / "more/sea.png")]
    assert predicting.look("sea") == predicting.default_look  # by name
    assert predicting.look(str(tmp_path / "more/sea.png")) == other


def test_pictures_are_blended_with_styles_of_the_same_body(predicting: Stylizer, tmp_path: Path) -> None:
    path = tmp_path / "sea.png"
    blend = predicting.look(f"{path}:1,birch:3")
    parts = 0.25 * predicting.look(path).rows + 0.75 * predicting.look("birch").rows
    assert np.allclose(blend.rows, parts, atol=1e-5)
    assert blend.name == "sea:0.25,birch:0.75"
    assert predicting.look({str(path): 1, "birch": 3}) == blend
    with pytest.raises(StyleError, match="and coal cannot be blended: their bodies differ"):
        predicting.look(f"{path}:.5,coal:.5")


def test_blend_with_a_picture_uses_the_body_of_the_style(style_folder: Path, tmp_path: Path) -> None:
    """Both lite bodies have predictors; a picture alone is painted with the first one."""
    folder = copy_with_predictors(style_folder, tmp_path / "styles")
    write_predictor(folder / "z.lite-predictor.safetensors", Gallery([folder]).models("coal")["lite"])
    write_picture(tmp_path / "sea.png", painting())
    gallery = Gallery([folder])
    with Stylizer(tmp_path / "sea.png", "lite", "cpu", gallery=gallery) as stylizer:
        assert stylizer.default_look.body == stylizer.look("ash").body != stylizer.look("coal").body
        assert stylizer.look(f"{tmp_path / 'sea.png'},coal").body == stylizer.look("coal").body


def test_a_picture_that_changed_is_read_again(predicting: Stylizer, tmp_path: Path) -> None:
    write_picture(tmp_path / "sea.png", painting(1))
    assert predicting.look(tmp_path / "sea.png") == predicting.look(tmp_path / "more/sea.png")
    assert predicting.look(tmp_path / "sea.png") != predicting.default_look


def test_strength_goes_from_photo_to_painting(stylizer: Stylizer, photo: Image) -> None:
    painted = stylizer(photo)
    assert np.array_equal(stylizer(photo, stylizer.look(strength=0)), photo)
    expected = photo + 0.25 * (painted.astype(float) - photo)
    assert np.abs(stylizer(photo, stylizer.look(strength=0.25)) - expected).max() <= 1.01
    assert np.array_equal(stylizer(photo, stylizer.look(strength=1)), painted)


@pytest.mark.parametrize("strength", [-0.01, 1.01, 2, float("nan"), float("inf"), "much", 1 + 1j])
def test_strength_outside_0_to_1_is_refused(stylizer: Stylizer, gallery: Gallery, strength: Any) -> None:
    for use in (
        lambda: stylizer.look(strength=strength),
        lambda: stylizer.look("birch", strength=strength),
        lambda: Stylizer("ash", device="cpu", strength=strength, gallery=gallery),
    ):
        with pytest.raises(LivestyleError, match="strength must be from 0"):
            use()


def ycbcr(image: Image) -> tuple[Any, Any, Any]:
    """Y, Cb and Cr in BT.601, without offsets."""
    r, g, b = (image[..., channel].astype(float) for channel in range(3))
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return y, (b - y) / 1.772, (r - y) / 1.402


def test_keep_colors_shows_the_lightness_of_the_painting_in_the_colours_of_the_photo(stylizer: Stylizer, photo: Image) -> None:
    painted = stylizer(photo)
    kept = stylizer(photo, stylizer.look(keep_colors=True))
    inside = ((kept > 0) & (kept < 255)).all(-1)  # elsewhere colours are clipped
    assert inside.mean() > 0.7
    (y, cb, cr), (_, photo_cb, photo_cr), (painted_y, _, _) = ycbcr(kept), ycbcr(photo), ycbcr(painted)
    assert np.abs(cb - photo_cb)[inside].max() <= 1.5
    assert np.abs(cr - photo_cr)[inside].max() <= 1.5
    assert np.abs(y - painted_y)[inside].max() <= 1.5
    _, painted_cb, _ = ycbcr(painted)
    assert np.abs(painted_cb - photo_cb).max() > 10


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_several_frames_equal_each_frame_alone(stylizer: Stylizer, photo: Image, count: int) -> None:
    frames = np.stack([np.roll(photo, 5 * number, axis=0) for number in range(5)])[:count]
    painted = stylizer(frames)
    assert painted.shape == frames.shape
    assert painted.dtype == np.uint8
    for frame, result in zip(frames, painted, strict=True):
        assert np.abs(stylizer(frame).astype(int) - result).max() <= 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("view", ["mirrored", "every second", "turned", "read-only", "columns first", "wider"])
def test_array_layout_does_not_matter(stylizer: Stylizer, photo: Image, view: str) -> None:
    odd: Image = {
        "mirrored": photo[:, ::-1],
        "every second": photo[::2, ::2],
        "turned": photo.transpose(1, 0, 2),
        "read-only": np.frombuffer(photo.tobytes(), np.uint8).reshape(photo.shape),
        "columns first": np.asfortranarray(photo),
        "wider": np.dstack([photo, photo])[..., 1:4],
    }[view]
    expected = stylizer(odd.copy(order="C"))
    assert np.array_equal(stylizer(odd), expected)
    assert np.abs(stylizer(np.stack([odd, odd])[::-1])[1].astype(int) - expected).max() <= 1
    assert stylizer(odd).flags.writeable


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((8, 8, 3)),
        np.zeros((8, 8, 3), np.int16),
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((3, 8, 8), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((2, 8, 0, 3), np.uint8),
        np.zeros((1, 1, 8, 8, 3), np.uint8),
        np.uint8(3),
        None,
        "photo.jpg",
    ],
    ids=lambda wrong: f"{np.shape(wrong)} {getattr(wrong, 'dtype', wrong)}",
)
def test_other_arrays_are_refused(stylizer: Stylizer, wrong: Any) -> None:
    with pytest.raises(LivestyleError, match=r"expected \(H, W, 3\) or \(N, H, W, 3\) uint8 RGB, found"):
        stylizer(wrong)


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_unavailable_device_is_refused(gallery: Gallery, device: str) -> None:
    with pytest.raises(DeviceError, match=device):
        Stylizer("ash", device=device, gallery=gallery)


def test_best_batch_is_measured_once(stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch) -> None:
    best = stylizer.best_batch((24, 32, 3))
    assert best in stylizer.engine.batches
    with monkeypatch.context() as patched:
        patched.setattr(stylizer, "engine", None)  # not used the second time
        assert stylizer.best_batch((24, 32, 3)) == best


def test_best_batch_is_measured_with_the_network_of_the_look(
    gallery: Gallery, stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Stylizer("ash", model="full", device="cpu", gallery=gallery) as other:
        look = other.default_look
    painted: list[str] = []
    submit = stylizer.engine.submit
    monkeypatch.setattr(
        stylizer.engine, "submit", lambda batch: painted.append(batch[0][1].body.architecture.name) or submit(batch)
    )
    stylizer.best_batch((24, 32, 3), look=look)
    assert set(painted) == {"full"}
    stylizer.best_batch((24, 32, 3))
    assert set(painted) == {"full", "lite"}


def test_few_frames_are_painted_without_measuring(stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[tuple[int, ...]] = []
    measure = stylizer._measure_batches
    monkeypatch.setattr(stylizer, "_measure_batches", lambda shape, look: measured.append(shape) or measure(shape, look))
    assert stylizer.best_batch((24, 32, 3), MANY_FRAMES - 1) == 1
    stylizer(np.zeros((MANY_FRAMES - 1, 24, 32, 3), np.uint8))
    assert measured == []
    best = stylizer.best_batch((24, 32, 3))  # of a source with an unknown number of frames
    assert measured == [(24, 32, 3)]
    assert stylizer.best_batch((24, 32, 3), 1) == stylizer.best_batch((24, 32, 3), MANY_FRAMES) == best
    assert len(measured) == 1


def test_many_frames_equal_each_frame_alone(stylizer: Stylizer) -> None:
    frames = np.random.default_rng(1).integers(60, 190, (MANY_FRAMES + 1, 20, 27, 3), np.uint8)
    painted = stylizer(frames)
    for number in (0, MANY_FRAMES // 2, MANY_FRAMES):
        assert np.abs(painted[number].astype(int) - stylizer(frames[number])).max() <= 1


@pytest.mark.parametrize(
    "wrong",
    [
        *([], [None], np.zeros((8, 8, 3))),
        *([np.zeros(shape, np.uint8)] for shape in ((8, 8, 4), (0, 8, 3), (12, 8))),
        [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)],
    ],
    ids=["none", "None", "a picture", "RGBA", "empty", "NV12", "two sizes"],
)
def test_batches_of_anything_else_are_refused(stylizer: Stylizer, wrong: Any) -> None:
    with pytest.raises(LivestyleError, match=r"^expected .*, found "):
        stylizer.submit(wrong)


@pytest.mark.parametrize("wrong", [[[1, 2], [3]], {"a": 1}, object()], ids=["ragged", "dict", "object"])
def test_other_objects_are_refused(stylizer: Stylizer, wrong: Any) -> None:
    with pytest.raises(LivestyleError, match=r"expected \(H, W, 3\) or \(N, H, W, 3\) uint8 RGB, found"):
        stylizer(wrong)


@pytest.mark.parametrize(
    "style",
    [
        *("as\0h", "\0", "a\0b/c", "x\0.safetensors", "folder/\0.safetensors", "\ud800.safetensors", "~\0/x.safetensors"),
        *(None, 3, b"ash", ["ash"], {3: 1.0}, {"ash": None}, {}, ""),
    ],
    ids=repr,
)
def test_malformed_styles_are_refused(gallery: Gallery, style: Any) -> None:
    with pytest.raises(StyleError) as caught:
        Stylizer(style, device="cpu", gallery=gallery)
    assert str(caught.value).isprintable()


def test_style_may_be_a_path(style_folder: Path, gallery: Gallery, photo: Image) -> None:
    with Stylizer(style_folder / "coal.lite.safetensors", device="cpu", gallery=Gallery([])) as stylizer:
        painted = stylizer(photo)
    with Stylizer("coal", device="cpu", gallery=gallery) as stylizer:
        assert np.array_equal(stylizer(photo), painted)


def test_looks_are_equal_if_they_paint_the_same(style_folder: Path, stylizer: Stylizer) -> None:
    look = stylizer.default_look
    with Stylizer("ash", device="cpu", gallery=Gallery([style_folder])) as second:
        other = second.default_look
        assert other.body is not look.body
        assert other == look
        assert hash(other) == hash(look)
        assert {look: 1}[other] == 1
        assert replace(look, name="another name") == look
        for change in ({"strength": 0.5}, {"keep_colors": True}, {"rows": look.rows * 2}):
            assert replace(other, **change) != look
        assert second.look("coal") != look
        assert second.look("coal").body != look.body
    assert look != "ash"
    assert pickle.loads(pickle.dumps(look)) == look


def test_reprs_are_one_short_line(gallery: Gallery, stylizer: Stylizer, photo: Image) -> None:
    header = gallery.models("ash")["lite"]
    look = stylizer.default_look
    things = [stylizer, look, look.body, header, Frame(photo, Fraction(1, 3))]
    for thing in things:
        assert len(repr(thing)) < 400, repr(thing)
        assert "\n" not in repr(thing)
    assert repr(stylizer) == "Stylizer('ash', model='lite', device='cpu', strength=1.0, keep_colors=False)"
    assert repr(things[-1]) == "Frame((20, 27, 3) uint8, pts_seconds=1/3, captured_at=None)"


def test_close_is_idempotent_and_ends_painting(gallery: Gallery, photo: Image) -> None:
    stylizer = Stylizer("ash", device="cpu", gallery=gallery)
    ticket = stylizer.submit([photo, photo])
    stylizer.close()
    stylizer.close()
    assert len(ticket.result()) == 2
    for use in (lambda: stylizer(photo), lambda: stylizer.submit([photo] * 3), lambda: stylizer.warm_up(8, 8)):
        with pytest.raises(LivestyleError, match="closed"):
            use()


def test_two_stylizers_are_independent(gallery: Gallery, photo: Image) -> None:
    with Stylizer("ash", device="cpu", gallery=gallery) as one, Stylizer("birch", device="cpu", gallery=gallery) as two:
        first, second = one(photo), two(photo)
        tickets = [each.submit([photo] * 4) for each in (one, two, one, two)]
        for ticket, expected in zip(tickets, (first, second, first, second), strict=True):
            assert all(np.abs(image.astype(int) - expected).max() <= 1 for image in ticket.result())
        one.close()
        assert np.array_equal(two(photo), second)


def test_dir_lists_the_api() -> None:
    kinds = {name for name, thing in vars(errors).items() if isinstance(thing, type) and issubclass(thing, Exception)}
    assert {"Stylizer", "stylize", "styles"} | kinds <= set(dir(livestyle))
    assert all(hasattr(livestyle, name) for name in dir(livestyle))
    assert livestyle.StyleError is StyleError


def test_styles_lists_names(style_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livestyle.style_files.gallery.default_folders", lambda: [style_folder])
    assert livestyle.styles() == ["ash", "birch", "coal"]


def test_short_clip_is_painted_without_measuring(run: Any, make_clip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(*_: object) -> int:
        pytest.fail("measured for ten frames")

    monkeypatch.setattr(Stylizer, "_measure_batches", measured)
    assert run("video", make_clip(), "out.mp4", "--device", "cpu").code == 0
