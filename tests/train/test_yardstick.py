"""The yardstick, compared with values in double precision and with the program that defines it."""

import importlib.util
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from livestyle.train.content.crops import to_tensor, try_read_picture
from livestyle.train.losses.loss_network import load_loss_network
from livestyle.train.measure.yardstick import ORIGINAL, STYLE_LAYERS, Yardstick, style_tensor

SHARED = Path(__file__).parents[3] / "shared"


@pytest.fixture(scope="module")
def yardstick() -> Yardstick:
    return Yardstick(load_loss_network("random", None, STYLE_LAYERS))


def noise(seed: int, height: int = 40, width: int = 56) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def test_losses_of_a_picture_with_itself_are_0(yardstick: Yardstick) -> None:
    photo = noise(0)
    measure = yardstick.measure(photo, photo, yardstick.grams(photo))
    assert measure.content == 0
    assert measure.style == pytest.approx(0, abs=1e-9)


def test_losses_against_float64(yardstick: Yardstick) -> None:
    painted, photo, picture = noise(0), noise(1), noise(2, 64, 48)
    layers = ["conv1_2", "conv2_2", "conv3_3", "conv4_3"]

    def features(x: torch.Tensor) -> dict[str, np.ndarray]:
        return {layer: value[0].double().numpy() for layer, value in yardstick.network(x, layers).items()}  # (C, h, w)

    def gram(x: np.ndarray) -> np.ndarray:
        return np.asarray(np.einsum("chw,dhw->cd", x, x) / x[0].size)

    a, b, s = features(painted), features(photo), features(picture)
    style = {layer: ((gram(a[layer]) - gram(s[layer])) ** 2).sum() / (gram(s[layer]) ** 2).sum() for layer in layers}
    content = ((a["conv3_3"] - b["conv3_3"]) ** 2).mean() / b["conv3_3"].var(ddof=1)
    measure = yardstick.measure(painted, photo, yardstick.grams(picture))
    assert measure.by_layer == pytest.approx(style, rel=1e-4)
    assert measure.style == pytest.approx(sum(style.values()), rel=1e-4)
    assert measure.content == pytest.approx(content, rel=1e-4)


def test_measure_of_several_pictures_is_their_mean(yardstick: Yardstick) -> None:
    painted, photo, style = torch.cat([noise(0), noise(1)]), torch.cat([noise(2), noise(3)]), yardstick.grams(noise(4))
    both = yardstick.measure(painted, photo, style)
    each = [yardstick.measure(painted[[n]], photo[[n]], style) for n in (0, 1)]
    assert both.style == pytest.approx((each[0].style + each[1].style) / 2, rel=1e-5)
    assert both.content == pytest.approx((each[0].content + each[1].content) / 2, rel=1e-5)


def test_losses_have_gradients(yardstick: Yardstick) -> None:
    painted = noise(0).requires_grad_()
    by_layer, content = yardstick.losses(painted, yardstick.content(noise(1)), yardstick.grams(noise(2)))
    (gradient,) = torch.autograd.grad(sum(by_layer.values(), content).sum(), painted)
    assert gradient.shape == painted.shape
    assert gradient.abs().min() >= 0
    assert gradient.abs().max() > 0


def test_style_tensor_resizes_the_short_side() -> None:
    assert style_tensor(np.zeros((512, 1024, 3), np.uint8)).shape == (1, 3, 256, 512)
    assert style_tensor(np.zeros((100, 50, 3), np.uint8), 64).shape == (1, 3, 128, 64)


@pytest.fixture(scope="module")
def definition() -> Any:
    path = SHARED / "yardstick.py"
    if not path.exists():
        pytest.skip("../shared/yardstick.py, which defines the yardstick, is not there")
    spec = importlib.util.spec_from_file_location("shared_yardstick", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_yardstick_agrees_with_its_definition(definition: Any) -> None:
    network = load_loss_network("vgg_19", SHARED / "weights/vgg19_conv1_1-conv4_4.safetensors", STYLE_LAYERS)
    yardstick = Yardstick(network)
    pixels = try_read_picture(sorted((SHARED / "photos/val").iterdir())[0])
    style_pixels = try_read_picture(SHARED / "styles/wave.jpg")
    assert pixels is not None
    assert style_pixels is not None
    photo = to_tensor(cv2.resize(pixels, (120, 88), interpolation=cv2.INTER_AREA))[None]
    painted = photo.flip(1) * 0.8  # any change of colours
    wanted = definition.measure(painted, photo, definition.target(SHARED / "styles/wave.jpg"))

    def found(picture: torch.Tensor) -> tuple[float, float]:
        measure = yardstick.measure(painted, photo, yardstick.grams(picture))
        return measure.style, measure.content

    assert found(style_tensor(style_pixels)) == pytest.approx(wanted, rel=0.01)
    # it rounds the mean to grey levels, 123, 117 and 104, and scales the style picture before it rounds its size
    network.normalise.bias.copy_(-definition.MEAN.flatten() * 255)
    assert found(definition.load(SHARED / "styles/wave.jpg", short=256)) == pytest.approx(wanted, rel=1e-4)


def test_figures_of_the_original_equal_those_of_the_definition(definition: Any) -> None:
    assert definition.ORIGINAL == ORIGINAL
