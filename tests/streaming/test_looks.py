"""Look sources: constant looks, switched looks, and playlists, with crossfades computed by hand."""

import pickle
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from clock import Clock

from livestyle.look import Look, Mix
from livestyle.networks import ARCHITECTURES
from livestyle.networks.body import Body
from livestyle.streaming.looks import ConstantLook, LookSource, Playlist, SwitchedLook, crossfade

BODY, OTHER_BODY = (Body(ARCHITECTURES[name], {}) for name in ("lite", "full"))


def look(name: str, rows: list[list[float]], strength: float = 1.0, keep_colors: bool = False, body: Body = BODY) -> Look:
    return Look(body, np.array(rows, np.float32), strength, keep_colors, name)


ASH = look("ash", [[1, 2, -3], [0, 0.5, 8]])
BIRCH = look("birch", [[3, 2, 1], [-4, 0.25, 0]], strength=0.5)
COAL = look("coal", [[0, 0, 0], [1, 1, 1]])
OTHER = look("other", [[7, 7, 7], [7, 7, 7]], body=OTHER_BODY)
EACH, FADE = Fraction(2), Fraction(1, 2)  # seconds


def test_a_constant_look_is_the_same_object_at_all_times() -> None:
    source: LookSource = ConstantLook(ASH)
    assert all(source.at(Fraction(seconds)) is ASH for seconds in (-5, 0, 1, 10**9))


def test_a_switched_look_is_the_one_that_was_set_last() -> None:
    source = SwitchedLook(ASH, Clock())
    assert source.at(Fraction(3)) is ASH
    source.look = BIRCH
    assert source.at(Fraction(1)) is BIRCH
    assert source.look is BIRCH


class Shown:
    """The looks that a switched look returns. The presentation time stands still, as during a pause."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.source = SwitchedLook(ASH, self.clock)

    def after(self, seconds: float) -> Look | Mix:
        self.clock.now += seconds
        return self.source.at(Fraction(5))

    def rows_after(self, seconds: float) -> list[list[float]]:
        look = self.after(seconds)
        assert isinstance(look, Look)
        return look.rows.tolist()


@pytest.fixture
def shown() -> Shown:
    return Shown()


def test_fade_to_begins_with_the_next_frame_and_ends_with_the_new_look(shown: Shown) -> None:
    shown.after(0)
    shown.source.fade_to(COAL, 2)
    assert shown.source.look is COAL
    assert shown.after(7) == ASH  # the crossfade begins here
    # 3/4 (1, 2, -3), and 3/4 (0, .5, 8) + 1/4 (1, 1, 1)
    assert shown.rows_after(0.5) == [[0.75, 1.5, -2.25], [0.25, 0.625, 6.25]]
    assert shown.after(1.5) is COAL
    assert shown.after(7) is COAL


def test_fade_to_continues_from_the_look_that_is_shown(shown: Shown) -> None:
    shown.source.fade_to(COAL, 2)
    shown.after(0)
    middle = shown.rows_after(1)
    shown.source.fade_to(ASH, 2)
    assert shown.rows_after(0) == middle
    shown.source.look = BIRCH
    assert shown.after(0) is BIRCH


def test_fade_to_another_body_mixes_the_pictures(shown: Shown) -> None:
    shown.source.fade_to(OTHER, 2)
    assert [shown.after(0), shown.after(0.5), shown.after(1)] == [Mix(ASH, OTHER, share) for share in (0, 0.25, 0.75)]
    shown.source.fade_to(BIRCH, 2)  # from the body with the larger share
    assert [shown.after(0), shown.after(1)] == [Mix(OTHER, BIRCH, share) for share in (0, 0.5)]
    shown.source.fade_to(COAL, 2)
    assert shown.after(1) == BIRCH
    assert shown.after(2) is COAL


def test_a_crossfade_continues_when_the_look_is_adjusted(shown: Shown) -> None:
    shown.source.fade_to(COAL, 2)
    shown.after(0)
    before = shown.rows_after(1)
    shown.source.adjust(lambda look: replace(look, strength=0.5))
    look = shown.after(0)
    assert isinstance(look, Look)
    assert (look.rows.tolist(), look.strength) == (before, 0.5)
    assert shown.after(1) == replace(COAL, strength=0.5)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ("-100", ASH),
        ("-1/1000", ASH),
        ("0", ASH),
        ("3/2", ASH),  # the crossfade begins here
        ("2", BIRCH),
        ("7/2", BIRCH),
        ("4", COAL),
        ("6", COAL),  # the last one stays
        ("1000000", COAL),
    ],
)
def test_a_playlist_returns_its_look_objects_outside_of_crossfades(seconds: str, expected: Look) -> None:
    assert Playlist([ASH, BIRCH, COAL], EACH, FADE).at(Fraction(seconds)) is expected


@pytest.mark.parametrize(
    ("seconds", "rows", "strength", "name"),
    [
        # 1/4: 3/4 (1, 2, -3) + 1/4 (3, 2, 1), and 3/4 (0, .5, 8) + 1/4 (-4, .25, 0)
        ("13/8", [[1.5, 2, -2], [-1, 0.4375, 6]], 0.875, "ash"),
        ("14/8", [[2, 2, -1], [-2, 0.375, 4]], 0.75, "birch"),
        ("15/8", [[2.5, 2, 0], [-3, 0.3125, 2]], 0.625, "birch"),
        # from birch, of strength 1/2, to coal: 1/2 (3, 2, 1) and 1/2 (-4, .25, 0) + 1/2 (1, 1, 1)
        ("15/4", [[1.5, 1, 0.5], [-1.5, 0.625, 0.5]], 0.75, "coal"),
    ],
)
def test_a_crossfade_is_linear_in_rows_and_strength(seconds: str, rows: list[list[float]], strength: float, name: str) -> None:
    found = Playlist([ASH, BIRCH, COAL], EACH, FADE).at(Fraction(seconds))
    assert isinstance(found, Look)
    np.testing.assert_array_equal(found.rows, np.array(rows, np.float32))  # all of these are exact in float32
    assert found.rows.dtype == np.float32
    assert found.strength == strength
    assert found.name == name
    assert found.body is BODY


def test_the_rows_of_a_crossfade_are_exact_up_to_rounding_in_float32() -> None:
    rng = np.random.default_rng(0)
    one, other = (replace(ASH, rows=rng.normal(size=(2, 500)).astype(np.float32)) for _ in range(2))
    playlist = Playlist([one, other], EACH, FADE)
    for number in range(1, 25):
        share = Fraction(number, 25)
        found = playlist.at(Fraction(3, 2) + share / 2).rows
        expected = float(1 - share) * one.rows.astype(np.float64) + float(share) * other.rows.astype(np.float64)
        np.testing.assert_allclose(found, expected, rtol=0, atol=4e-7)


@pytest.mark.parametrize(("share", "expected"), [(0.0, False), (0.49, False), (0.5, True), (1.0, True)])
def test_keep_colors_changes_in_the_middle_of_a_crossfade(share: float, expected: bool) -> None:
    """It cannot be interpolated. At either end, the colours would jump while the styles are not mixed."""
    assert crossfade(ASH, replace(BIRCH, keep_colors=True), share).keep_colors is expected


def test_looks_with_different_bodies_are_mixed_in_the_picture() -> None:
    playlist = Playlist([ASH, OTHER, BIRCH], EACH, FADE)
    for seconds, expected in (
        ("3/2", ASH),
        ("15/8", Mix(ASH, OTHER, 0.75)),
        ("2", OTHER),
        ("7/2", OTHER),
        ("29/8", Mix(OTHER, BIRCH, 0.25)),
        ("4", BIRCH),
    ):
        assert playlist.at(Fraction(seconds)) == expected


def test_without_a_crossfade_looks_change_abruptly() -> None:
    playlist = Playlist([ASH, BIRCH], EACH)
    assert playlist.at(Fraction(1_999_999, 1_000_000)) is ASH
    assert playlist.at(Fraction(2)) is BIRCH


def test_a_crossfade_may_take_the_whole_time() -> None:
    playlist = Playlist([ASH, COAL], EACH, EACH)
    assert playlist.at(Fraction(0)) is ASH
    np.testing.assert_array_equal(playlist.at(Fraction(1)).rows, np.array([[0.5, 1, -1.5], [0.5, 0.75, 4.5]], np.float32))
    assert playlist.at(Fraction(2)) is COAL


def test_one_look_stays() -> None:
    playlist = Playlist([ASH], EACH, FADE)
    assert all(playlist.at(Fraction(seconds, 4)) is ASH for seconds in range(20))


@pytest.mark.parametrize(("count", "each", "fade"), [(0, 2, 1), (2, 0, 0), (2, -1, 0), (2, 1, 2), (2, 1, -1)])
def test_a_playlist_that_cannot_play_is_refused(count: int, each: int, fade: int) -> None:
    with pytest.raises(ValueError, match=r"playlist|crossfade"):
        Playlist([ASH] * count, Fraction(each), Fraction(fade))


@pytest.mark.parametrize("source", [ConstantLook(ASH), SwitchedLook(ASH), Playlist([ASH, BIRCH], EACH, FADE)], ids=type)
def test_a_look_source_can_be_pickled(source: LookSource) -> None:
    """A look source is part of a job, which may run in another process."""
    seconds = Fraction(13, 8)
    assert pickle.loads(pickle.dumps(source)).at(seconds) == source.at(seconds)
