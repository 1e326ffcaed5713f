"""Warping error and flicker: values worked out by hand, drawn clips, and real clips."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from livestyle.errors import InputError
from livestyle.frame import Image
from livestyle.pictures.pixels import resize
from livestyle.streaming.optical_flow import EXACT, FAST, Mask, find_flow, inside, seen_in_both, warped
from livestyle.train.content.drawn import scenes
from livestyle.train.measure.steadiness import (
    Motion,
    MovingClip,
    Steadiness,
    StillClip,
    drawn_clips,
    flicker,
    measure_steadiness,
    read_clip,
    read_still,
    still,
    track_motion,
    warping_error,
)

SHARED = Path(__file__).resolve().parents[3] / "shared"


def noise(height: int, width: int, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def constant(height: int, width: int, x: float, y: float) -> np.ndarray:
    return np.full((height, width, 2), (x, y), np.float32)


@pytest.fixture(scope="module")
def drawn() -> list[MovingClip]:
    return drawn_clips(frames=3, width=160, height=90)


# motion


def test_warped_follows_the_flow() -> None:
    one, other = np.zeros((6, 8), np.float32), np.zeros((6, 8), np.float32)
    one[2, 3], other[3, 5] = 9, 9  # two to the right, one down
    np.testing.assert_array_equal(warped(other, constant(6, 8, 2, 1)), one)


def test_pixels_that_leave_the_picture_are_not_inside() -> None:
    np.testing.assert_array_equal(inside(constant(2, 4, 1.5, 0)), [[True, True, False, False]] * 2)
    np.testing.assert_array_equal(inside(constant(3, 2, 0, -1))[:, 0], [False, True, True])


def test_pixels_hidden_by_a_moving_object_are_not_seen_in_both() -> None:
    """Columns 4 to 7 of 12 move two pixels to the right and hide columns 8 and 9, which do not move."""
    flow, back = constant(5, 12, 0, 0), constant(5, 12, 0, 0)
    flow[:, 4:8, 0], back[:, 6:10, 0] = 2, -2
    seen = seen_in_both(flow, back)
    # 3 and 7: the flow changes abruptly to their right, 1 x 4 > .01 x 4 + .002. 8 and 9 are hidden: 4 > .01 x 4 + .5
    expected = [True, True, True, False, True, True, True, False, False, False, True, True]
    np.testing.assert_array_equal(seen, [expected] * 5)


def test_flows_that_agree_within_the_tolerance_are_trusted() -> None:
    """Flows that differ by .6 are trusted, .6^2 = .36 < .5; by .8 they are not, .8^2 = .64 > .5 + .01 (.8^2 + 0)."""
    assert seen_in_both(constant(4, 4, 0.0, 0), constant(4, 4, 0.6, 0)).all()
    assert not seen_in_both(constant(4, 4, 0.0, 0), constant(4, 4, 0.8, 0)).any()


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (11, 11), (40, 31), (13, 97)])
def test_flow_of_pictures_of_any_size(size: tuple[int, int]) -> None:
    one, other = noise(*size)[..., 0], noise(*size, seed=1)[..., 0]
    for preset in (FAST, EXACT):
        assert find_flow(one, other, preset).shape == (*size, 2)
        assert np.isfinite(find_flow(one, other, preset)).all()


# the warping error


@pytest.mark.parametrize(("x", "y"), [(3, 0), (0, -2), (-1, 4)])
def test_shift_by_whole_pixels_has_no_warping_error(x: int, y: int) -> None:
    scene = noise(60, 60)
    previous, current = scene[10:40, 10:50], scene[10 - y : 40 - y, 10 - x : 50 - x]
    flow = constant(30, 40, x, y)
    assert warping_error(previous, current, flow, inside(flow)) == 0
    assert warping_error(previous, current, flow * 0, inside(flow)) > 0.1


def test_warping_error_by_hand() -> None:
    """One of two pixels is visible in both; its channels differ by .1, .2 and .5: (.01 + .04 + .25) / 3."""
    previous = np.array([[[0.5, 0.5, 0.5], [0.0, 0.0, 0.0]]])
    current = np.array([[[0.6, 0.3, 1.0], [1.0, 1.0, 1.0]]])
    seen = np.array([[True, False]])
    assert warping_error(previous, current, constant(1, 2, 0, 0), seen) == pytest.approx(0.1, abs=1e-7)
    assert np.isnan(warping_error(previous, current, constant(1, 2, 0, 0), ~seen & seen))


def test_warping_error_of_uint8_is_on_a_scale_of_1() -> None:
    previous, current = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 51, np.uint8)
    assert warping_error(previous, current, constant(4, 4, 0, 0), np.ones((4, 4), bool)) == pytest.approx(0.04, abs=1e-7)


def test_error_of_a_clip_is_the_mean_over_its_pairs() -> None:
    """Brightness 0, 51, 51 has errors of .04 and 0. A pair without pixels that are visible in both does not count."""
    frames = [np.full((4, 4, 3), value, np.uint8) for value in (0, 51, 51)]
    seen = np.ones((4, 4), bool)


    def clip(first: Mask, second: Mask) -> MovingClip:
        flow = constant(4, 4, 0, 0)
        return MovingClip("steps", frames, [Motion(0, 1, flow, first), Motion(1, 2, flow, second)])

    assert clip(seen, seen).warping_error(frames) == pytest.approx(0.02, abs=1e-7)
    assert clip(seen, ~seen).warping_error(frames) == pytest.approx(0.04, abs=1e-7)
    assert clip(~seen, ~seen).warping_error(frames) is None


def test_long_range_error_compares_frames_that_are_ten_apart() -> None:
    """Brightness rises by 5.1 of 255 per frame: .02^2 from frame to frame, .2^2 over ten frames."""
    frames = [np.full((4, 4, 3), value / 50, np.float32) for value in range(12)]
    flow, seen = constant(4, 4, 0, 0), np.ones((4, 4), bool)
    pairs = [(first, first + apart) for apart in (1, 10) for first in range(12 - apart)]
    clip = MovingClip("rising", [], [Motion(*pair, flow, seen) for pair in pairs])
    assert clip.measure(frames) == {
        "warping error": pytest.approx(0.0004, abs=1e-8),
        "long-range warping error": pytest.approx(0.04, abs=1e-7),
    }


def test_clip_shorter_than_the_long_range_has_no_long_range_error(drawn: list[MovingClip]) -> None:
    assert drawn[0].measure(drawn[0].frames)["long-range warping error"] is None


# flicker


def test_flicker_by_hand() -> None:
    """One of three channels changes, 0, 3, 6: its standard deviation is 3, that of the others 0."""
    pictures = [np.array([[[value, 7, 200]]], np.uint8) for value in (0, 3, 6)]
    assert flicker(pictures) == pytest.approx(1.0, abs=1e-12)


def test_noise_of_a_still_clip_has_the_declared_sigma() -> None:
    """Rounding to whole levels adds a variance of 1/12; estimates from nine frames are 3 % too small (c4 = .9693)."""
    clip = still("grey", np.full((60, 80, 3), 128, np.uint8), frames=9)
    assert flicker(clip.frames) == pytest.approx(0.9693 * np.sqrt(4 + 1 / 12), abs=0.02)
    assert not np.array_equal(clip.frames[0], clip.frames[1])
    np.testing.assert_array_equal(still("grey", np.full((60, 80, 3), 128, np.uint8), 9).frames, clip.frames)


# drawn clips


def test_drawn_motion_is_exact(drawn: list[MovingClip]) -> None:
    """Exact flow leaves only errors of linear interpolation and rounding; flow that is half a pixel off leaves larger ones."""
    for clip in drawn:
        off, rest = (
            replace(clip, motions=[replace(motion, flow=motion.flow * factor + np.float32(shift)) for motion in clip.motions])
            for factor, shift in ((1, 0.5), (0, 0))
        )
        exact, shifted, unmoved = (each.warping_error(clip.frames) for each in (clip, off, rest))
        assert 1.7 * exact < shifted, clip.name
        assert 3 * exact < unmoved, clip.name


def test_drawn_motion_is_exact_at_long_range() -> None:
    """The errors of interpolation and rounding do not grow with the distance; without the flow, the error is far larger."""
    for clip in drawn_clips(frames=11, width=160, height=90):
        rest = replace(clip, motions=[replace(motion, flow=motion.flow * 0) for motion in clip.motions])
        exact, far, unmoved = clip.warping_error(clip.frames), *(each.warping_error(clip.frames, 10) for each in (clip, rest))
        assert far < 1.5 * exact, clip.name
        assert 3 * far < unmoved, clip.name


def test_drawn_flows_by_hand(drawn: list[MovingClip]) -> None:
    """The camera moves 1.7 pixels right and 0.6 up per frame, so the scene moves left and down; a zoom is about the centre."""
    flows = {clip.name: clip.motions[0].flow for clip in drawn}
    np.testing.assert_allclose(flows["pan"], constant(90, 160, -1.7, 0.6), atol=1e-4)
    y, x = np.mgrid[:90, :160]
    from_middle = np.stack([x - 79.5, y - 44.5], -1)
    np.testing.assert_allclose(flows["zoom"], 0.012 * from_middle, atol=1e-4)
    turn = np.deg2rad(0.4)  # the camera turns clockwise, so the scene anticlockwise
    turned = from_middle @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    np.testing.assert_allclose(flows["rotation"], turned - from_middle, atol=1e-4)
    np.testing.assert_allclose(flows["passing"][45, 80], (-2.3, -0.4), atol=1e-4)
    np.testing.assert_allclose(flows["passing"][5, 5], (0.8, -0.3), atol=1e-4)


def test_edge_of_the_disc_counts_as_not_visible(drawn: list[MovingClip]) -> None:
    passing = next(clip for clip in drawn if clip.name == "passing")
    seen = passing.motions[0].seen
    assert seen[45, 80]  # the centre of the disc
    assert seen[45, 20]  # the scene
    assert not seen[45, 79 - 22 : 79 - 19].all()  # its radius is 22
    assert 0.9 < seen.mean() < 0.99


def test_dis_finds_the_drawn_motion(drawn: list[MovingClip]) -> None:
    for clip in drawn:
        followed, drawn_motion = track_motion(clip.name, clip.frames).motions[0], clip.motions[0]
        assert np.median(np.linalg.norm(followed.flow - drawn_motion.flow, axis=-1)) < 0.3, clip.name
        assert followed.seen.mean() > 0.8


def test_drawn_clips_are_the_same_each_time(drawn: list[MovingClip]) -> None:
    again = drawn_clips(frames=3, width=160, height=90)
    for one, other in zip(drawn, again, strict=True):
        np.testing.assert_array_equal(one.frames, other.frames)


# measuring a painter


def test_steadiness_of_a_painted_clip_is_compared_with_the_clip_itself(drawn: list[MovingClip]) -> None:
    """A painter that halves all values also halves differences: a quarter of the warping error, half of the flicker."""

    def halved(photo: Image) -> Image:
        return photo // 2

    near, far = measure_steadiness(halved, drawn[0])
    assert (near.clip, near.measure, near.frames) == ("pan", "warping error", 3)
    assert near.photos == drawn[0].warping_error(drawn[0].frames)
    assert near.painted == pytest.approx(near.photos / 4, rel=0.2)
    assert far == Steadiness("pan", "long-range warping error", 3, None, None)
    (figures,) = measure_steadiness(halved, still("grey", np.full((20, 20, 3), 128, np.uint8), 5))
    assert figures.measure == "flicker"
    assert figures.painted == pytest.approx(figures.photos / 2, rel=0.06)


def test_flickering_painter_has_a_high_warping_error(drawn: list[MovingClip]) -> None:
    rng = np.random.default_rng(0)

    def add_noise(photo: Image) -> Image:
        return np.clip(photo + rng.normal(0, 20, photo.shape), 0, 255).astype(np.uint8)

    for clip in drawn:
        near, _ = measure_steadiness(add_noise, clip)
        assert near.painted > 20 * near.photos, clip.name


def test_painter_is_called_with_the_frames_in_order(drawn: list[MovingClip]) -> None:
    given: list[Image] = []
    measure_steadiness(lambda photo: given.append(photo) or photo, drawn[1])  # type: ignore[func-returns-value]
    np.testing.assert_array_equal(given, drawn[1].frames)


# files


def test_no_pixel_is_seen_in_both_frames_of_a_cut(drawn: list[MovingClip]) -> None:
    street = resize(scenes()[0], 160, 90)
    clip = track_motion("cut", [*drawn[0].frames[:2], street, street])
    assert [bool(motion.seen.any()) for motion in clip.motions] == [True, False, True]


def test_clip_that_is_not_a_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    with pytest.raises(InputError, match=r"clip\.mp4"):
        read_clip(tmp_path / "clip.mp4", 4, 90)


def test_clip_without_trackable_motion_is_refused(tmp_path: Path) -> None:
    video = cv2.VideoWriter(str(tmp_path / "one.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (160, 90))
    video.write(noise(90, 160))  # no second frame
    video.release()
    with pytest.raises(InputError, match=r"no motion can be tracked in the first 4 frames of .*one\.avi"):
        read_clip(tmp_path / "one.avi", 4, 90)


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared")
def test_real_clips_and_photos() -> None:
    clip = read_clip(SHARED / "videos" / "bigbuckbunny.mp4", frames=3, height=90)
    assert [frame.shape for frame in clip.frames] == [(90, 160, 3)] * 3
    assert 0 < clip.warping_error(clip.frames) < 0.001
    small = read_clip(SHARED / "videos" / "carphone_pristine.mp4", frames=2, height=360)
    assert small.frames[0].shape == (144, 176, 3)  # never enlarged
    photo = read_still(next((SHARED / "photos" / "val").glob("*.jpg")), frames=4, height=90)
    assert isinstance(photo, StillClip)
    assert photo.frames[0].shape[0] == 90
    assert 1.6 < flicker(photo.frames) < 2.0
