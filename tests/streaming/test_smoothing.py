"""Smoothing: what is mixed, what is not, and where it restarts. Photos are drawn scenes, paintings are synthetic."""

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from livestyle.frame import Frame, Image
from livestyle.look import Look
from livestyle.networks import ARCHITECTURES
from livestyle.networks.body import Body
from livestyle.pictures.pixels import resize
from livestyle.sources.demo import Lake
from livestyle.streaming.looks import ConstantLook, Playlist, SwitchedLook, crossfade
from livestyle.streaming.pipeline import Painted, offline, paint_frames
from livestyle.streaming.smoothing import smoothed, smoothing
from livestyle.style_files.gallery import Gallery
from livestyle.stylizer import Stylizer
from livestyle.train.content.drawn import scenes, tiles
from livestyle.train.measure.steadiness import drawn_clips, flicker, still

HEIGHT, WIDTH = 180, 320
MARGIN = 40  # pixels by which the scene is larger than a photo, so that the photo can move within it


@pytest.fixture(scope="module")
def scene() -> Image:
    return Lake(WIDTH + MARGIN, HEIGHT + MARGIN).draw(0.0)


@pytest.fixture(scope="module")
def photo(scene: Image) -> Image:
    return view(scene, 0)


def view(scene: Image, x: int) -> Image:
    """Crop a photo from the scene, x pixels from the left border."""
    return np.ascontiguousarray(scene[:HEIGHT, x : x + WIDTH])


def flat(level: int) -> Image:
    return np.full((HEIGHT, WIDTH, 3), level, np.uint8)


WALL = np.tile(tiles(), (3, 3, 1)).astype(np.uint8)


def strokes(seed: int) -> Image:
    """Painting of tiles, at a random place and in random colours for every seed: two such paintings are independent."""
    rng = np.random.default_rng(seed)
    y, x = rng.integers(0, 256, 2)
    return np.ascontiguousarray(WALL[y : y + HEIGHT, x : x + WIDTH, rng.permutation(3)])


ROWS = np.random.default_rng(0).normal(size=(2, 50)).astype(np.float32)
LOOK = Look(Body(ARCHITECTURES["lite"], {}), ROWS, name="ash")


def run(strength: float, frames: Iterable[tuple[Image, Image]], looks: Iterable[Look] | None = None) -> list[Image]:
    """Smooth pairs (photo, painting) and return the pictures shown. looks: one per pair; None for a constant look."""
    looks = [LOOK] * len(frames := list(frames)) if looks is None else looks
    painted = [
        Painted(Frame(painting, Fraction(number, 25)), photo, look)
        for number, ((photo, painting), look) in enumerate(zip(frames, looks, strict=True))
    ]
    shown = list(smoothed(painted, strength))
    assert [item.frame.pts_seconds for item in shown] == [item.frame.pts_seconds for item in painted]
    for before, after in zip(painted, shown, strict=True):
        assert before.photo is after.photo  # a later stage may use it
        assert before.look is after.look
    return [item.frame.image for item in shown]


def contrast(picture: Image) -> float:
    """Root mean square of the differences between neighbouring pixels."""
    return float(np.sqrt(np.square(np.diff(picture.astype(np.float64), axis=1)).mean()))


# no smoothing, and the first frame


def test_there_is_no_stage_at_strength_zero() -> None:
    assert list(smoothing(0)) == []
    assert len(smoothing(0.1)) == 1


def test_the_first_painting_is_shown_unchanged(photo: Image) -> None:
    np.testing.assert_array_equal(run(1, [(photo, strokes(0))])[0], strokes(0))


# mixing


@pytest.mark.parametrize(("strength", "levels"), [(1.0, [100, 104, 107]), (0.5, [100, 112, 117])])
def test_paintings_are_mixed_with_the_right_shares(photo: Image, strength: float, levels: list[int]) -> None:
    """Grey levels 100, 120, 120. With a share .8 of the past: .8 x 100 + .2 x 120 = 104, .8 x 104 + .2 x 120 = 107.2.

    With .4: 112, 116.8.
    """
    shown = run(strength, [(photo, flat(level)) for level in (100, 120, 120)])
    for picture, level in zip(shown, levels, strict=True):
        inner = picture[8:-8, 8:-8]  # pixels at the border may be taken for new ones
        assert (inner == level).mean() > 0.99


def test_a_constant_painting_stays_unchanged(photo: Image) -> None:
    painting = strokes(0)
    shown = run(1, [(photo, painting)] * 12)
    assert np.abs(shown[-1].astype(int) - painting).max() <= 2


def test_the_past_painting_follows_the_motion(scene: Image) -> None:
    """Strokes that follow the scene stay sharp. Without the motion they would be mixed with strokes 5 pixels apart."""
    frames = [(view(scene, x), view(WALL, x)) for x in range(0, 40, 5)]
    shown, painting = run(1, frames)[-1].astype(int), frames[-1][1].astype(int)
    held = np.abs(view(WALL, 30).astype(int) * 0.8 + painting * 0.2 - painting)
    inner = (slice(16, -16), slice(16, -16))
    assert np.abs(shown - painting)[inner].mean() < 0.3 * held[inner].mean()


def test_mixing_keeps_the_contrast_of_the_strokes(photo: Image) -> None:
    """A plain mixture of independent paintings keeps a contrast of sqrt(.2^2 + (.8 x .2)^2 + ...) = sqrt(1/9): a third."""
    paintings = [strokes(seed) for seed in range(12)]
    shown = run(1, [(photo, painting) for painting in paintings])
    mixture = paintings[0].astype(np.float64)
    for painting in paintings[1:]:
        mixture = 0.8 * mixture + 0.2 * painting
    assert contrast(mixture.astype(np.uint8)) < 0.4 * contrast(paintings[-1])
    assert contrast(shown[-1]) > 0.7 * contrast(paintings[-1])


# where paintings are not mixed


def test_the_new_painting_is_shown_unchanged_where_the_photos_differ(photo: Image) -> None:
    """Where an object appears, the new painting is shown unchanged; far from there, the mixture."""
    after = photo.copy()
    after[60:120, 100:180] = resize(scenes()[0], 80, 60)
    shown = run(1, [(photo, flat(0)), (after, flat(200))])[1]
    assert (shown[66:114, 106:174] == 200).mean() > 0.95
    assert (shown[20:40, 220:300] == 40).mean() > 0.95


def test_pixels_that_enter_the_frame_are_not_mixed(scene: Image) -> None:
    """Even if they look like the pixels beside them, as in the sky."""
    shown = run(1, [(view(scene, 0), flat(0)), (view(scene, 20), flat(200))])[1]
    assert (shown[:, -14:] == 200).mean() > 0.95
    assert (shown[40:140, 60:260] == 40).mean() > 0.9


def test_a_passing_object_leaves_no_ghost() -> None:
    """A red disc moves: no red stays on the background that it uncovers."""
    clip = drawn_clips(frames=6, width=WIDTH, height=HEIGHT)[3]
    assert clip.name == "passing"
    y, x = np.mgrid[:HEIGHT, :WIDTH]

    def on_disc(number: int, radius: float) -> np.ndarray:
        t = number - 2.5  # as the clip is drawn: 2.3 pixels to the left and .4 up per frame
        return np.hypot(x - 159.5 + 2.3 * t, y - 89.5 + 0.4 * t) < radius

    paintings = [np.where(on_disc(number, 45)[..., None], (255, 0, 0), (0, 0, 255)).astype(np.uint8) for number in range(6)]
    shown = run(1, zip(clip.frames, paintings, strict=True))[-1]
    left = on_disc(4, 45) & ~on_disc(5, 47)
    assert left.any()
    assert shown[left][:, 0].mean() < 20  # mixed without motion, it would be .8 x 255
    assert shown[on_disc(5, 38)][:, 0].mean() > 250


def test_smoothing_restarts_at_a_cut_of_the_scene(photo: Image) -> None:
    other = resize(scenes()[0], WIDTH, HEIGHT)
    other[:40] = photo[:40]  # despite an unchanged bar, the scene is another one
    shown = run(1, [(photo, strokes(0)), (other, strokes(1)), (photo, strokes(2))])
    np.testing.assert_array_equal(shown, [strokes(0), strokes(1), strokes(2)])


JUMPS = {
    "style": replace(LOOK, rows=ROWS + np.float32(0.2) * np.roll(ROWS, 1), name="birch"),  # shipped styles differ by .28 and more
    "strength": replace(LOOK, strength=0.9),  # one press of a key
    "colours": replace(LOOK, keep_colors=True),
    "body": replace(LOOK, body=Body(ARCHITECTURES["full"], {})),
}


@pytest.mark.parametrize("other", JUMPS.values(), ids=JUMPS)
def test_smoothing_restarts_where_the_look_jumps(photo: Image, other: Look) -> None:
    frames = [(photo, strokes(seed)) for seed in range(3)]
    shown = run(1, frames, [LOOK, other, other])
    np.testing.assert_array_equal(shown[1], strokes(1))
    np.testing.assert_array_equal(shown[2], run(1, frames[1:])[1])  # the first painting has no effect


def test_equal_looks_are_one_look(photo: Image) -> None:
    frames = [(photo, strokes(seed)) for seed in range(2)]
    np.testing.assert_array_equal(run(1, frames, [LOOK, replace(LOOK, rows=ROWS.copy(), name="same")]), run(1, frames))


def test_smoothing_continues_through_a_crossfade(photo: Image) -> None:
    """Frames are mixed as if all had one look, including the first and the last of the crossfade."""
    other = replace(LOOK, rows=np.roll(ROWS, 25), strength=0.4, name="birch")
    playlist = Playlist([LOOK, other], Fraction(16, 25), Fraction(14, 25))
    looks = [playlist.at(Fraction(number, 25)) for number in range(18)]
    assert looks[2] is LOOK
    assert looks[3] is not LOOK
    assert looks[15] is not other
    assert looks[16] is other
    frames = [(photo, strokes(number)) for number in range(18)]
    np.testing.assert_array_equal(run(1, frames, looks), run(1, frames))


def test_a_crossfade_of_two_frames_is_a_jump(photo: Image) -> None:
    other = replace(LOOK, rows=np.roll(ROWS, 25))
    shown = run(1, [(photo, strokes(number)) for number in range(3)], [LOOK, crossfade(LOOK, other, 0.5), other])
    np.testing.assert_array_equal(shown, [strokes(0), strokes(1), strokes(2)])


def test_smoothing_restarts_where_the_size_changes(photo: Image) -> None:
    smaller = resize(photo, 160, 90), resize(strokes(1), 160, 90)
    np.testing.assert_array_equal(run(1, [(photo, strokes(0)), smaller])[1], smaller[1])


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (7, 3), (37, 53), (300, 20)])
def test_any_size_is_smoothed(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for picture in run(1, rng.integers(0, 256, (3, 2, *size, 3), np.uint8)):
        assert picture.shape == (*size, 3)
        assert picture.dtype == np.uint8


# steadiness


def test_a_still_scene_with_noise_flickers_less(photo: Image) -> None:
    """The paintings double all noise. A plain mean with shares of .2, .8 x .2 ... would leave a third of it."""
    frames = still("lake", photo, frames=12).frames
    paintings = [np.clip((frame.astype(int) - 128) * 2 + 128, 0, 255).astype(np.uint8) for frame in frames]
    flickers = [flicker(run(strength, zip(frames, paintings, strict=True))[4:]) for strength in (0, 0.5, 1)]
    assert flickers[1] < 0.8 * flickers[0]
    assert flickers[2] < 0.55 * flickers[0]


def test_smoothing_steadies_strokes_on_moving_objects() -> None:
    clip = drawn_clips(frames=6, width=WIDTH, height=HEIGHT)[0]
    paintings = [strokes(seed) for seed in range(6)]
    shown = {strength: run(strength, zip(clip.frames, paintings, strict=True)) for strength in (0, 0.5, 1)}
    errors = [clip.warping_error(pictures) for pictures in shown.values()]
    assert errors[1] < 0.7 * errors[0]
    assert errors[2] < 0.3 * errors[0]


# in a pipeline


@pytest.mark.parametrize("batch", [1, 3])
def test_a_pipeline_smooths_its_frames_in_order(style_folder: Path, scene: Image, batch: int) -> None:
    photos = [view(scene, 2 * number) for number in range(7)]
    with Stylizer("ash", device="cpu", gallery=Gallery([style_folder])) as stylizer:
        looks = ConstantLook(stylizer.default_look)
        paintings = [stylizer(photo) for photo in photos]
        frames = [Frame(photo, Fraction(number, 25)) for number, photo in enumerate(photos)]
        shown = list(paint_frames(frames, stylizer.engine, looks, offline(batch), smoothing(0.7)))
        plain = list(paint_frames(frames, stylizer.engine, looks, offline(batch)))
    assert [frame.pts_seconds for frame in shown] == [frame.pts_seconds for frame in frames]
    expected = run(0.7, zip(photos, paintings, strict=True))
    for frame, unsmoothed, picture, painting in zip(shown, plain, expected, paintings, strict=True):
        assert np.abs(unsmoothed.image.astype(int) - painting).max() <= 1  # a larger batch may round differently
        assert np.abs(frame.image.astype(int) - picture).mean() < 0.5


def test_smoothing_restarts_where_a_style_is_switched(style_folder: Path, photo: Image) -> None:
    with Stylizer("ash", device="cpu", gallery=Gallery([style_folder])) as stylizer:
        ash, birch = stylizer.look("ash"), stylizer.look("birch")
        looks = SwitchedLook(ash)

        def frames() -> Iterable[Frame]:
            for number in range(6):
                if number == 3:
                    looks.look = birch
                yield Frame(photo, Fraction(number, 25))

        shown = [frame.image for frame in paint_frames(frames(), stylizer.engine, looks, offline(1), smoothing(1))]
        np.testing.assert_array_equal(shown[3], stylizer(photo, birch))
        assert np.abs(shown[2].astype(int) - stylizer(photo, ash)).max() <= 2
