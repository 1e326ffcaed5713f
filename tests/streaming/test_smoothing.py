"""Paintings held still: what is mixed, what is not, where it begins anew. Photos are drawn scenes, paintings made by hand."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from livestyle.frame import Frame, Image
from livestyle.look import Look
from livestyle.pictures.reading import resize
from livestyle.sources.demo import Lake
from livestyle.streaming.pipeline import offline, paint
from livestyle.streaming.smoothing import Smoothed, Smoothing, Unsmoothed, smoothing
from livestyle.style_files.gallery import Gallery
from livestyle.stylizer import Stylizer
from livestyle.train.content.drawn import scenes, tiles
from livestyle.train.measure.steadiness import drawn_clips, flicker, still

HEIGHT, WIDTH = 180, 320
ROOM = 40  # the scene is larger than a photo by so much, so that it can be moved


@pytest.fixture(scope="module")
def scene() -> Image:
    return Lake(WIDTH + ROOM, HEIGHT + ROOM).draw(0.0)


@pytest.fixture(scope="module")
def photo(scene: Image) -> Image:
    return view(scene, 0)


@pytest.fixture(scope="module")
def look(style_folder: Path) -> Look:
    with Stylizer("ash", device="cpu", gallery=Gallery([style_folder])) as stylizer:
        return stylizer.look


def view(scene: Image, x: int) -> Image:
    """A photo of the scene from x pixels further right."""
    return np.ascontiguousarray(scene[:HEIGHT, x : x + WIDTH])


def flat(level: int) -> Image:
    return np.full((HEIGHT, WIDTH, 3), level, np.uint8)


WALL = np.tile(tiles(), (3, 3, 1)).astype(np.uint8)


def strokes(seed: int) -> Image:
    """Tiles elsewhere, and in other colours, each time: what a painter does who begins anew with every frame."""
    rng = np.random.default_rng(seed)
    y, x = rng.integers(0, 256, 2)
    return np.ascontiguousarray(WALL[y : y + HEIGHT, x : x + WIDTH, rng.permutation(3)])


def run(smooth: Smoothing, frames: Iterable[tuple[Image, Image]]) -> list[Image]:
    """What is shown for (photo, painting) after (photo, painting)."""
    past, shown = None, []
    for photo, painting in frames:
        picture, past = smooth(past, photo, painting, None)
        shown.append(picture)
    return shown


def contrast(picture: Image) -> float:
    """Root mean square of the steps from one pixel to the next."""
    return float(np.sqrt(np.square(np.diff(picture.astype(np.float64), axis=1)).mean()))


# nothing, and the first frame


def test_without_strength_the_painting_is_shown_as_it_is(photo: Image) -> None:
    smooth = smoothing(0)
    assert isinstance(smooth, Unsmoothed)
    for painting in (flat(10), flat(90)):
        shown, past = smooth(None, photo, painting, None)
        assert shown is painting
        assert past is None


def test_the_first_frame_is_shown_as_it_is(photo: Image) -> None:
    np.testing.assert_array_equal(run(Smoothed(1), [(photo, strokes(0))])[0], strokes(0))


# mixing


@pytest.mark.parametrize(("strength", "levels"), [(1.0, [100, 104, 107]), (0.5, [100, 112, 117])])
def test_shares_by_hand(photo: Image, strength: float, levels: list[int]) -> None:
    """100, then 120 twice. Past .8: .8 x 100 + .2 x 120 = 104, .8 x 104 + .2 x 120 = 107.2. Past .4: 112, 116.8."""
    shown = run(Smoothed(strength), [(photo, flat(level)) for level in (100, 120, 120)])
    for picture, level in zip(shown, levels, strict=True):
        inner = picture[8:-8, 8:-8]  # an outermost pixel may seem to come from outside
        assert (inner == level).mean() > 0.99


def test_what_does_not_change_stays_as_it_is(photo: Image) -> None:
    painting = strokes(0)
    shown = run(Smoothed(1), [(photo, painting)] * 12)
    assert np.abs(shown[-1].astype(int) - painting).max() <= 2


def test_the_past_comes_along_with_the_motion(scene: Image) -> None:
    """Strokes that follow the scene stay strokes: without the motion, mixing them with themselves 5 pixels off would not."""
    frames = [(view(scene, x), view(WALL, x)) for x in range(0, 40, 5)]
    shown, painting = run(Smoothed(1), frames)[-1].astype(int), frames[-1][1].astype(int)
    held = np.abs(view(WALL, 30).astype(int) * 0.8 + painting * 0.2 - painting)
    inner = (slice(16, -16), slice(16, -16))
    assert np.abs(shown - painting)[inner].mean() < 0.3 * held[inner].mean()


def test_strokes_stay_strong(photo: Image) -> None:
    """Of paintings that have nothing in common a mere mixture keeps the root of .2^2 + (.8 x .2)^2 ... = 1/9: a third."""
    paintings = [strokes(seed) for seed in range(12)]
    shown = run(Smoothed(1), [(photo, painting) for painting in paintings])
    mixture = paintings[0].astype(np.float64)
    for painting in paintings[1:]:
        mixture = 0.8 * mixture + 0.2 * painting
    assert contrast(mixture.astype(np.uint8)) < 0.4 * contrast(paintings[-1])
    assert contrast(shown[-1]) > 0.7 * contrast(paintings[-1])


# where it is not mixed


def test_where_the_photos_differ_the_new_painting_is_shown(photo: Image) -> None:
    """Something appears: its place gets what was painted now, to the byte, and what is far from it the mixture."""
    after = photo.copy()
    after[60:120, 100:180] = resize(scenes()[0], 80, 60)
    shown = run(Smoothed(1), [(photo, flat(0)), (after, flat(200))])[1]
    assert (shown[66:114, 106:174] == 200).mean() > 0.95
    assert (shown[20:40, 220:300] == 40).mean() > 0.95


def test_what_comes_in_from_outside_is_new(scene: Image) -> None:
    """Also where it looks like its neighbour, as in the sky."""
    shown = run(Smoothed(1), [(view(scene, 0), flat(0)), (view(scene, 20), flat(200))])[1]
    assert (shown[:, -14:] == 200).mean() > 0.95
    assert (shown[40:140, 60:260] == 40).mean() > 0.9


def test_what_has_gone_leaves_no_ghost() -> None:
    """A disc that passes: its red stays off the ground that it has left."""
    clip = drawn_clips(frames=6, width=WIDTH, height=HEIGHT)[3]
    assert clip.name == "passing"
    y, x = np.mgrid[:HEIGHT, :WIDTH]

    def on_disc(number: int, radius: float) -> np.ndarray:
        t = number - 2.5  # as the clip is drawn: 2.3 to the left and .4 up a frame
        return np.hypot(x - 159.5 + 2.3 * t, y - 89.5 + 0.4 * t) < radius

    paintings = [np.where(on_disc(number, 45)[..., None], (255, 0, 0), (0, 0, 255)).astype(np.uint8) for number in range(6)]
    shown = run(Smoothed(1), zip(clip.frames, paintings, strict=True))[-1]
    left = on_disc(4, 45) & ~on_disc(5, 47)
    assert left.any()
    assert shown[left][:, 0].mean() < 20  # mixed in place, it would be .8 x 255
    assert shown[on_disc(5, 38)][:, 0].mean() > 250


def test_a_cut_begins_anew(photo: Image) -> None:
    other = resize(scenes()[0], WIDTH, HEIGHT)
    other[:40] = photo[:40]  # a bar that stays does not make it the same scene
    shown = run(Smoothed(1), [(photo, strokes(0)), (other, strokes(1)), (photo, strokes(2))])
    np.testing.assert_array_equal(shown, [strokes(0), strokes(1), strokes(2)])


def test_another_look_begins_anew(photo: Image, look: Look) -> None:
    smooth = Smoothed(1)
    _, past = smooth(None, photo, strokes(0), look)
    same, _ = smooth(past, photo, strokes(1), look)
    assert not np.array_equal(same, strokes(1))
    shown, past = smooth(past, photo, strokes(1), replace(look, strength=0.5))
    np.testing.assert_array_equal(shown, strokes(1))
    np.testing.assert_array_equal(past.painting, strokes(1))


def test_another_size_begins_anew(photo: Image) -> None:
    smaller = resize(photo, 160, 90), resize(strokes(1), 160, 90)
    np.testing.assert_array_equal(run(Smoothed(1), [(photo, strokes(0)), smaller])[1], smaller[1])


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (7, 3), (37, 53), (300, 20)])
def test_pictures_of_odd_sizes(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for picture in run(Smoothed(1), rng.integers(0, 256, (3, 2, *size, 3), np.uint8)):
        assert picture.shape == (*size, 3)
        assert picture.dtype == np.uint8


# steadiness


def test_a_noisy_still_flickers_less(photo: Image) -> None:
    """A painter who makes twice as much of all noise; a mean of frames with shares of .8, .8 x .2 ... would leave a third."""
    frames = still("lake", photo, frames=12).frames
    paintings = [np.clip((frame.astype(int) - 128) * 2 + 128, 0, 255).astype(np.uint8) for frame in frames]
    flickers = [flicker(run(smoothing(strength), zip(frames, paintings, strict=True))[4:]) for strength in (0, 0.5, 1)]
    assert flickers[1] < 0.8 * flickers[0]
    assert flickers[2] < 0.55 * flickers[0]


def test_restless_strokes_are_steadier_where_things_move() -> None:
    clip = drawn_clips(frames=6, width=WIDTH, height=HEIGHT)[0]
    paintings = [strokes(seed) for seed in range(6)]
    shown = {strength: run(smoothing(strength), zip(clip.frames, paintings, strict=True)) for strength in (0, 0.5, 1)}
    errors = [clip.unsteadiness(pictures) for pictures in shown.values()]
    assert errors[1] < 0.7 * errors[0]
    assert errors[2] < 0.3 * errors[0]


# in the house


@pytest.mark.parametrize("batch", [1, 3])
def test_a_pipeline_smooths_in_order(style_folder: Path, scene: Image, batch: int) -> None:
    photos = [view(scene, 2 * number) for number in range(7)]
    with Stylizer("ash", device="cpu", gallery=Gallery([style_folder])) as stylizer:
        paintings = [stylizer(photo) for photo in photos]
        frames = [Frame(photo, Fraction(number, 25)) for number, photo in enumerate(photos)]
        shown = list(paint(frames, stylizer, offline(batch), Smoothed(0.7)))
        plain = list(paint(frames, stylizer, offline(batch)))
    assert [frame.pts_seconds for frame in shown] == [frame.pts_seconds for frame in frames]
    expected = run(Smoothed(0.7), zip(photos, paintings, strict=True))
    for frame, unsmoothed, picture, painting in zip(shown, plain, expected, paintings, strict=True):
        assert np.abs(unsmoothed.image.astype(int) - painting).max() <= 1  # several at once may round otherwise
        assert np.abs(frame.image.astype(int) - picture).mean() < 0.5


def test_a_style_change_on_the_way_begins_anew(style_folder: Path, photo: Image) -> None:
    with Stylizer("ash", device="cpu", gallery=Gallery([style_folder])) as stylizer:

        def frames() -> Iterable[Frame]:
            for number in range(6):
                if number == 3:
                    stylizer.style = "birch"
                yield Frame(photo, Fraction(number, 25))

        shown = [frame.image for frame in paint(frames(), stylizer, offline(1), Smoothed(1))]
        assert np.abs(shown[3].astype(int) - stylizer(photo)).max() <= 1
        stylizer.style = "ash"
        assert np.abs(shown[2].astype(int) - stylizer(photo)).max() <= 2


@pytest.mark.parametrize("change", [lambda s: setattr(s, "style", "birch"), lambda s: setattr(s, "strength", 0.5)])
def test_a_look_that_was_changed_is_another_object(style_folder: Path, change: Callable[[Stylizer], None]) -> None:
    with Stylizer("ash", device="cpu", gallery=Gallery([style_folder])) as stylizer:
        before = stylizer.look
        assert stylizer.look is before
        change(stylizer)
        assert stylizer.look is not before
