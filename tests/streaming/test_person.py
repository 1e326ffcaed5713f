"""Painting only people, or only the background. The real clip shows a man in a car, from the chest up."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from livestyle.errors import LivestyleError
from livestyle.frame import Frame, Image
from livestyle.look import Look
from livestyle.networks import ARCHITECTURES
from livestyle.networks.body import Body
from livestyle.sources.demo import DemoScene
from livestyle.sources.video.file import open_video
from livestyle.streaming.person import PersonFinder, only
from livestyle.streaming.pipeline import Painted

LOOK = Look(Body(ARCHITECTURES["lite"], {}), np.zeros((2, 3), np.float32))


def paint(part: str, photos: list[Image], grey: int) -> list[Image]:
    (stage,) = only(part)
    items = [Painted(Frame(np.full_like(photo, grey), Fraction(n)), photo, LOOK) for n, photo in enumerate(photos)]
    return [item.frame.image for item in stage(items)]


def test_a_scene_without_people_is_background() -> None:
    frame = DemoScene(160, 90).read()
    assert frame is not None
    (as_person,) = paint("person", [frame.image], 255)
    (as_background,) = paint("background", [frame.image], 255)
    assert np.abs(as_person.astype(int) - frame.image).mean() < 2
    assert (255 - as_background.astype(int)).mean() < 2


def test_any_other_part_is_refused() -> None:
    assert only(None) == []
    with pytest.raises(LivestyleError, match="only must be person or background, not 'sky'"):
        only("sky")


@pytest.fixture(scope="module")
def carphone() -> list[Image]:
    """Ten frames of 176x144."""
    path = Path(__file__).parents[3] / "shared" / "videos" / "carphone_pristine.mp4"
    if not path.exists():
        pytest.skip("the clip ../shared/videos/carphone_pristine.mp4 is not there")
    video = open_video(path)
    frames = [video.read() for _ in range(10)]
    video.close()
    return [frame.image for frame in frames if frame is not None]


def test_a_person_is_found_and_its_edge_is_smooth_and_steady(carphone: list[Image]) -> None:
    find = PersonFinder()
    masks = [find(photo) for photo in carphone]
    assert masks[0].shape == (144, 176)
    assert masks[0].dtype == np.float32
    for mask in masks:
        assert mask[20:100, 70:100].mean() > 0.95  # face and neck
        assert mask[:80, :40].mean() < 0.02  # the car's window
        assert 0 <= mask.min() < mask.max() <= 1
        between = ((mask > 0.05) & (mask < 0.95)).mean()
        assert 0.005 < between < 0.1  # a soft edge, some pixels wide
    alone = [PersonFinder()(photo) for photo in carphone]
    change, change_alone = (np.abs(np.diff(np.stack(each), axis=0)).mean() for each in (masks, alone))
    assert change < change_alone


def test_the_photo_is_kept_outside_of_the_part(carphone: list[Image]) -> None:
    photo = carphone[0]
    (person,), (background,) = paint("person", [photo], 0), paint("background", [photo], 0)
    face, window = np.s_[40:80, 75:95], np.s_[:60, :30]
    assert person[face].max() <= 12
    np.testing.assert_allclose(person[window], photo[window], rtol=0, atol=8)
    assert background[window].max() <= 12
    np.testing.assert_allclose(background[face], photo[face], rtol=0, atol=8)
