"""The yardstick: how much of a style a painted picture misses, and how much of its photo it has lost.

style: |G - S|^2 / |S|^2 summed over layers, G and S the Gram matrices (Johnson et al. 2016, eq. 3 and 4) of the
painted and of the style picture, whose short side is 256 pixels. content: mean squared difference at conv3_3 over
the variance there (eq. 2). Relative to the style's own Gram matrix and the photo's own variance, so that both mean
the same for every style, photo and loss network. Zero is perfect; a photo's own content is 0, a flat grey's about 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from livestyle.errors import TrainingError
from livestyle.train.content.crops import resize_short_side, to_tensor
from livestyle.train.losses.loss_network import LOSS_MODELS, LossNetwork, load_loss_network
from livestyle.train.losses.perceptual import gram_matrix, relative_content_loss, relative_style_loss

STYLE_LAYERS = ("conv1_2", "conv2_2", "conv3_3", "conv4_3")
CONTENT_LAYER = "conv3_3"
STYLE_SIZE = 256  # short side of the style pictures, pixels
LEAST_SIDE = 16  # pixels: conv4_3, three poolings deep, is then two wide
MOST_ASPECT = 16  # a strip's short side would be enlarged to STYLE_SIZE, and its long one past the memory
DEFAULT_LOSS_MODEL = "own"  # bundled; figures to compare with others want vgg_19

ORIGINAL_PHOTO = "test5.jpg at 712x476"
ORIGINAL = {
    "wave": (0.320, 1.009),
    "cubist": (0.196, 1.456),
    "denoised_starry": (0.354, 1.419),
    "mosaic": (0.268, 3.260),
    "scream": (0.586, 0.843),
    "feathers": (0.449, 2.299),
    "udnie": (0.233, 1.241),
}
"""Style and content of the original TensorFlow program's published results on ORIGINAL_PHOTO, in VGG-19."""

Grams = Mapping[str, Tensor]
"""A style: layer -> Gram matrix, (C, C)."""


@dataclass(frozen=True)
class Measure:
    """Of one picture, or the means of several."""

    style: float
    content: float
    by_layer: Mapping[str, float]
    """What each layer adds to style."""


@dataclass(frozen=True)
class Yardstick:
    """Measures in `network`, which must reach as deep as the layers. Pictures are (N, 3, H, W) RGB in [0, 1]."""

    network: LossNetwork
    style_layers: tuple[str, ...] = STYLE_LAYERS
    content_layer: str = CONTENT_LAYER

    @torch.no_grad()
    def grams(self, picture: Tensor) -> dict[str, Tensor]:
        """The style of a style picture, (1, 3, h, w), as it is; see `style_tensor` for its size."""
        features = self.network(picture, self.style_layers)
        return {layer: gram_matrix(features[layer])[0] for layer in self.style_layers}

    @torch.no_grad()
    def content(self, photo: Tensor) -> Tensor:
        """What a painted picture is to keep of the photo, (N, C, h, w)."""
        features: dict[str, Tensor] = self.network(photo, [self.content_layer])
        return features[self.content_layer]

    def losses(self, painted: Tensor, content: Tensor, style: Grams) -> tuple[dict[str, Tensor], Tensor]:
        """Style by layer and content, (N,) each, with gradients. content: as `content` gives it."""
        features = self.network(painted, {*self.style_layers, self.content_layer})
        by_layer = {layer: relative_style_loss(features[layer], style[layer]) for layer in self.style_layers}
        return by_layer, relative_content_loss(features[self.content_layer], content)

    @torch.no_grad()
    def measure(self, painted: Tensor, photo: Tensor, style: Grams) -> Measure:
        """painted and photo of one shape; of N pictures the means."""
        by_layer, content = self.losses(painted, self.content(photo), style)
        layers = {layer: each.mean().item() for layer, each in by_layer.items()}
        return Measure(sum(layers.values()), content.mean().item(), layers)


def open_yardstick(loss_model: str | None, loss_model_file: Path | None, device: torch.device) -> Yardstick:
    """The yardstick in that loss network, DEFAULT_LOSS_MODEL if None. Raises TrainingError if its weights are not to be had."""
    model = loss_model or DEFAULT_LOSS_MODEL
    if model not in LOSS_MODELS:
        raise TrainingError(f"no loss network {model!r}; there are {', '.join(LOSS_MODELS)}")
    network = load_loss_network(model, loss_model_file, STYLE_LAYERS)
    return Yardstick(network.to(device).to(memory_format=torch.channels_last))


def style_tensor(picture: np.ndarray, size: int = STYLE_SIZE) -> Tensor:
    """A style picture, (H, W, 3) uint8 RGB -> (1, 3, h, w) in [0, 1], short side `size`."""
    return to_tensor(resize_short_side(picture, size))[None]


def check_picture(picture: np.ndarray, name: str) -> None:
    """Raises TrainingError for a photo or style picture, (H, W, 3) uint8, in which there is nothing to measure."""
    height, width = picture.shape[:2]
    if min(height, width) < LEAST_SIDE:
        raise TrainingError(f"{name} is too small, {width}x{height}; it takes {LEAST_SIDE} pixels each way")
    if max(height, width) > MOST_ASPECT * min(height, width):
        raise TrainingError(f"{name} is a strip, {width}x{height}; crop it to {MOST_ASPECT} times its shorter side, or less")
    if (picture == picture[0, 0]).all():
        raise TrainingError(f"{name} is of one colour, and holds nothing to measure; name another picture")
