"""The stylizer: looks and arrays."""

import pickle
import threading
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import livestyle
import livestyle.stylizer as stylizer_module
from livestyle import errors
from livestyle.errors import DeviceError, LivestyleError, StyleError
from livestyle.frame import Frame, Image
from livestyle.look import Look
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


def test_in_the_words_of_the_package() -> None:
    assert livestyle.Stylizer is Stylizer
    assert callable(livestyle.stylize)
    with pytest.raises(AttributeError):
        _ = livestyle.nothing


def test_a_picture_at_once(style_folder: Path, photo: Image) -> None:
    painted = livestyle.stylize(photo, style=str(style_folder / "birch.lite.safetensors"), device="cpu")
    assert painted.shape == photo.shape
    assert painted.dtype == np.uint8


def test_a_new_style_counts_from_the_next_frame(stylizer: Stylizer, photo: Image) -> None:
    ash = stylizer(photo)
    ticket = stylizer.submit([photo, photo])
    network = stylizer._look.body
    stylizer.style = "birch"
    assert stylizer.style == "birch"
    assert stylizer._look.body is network  # nothing was loaded or moved: only the rows are others
    birch = stylizer(photo)
    assert not np.array_equal(ash, birch)
    assert np.array_equal(ticket.result()[1], ash)
    stylizer.style = "ash"
    assert np.array_equal(stylizer(photo), ash)


def test_another_body_and_back(stylizer: Stylizer, photo: Image) -> None:
    ash, network = stylizer(photo), stylizer._look.body
    stylizer.style = "coal"
    assert stylizer._look.body is not network
    assert not np.array_equal(stylizer(photo), ash)
    stylizer.style = "ash"
    assert stylizer._look.body is network
    assert np.array_equal(stylizer(photo), ash)


@pytest.mark.parametrize("blend", ["ash:.75,birch:.25", {"ash": 3, "birch": 1}])
def test_blends_are_of_the_rows(stylizer: Stylizer, blend: Any) -> None:
    ash = stylizer._look.rows
    stylizer.style = "birch"
    birch = stylizer._look.rows
    stylizer.style = blend
    assert stylizer.style == blend
    np.testing.assert_allclose(stylizer._look.rows, 0.75 * ash + 0.25 * birch, atol=1e-6)


def test_a_refused_style_changes_nothing(stylizer: Stylizer, photo: Image) -> None:
    before = stylizer(photo)
    with pytest.raises(StyleError, match="ash and coal cannot be blended: their bodies differ"):
        stylizer.style = "ash,coal"
    with pytest.raises(StyleError, match="did you mean birch"):
        stylizer.style = "brich"
    with pytest.raises(StyleError, match="cannot read the style"):
        stylizer.style = "ash:nan"
    assert stylizer.style == "ash"
    assert np.array_equal(stylizer(photo), before)


def test_models(gallery: Gallery, photo: Image) -> None:
    with Stylizer("ash", "full", "cpu", gallery=gallery) as full:
        assert full.model == "full"
        assert full(photo).shape == photo.shape
        with pytest.raises(StyleError, match="the model full does not fit: birch is there for lite"):
            full.style = "birch"
    with Stylizer("ash", "auto", "cpu", gallery=gallery) as auto:
        assert auto.model == "lite"
    with pytest.raises(StyleError, match="coal is there for lite"):
        Stylizer("ash,coal", "full", "cpu", gallery=gallery)
    with pytest.raises(StyleError, match="no model 'huge'; there are auto, full, lite"):
        Stylizer("ash", "huge", "cpu", gallery=gallery)


def test_auto_takes_what_is_there(style_folder: Path, photo: Image) -> None:
    with Stylizer(str(style_folder / "ash.full.safetensors"), "auto", "cpu", gallery=Gallery([])) as stylizer:
        assert stylizer.model == "full"


def test_all_styles_are_made_ready(stylizer: Stylizer) -> None:
    assert stylizer.load_all() == ["ash", "birch", "coal"]
    assert len(stylizer._bodies) == 2  # one is shared, and no full: lite is there for all


def test_styles_that_are_not_there_or_do_not_fit_are_left_out(style_folder: Path, tmp_path: Path) -> None:
    for name in ("coal.lite.safetensors", "birch.lite.safetensors"):  # birch without its body
        (tmp_path / name).write_bytes((style_folder / name).read_bytes())
    gallery = Gallery([tmp_path])
    with Stylizer("coal", device="cpu", gallery=gallery) as stylizer:
        assert stylizer.load_all() == ["coal"]
    assert len(gallery.notes) == 1
    assert "birch.lite.safetensors needs a body" in gallery.notes[0]


def test_strength_goes_from_photo_to_painting(stylizer: Stylizer, photo: Image) -> None:
    painted = stylizer(photo)
    stylizer.strength = 0
    assert np.array_equal(stylizer(photo), photo)
    stylizer.strength = 0.25
    expected = photo + 0.25 * (painted.astype(float) - photo)
    assert np.abs(stylizer(photo) - expected).max() <= 1.01
    stylizer.strength = 1
    assert np.array_equal(stylizer(photo), painted)


@pytest.mark.parametrize("strength", [-0.01, 1.01, 2, float("nan"), float("inf")])
def test_strength_has_bounds(stylizer: Stylizer, gallery: Gallery, strength: float) -> None:
    stylizer.strength = 0.5
    with pytest.raises(LivestyleError, match="strength is from 0, the photo, to 1, the painting"):
        stylizer.strength = strength
    assert stylizer.strength == 0.5
    with pytest.raises(LivestyleError, match="strength"):
        Stylizer("ash", device="cpu", strength=strength, gallery=gallery)


def ycbcr(image: Image) -> tuple[Any, Any, Any]:
    """BT.601, without an offset."""
    r, g, b = (image[..., channel].astype(float) for channel in range(3))
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return y, (b - y) / 1.772, (r - y) / 1.402


def test_keep_colors_takes_lightness_from_the_painting_and_colours_from_the_photo(stylizer: Stylizer, photo: Image) -> None:
    painted = stylizer(photo)
    stylizer.keep_colors = True
    assert stylizer.keep_colors is True
    kept = stylizer(photo)
    inside = ((kept > 0) & (kept < 255)).all(-1)  # elsewhere a colour was cut at black or white
    assert inside.mean() > 0.7
    (y, cb, cr), (_, photo_cb, photo_cr), (painted_y, _, _) = ycbcr(kept), ycbcr(photo), ycbcr(painted)
    assert np.abs(cb - photo_cb)[inside].max() <= 1.5
    assert np.abs(cr - photo_cr)[inside].max() <= 1.5
    assert np.abs(y - painted_y)[inside].max() <= 1.5
    _, painted_cb, _ = ycbcr(painted)
    assert np.abs(painted_cb - photo_cb).max() > 10
    stylizer.keep_colors = False
    assert np.array_equal(stylizer(photo), painted)


def test_looks_given_at_the_start(gallery: Gallery, photo: Image) -> None:
    with Stylizer("ash", device="cpu", strength=0, keep_colors=True, gallery=gallery) as stylizer:
        assert (stylizer.strength, stylizer.keep_colors) == (0, True)
        assert np.array_equal(stylizer(photo), photo)


def test_changes_of_the_look_add_up(stylizer: Stylizer) -> None:
    stylizer.strength, stylizer.keep_colors, stylizer.style = 0.4, True, "coal"
    assert (stylizer.strength, stylizer.keep_colors, stylizer.style) == (0.4, True, "coal")
    assert (stylizer._look.strength, stylizer._look.keep_colors) == (0.4, True)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_many_frames_are_one_by_one(stylizer: Stylizer, photo: Image, count: int) -> None:
    frames = np.stack([np.roll(photo, 5 * number, axis=0) for number in range(5)])[:count]
    painted = stylizer(frames)
    assert painted.shape == frames.shape
    assert painted.dtype == np.uint8
    for frame, result in zip(frames, painted, strict=True):
        assert np.abs(stylizer(frame).astype(int) - result).max() <= 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("view", ["mirrored", "every second", "turned", "read-only", "columns first", "wider"])
def test_arrays_of_any_layout(stylizer: Stylizer, photo: Image, view: str) -> None:
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
def test_arrays_that_are_no_pictures(stylizer: Stylizer, wrong: Any) -> None:
    with pytest.raises(LivestyleError, match=r"expected \(H, W, 3\) or \(N, H, W, 3\) uint8 RGB, found"):
        stylizer(wrong)


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_devices_that_are_not_there(gallery: Gallery, device: str) -> None:
    with pytest.raises(DeviceError, match=device):
        Stylizer("ash", device=device, gallery=gallery)


def test_the_best_batch_is_measured_once(stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch) -> None:
    best = stylizer.best_batch((24, 32, 3))
    assert best in stylizer.engine.batches
    with monkeypatch.context() as patched:
        patched.setattr(stylizer, "engine", None)  # it is not asked again
        assert stylizer.best_batch((24, 32, 3)) == best


def test_few_frames_are_not_worth_measuring(stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[tuple[int, ...]] = []
    measure = stylizer._measure_batches
    monkeypatch.setattr(stylizer, "_measure_batches", lambda shape: measured.append(shape) or measure(shape))
    assert stylizer.best_batch((24, 32, 3), MANY_FRAMES - 1) == 1
    stylizer(np.zeros((MANY_FRAMES - 1, 24, 32, 3), np.uint8))
    assert measured == []
    best = stylizer.best_batch((24, 32, 3))  # a source that does not know how many
    assert measured == [(24, 32, 3)]
    assert stylizer.best_batch((24, 32, 3), 1) == stylizer.best_batch((24, 32, 3), MANY_FRAMES) == best
    assert len(measured) == 1


def test_many_frames_are_painted_in_batches(stylizer: Stylizer) -> None:
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
def test_frames_that_are_none(stylizer: Stylizer, wrong: Any) -> None:
    with pytest.raises(LivestyleError, match=r"^expected .*, found "):
        stylizer.submit(wrong)


@pytest.mark.parametrize("wrong", [[[1, 2], [3]], {"a": 1}, object()], ids=["ragged", "dict", "object"])
def test_other_objects_that_are_no_pictures(stylizer: Stylizer, wrong: Any) -> None:
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
def test_styles_that_are_none(gallery: Gallery, style: Any) -> None:
    with pytest.raises(StyleError) as caught:
        Stylizer(style, device="cpu", gallery=gallery)
    assert str(caught.value).isprintable()


def test_a_style_by_its_path(style_folder: Path, gallery: Gallery, photo: Image) -> None:
    with Stylizer(style_folder / "coal.lite.safetensors", device="cpu", gallery=Gallery([])) as stylizer:
        painted = stylizer(photo)
    with Stylizer("coal", device="cpu", gallery=gallery) as stylizer:
        assert np.array_equal(stylizer(photo), painted)


@pytest.mark.parametrize("strength", ["much", None, float("nan"), -0.1, 1.1, 1 + 1j])
def test_strengths_that_are_none(stylizer: Stylizer, strength: Any) -> None:
    with pytest.raises(LivestyleError, match="strength is from 0"):
        stylizer.strength = strength
    assert stylizer.strength == 1


def test_two_threads_change_the_look(stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sets the style, one the strength; the second begins while the first is about to replace the look."""
    begun, replaces = threading.Event(), stylizer_module.replace
    other = threading.Thread(target=lambda: setattr(stylizer, "strength", 0.25))

    def slow_replace(look: Look, **changes: Any) -> Look:
        if "rows" in changes:
            other.start()
            begun.wait(0.2)  # whoever may go on, goes on
        changed = replaces(look, **changes)
        if "strength" in changes:
            begun.set()
        return changed

    monkeypatch.setattr(stylizer_module, "replace", slow_replace)
    birch = stylizer._find("birch").rows
    stylizer.style = "birch"
    other.join()
    assert (stylizer.style, stylizer.strength) == ("birch", 0.25)
    assert np.array_equal(stylizer.look.rows, birch)


def test_looks_are_equal_that_paint_the_same(style_folder: Path, stylizer: Stylizer) -> None:
    look = stylizer.look
    with Stylizer("ash", device="cpu", gallery=Gallery([style_folder])) as second:
        other = second.look
        assert other.body is not look.body
        assert other == look
        assert hash(other) == hash(look)
        assert {look: 1}[other] == 1
        for change in ({"strength": 0.5}, {"keep_colors": True}, {"rows": look.rows * 2}):
            assert replace(other, **change) != look
        second.style = "coal"
        assert second.look != look
        assert second.look.body != look.body
    assert look != "ash"
    assert pickle.loads(pickle.dumps(look)) == look


def test_one_line_each(gallery: Gallery, stylizer: Stylizer, photo: Image) -> None:
    header = gallery.models("ash")["lite"]
    things = [stylizer, stylizer.look, stylizer.look.body, header, stylizer._styles[header], Frame(photo, Fraction(1, 3))]
    for thing in things:
        assert len(repr(thing)) < 400, repr(thing)
        assert "\n" not in repr(thing)
    assert repr(stylizer) == "Stylizer('ash', model='lite', device='cpu', strength=1.0, keep_colors=False)"
    assert repr(things[-1]) == "Frame((20, 27, 3) uint8, pts_seconds=1/3, captured_at=None)"


def test_closed_twice_and_used_after_that(gallery: Gallery, photo: Image) -> None:
    stylizer = Stylizer("ash", device="cpu", gallery=gallery)
    ticket = stylizer.submit([photo, photo])
    stylizer.close()
    stylizer.close()
    assert len(ticket.result()) == 2
    for use in (lambda: stylizer(photo), lambda: stylizer.submit([photo] * 3), lambda: stylizer.warm_up(8, 8)):
        with pytest.raises(LivestyleError, match="closed"):
            use()


def test_two_at_once(gallery: Gallery, photo: Image) -> None:
    with Stylizer("ash", device="cpu", gallery=gallery) as one, Stylizer("birch", device="cpu", gallery=gallery) as two:
        first, second = one(photo), two(photo)
        tickets = [each.submit([photo] * 4) for each in (one, two, one, two)]
        for ticket, expected in zip(tickets, (first, second, first, second), strict=True):
            assert all(np.abs(image.astype(int) - expected).max() <= 1 for image in ticket.result())
        one.close()
        assert np.array_equal(two(photo), second)


def test_the_package_lists_its_names() -> None:
    kinds = {name for name, thing in vars(errors).items() if isinstance(thing, type) and issubclass(thing, Exception)}
    assert {"Stylizer", "stylize", "styles"} | kinds <= set(dir(livestyle))
    assert all(hasattr(livestyle, name) for name in dir(livestyle))
    assert livestyle.StyleError is StyleError


def test_styles_are_listed(style_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livestyle.style_files.gallery.default_folders", lambda: [style_folder])
    assert livestyle.styles() == ["ash", "birch", "coal"]


def test_a_short_clip_is_painted_at_once(run: Any, make_clip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(*_: object) -> int:
        pytest.fail("ten frames are not worth it")

    monkeypatch.setattr(Stylizer, "_measure_batches", measured)
    assert run("video", make_clip(), "out.mp4", "--device", "cpu").code == 0
