"""Pictures for extra styles: varied and reproducible."""

import numpy as np
import pytest

from livestyle.train.content import drawn
from livestyle.train.content.variations import random_part, recoloured, variation


def test_variations_differ_and_depend_on_number_and_seed_only() -> None:
    pictures, photo = [drawn.stripes(), drawn.tiles()[:100]], drawn.scenes()[0]
    first = [variation(number, pictures, photo, 0) for number in range(8)]
    assert all(picture.shape == (256, 256, 3) and picture.dtype == np.uint8 for picture in first)
    assert all(picture.std() > 5 for picture in first)  # none is uniform
    assert len({picture.tobytes() for picture in first}) == 8
    assert np.array_equal(variation(5, pictures, photo, 0), first[5])
    assert not np.array_equal(variation(5, pictures, photo, 1), first[5])


def test_recolouring_keeps_shapes_and_changes_colours() -> None:
    red = np.zeros((8, 8, 3), np.uint8)
    red[:, 4:] = (255, 0, 0)
    changed = recoloured(red, np.random.default_rng(0)).astype(int)
    assert np.ptp(changed[:, :4], (0, 1)).max() == np.ptp(changed[:, 4:], (0, 1)).max() == 0
    assert np.abs(changed[0, 0] - changed[0, 7]).max() > 20


def test_random_part_is_inside_the_picture() -> None:
    bright = np.full((300, 200, 3), 200, np.uint8)
    assert (random_part(bright, np.random.default_rng(0)) == 200).all()


@pytest.mark.parametrize("name", ["drawn:world", "drawn:leaves"])
def test_drawn_content_pictures_are_all_different(name: str) -> None:
    pictures = drawn.draw_content(name)
    assert len(pictures) >= 24
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)
    assert all(picture.shape == (256, 256, 3) for picture in pictures)
