"""Statistics of style pictures, compared with PyTorch."""

import numpy as np
import pytest
import torch
from predictors import painting

from livestyle.errors import StyleError
from livestyle.pictures.pixels import resize
from livestyle.prediction.statistics import LAYERS, STATISTICS, style_statistics
from livestyle.train.losses.loss_network import LossNetwork, load_loss_network
from livestyle.train.predictor import picture_statistics


@pytest.fixture(scope="module")
def network() -> LossNetwork:
    return load_loss_network("own", None, LAYERS)


@pytest.mark.parametrize(
    ("size", "scaled", "crop"),
    [
        ((90, 61), (378, 256), slice(None)),  # (width, height); 378 is halved to an odd width
        ((300, 800), (256, 683), slice(85, 597)),
    ],
)
def test_statistics_equal_those_of_pytorch(
    network: LossNetwork, size: tuple[int, int], scaled: tuple[int, int], crop: slice
) -> None:
    picture = painting(0, *size)
    pixels = resize(picture, *scaled)[crop]
    with torch.no_grad():
        features = network(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255, LAYERS)
    statistics = style_statistics(picture, "painting.jpg")
    assert (statistics.shape, statistics.dtype) == ((STATISTICS,), np.float32)
    assert statistics == pytest.approx(picture_statistics(features)[0].numpy(), abs=1e-4)


def test_ends_of_a_strip_are_cropped() -> None:
    strip = painting(0, 2000, 40)
    assert np.array_equal(style_statistics(strip, "strip.png"), style_statistics(strip[:, 920:1080], "centre.png"))


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (painting(0, 200, 15), "a.png is too small for a style, 200x15; the minimum is 16 pixels a side"),
        (np.full((40, 40, 3), 7, np.uint8), "a.png is of one colour"),
    ],
)
def test_pictures_without_a_style_are_refused(picture: np.ndarray, message: str) -> None:
    with pytest.raises(StyleError, match=message):
        style_statistics(picture, "a.png")
