"""The yardstick: measures the relative style loss and content loss of a painting, which can be compared between styles.

Style loss: |G - S|^2 / |S|^2 summed over layers, where G and S are the Gram matrices (Johnson et al. 2016, eq. 3 and 4) of the
painting and of the style picture, whose short side is 256 pixels. Content loss: the mean squared difference at conv3_3, divided
by the variance of the photo's activations there (eq. 2). As they are relative to the style's Gram matrix and the photo's
variance, they have the same meaning for every style, photo and loss network. 0 is the best value. The content loss of the photo
itself is 0, that of a uniform grey picture about 1.
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
LEAST_SIDE = 16  # pixels; activations at conv4_3, after three pooling layers, are then 2 pixels wide
MAX_ASPECT = 16  # long side / short side; a longer strip, with its short side enlarged to STYLE_SIZE, would not fit into memory
DEFAULT_LOSS_MODEL = "own"  # bundled; use vgg_19 to compare figures with published ones

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
"""(style loss, content loss) in VGG-19 of the original TensorFlow program's published paintings of ORIGINAL_PHOTO."""

Grams = Mapping[str, Tensor]
"""The Gram matrices of a style picture: layer -> (C, C)."""


@dataclass(frozen=True)
class Measure:
    """The losses of one painting, or the means over several paintings."""

    style: float
    content: float
    by_layer: Mapping[str, float]
    """The style loss of each layer of the loss network; their sum is `style`."""


@dataclass(frozen=True)
class Yardstick:
    """Measures paintings with a loss network, which must have been built with these layers.

    All pictures are (N, 3, H, W) RGB in [0, 1].
    """

    network: LossNetwork
    style_layers: tuple[str, ...] = STYLE_LAYERS
    content_layer: str = CONTENT_LAYER

    @torch.no_grad()
    def grams(self, picture: Tensor) -> dict[str, Tensor]:
        """Compute the Gram matrices of a style picture, (1, 3, h, w), of the size that `style_tensor` returns."""
        features = self.network(picture, self.style_layers)
        return {layer: gram_matrix(features[layer])[0] for layer in self.style_layers}

    @torch.no_grad()
    def content(self, photo: Tensor) -> Tensor:
        """Compute the photo's activations at the content layer, (N, C, h, w)."""
        features: dict[str, Tensor] = self.network(photo, [self.content_layer])
        return features[self.content_layer]

    def losses(self, painted: Tensor, content: Tensor, style: Grams) -> tuple[dict[str, Tensor], Tensor]:
        """Compute the style loss of each layer, and the content loss, (N,) each, with gradients.

        painted: (N, 3, H, W) in [0, 1]. content: as the method `content` returns it. style: as `grams` returns it.
        """
        features = self.network(painted, {*self.style_layers, self.content_layer})
        by_layer = {layer: relative_style_loss(features[layer], style[layer]) for layer in self.style_layers}
        return by_layer, relative_content_loss(features[self.content_layer], content)

    @torch.no_grad()
    def measure(self, painted: Tensor, photo: Tensor, style: Grams) -> Measure:
        """Measure paintings: losses, means over the N pictures. painted and photo have the same shape, (N, 3, H, W) in [0, 1]."""
        by_layer, content = self.losses(painted, self.content(photo), style)
        layers = {layer: each.mean().item() for layer, each in by_layer.items()}
        return Measure(sum(layers.values()), content.mean().item(), layers)


def open_yardstick(loss_model: str | None, loss_model_file: Path | None, device: torch.device) -> Yardstick:
    """Make a yardstick with a loss network; None for DEFAULT_LOSS_MODEL. Raises TrainingError if its weights are unavailable."""
    model = loss_model or DEFAULT_LOSS_MODEL
    if model not in LOSS_MODELS:
        raise TrainingError(f"no loss network {model!r}; choose from {', '.join(LOSS_MODELS)}")
    network = load_loss_network(model, loss_model_file, STYLE_LAYERS)
    return Yardstick(network.to(device).to(memory_format=torch.channels_last))


def style_tensor(picture: np.ndarray, size: int = STYLE_SIZE) -> Tensor:
    """Resize a style picture to a short side of `size` pixels: (H, W, 3) uint8 RGB -> (1, 3, h, w) in [0, 1]."""
    return to_tensor(resize_short_side(picture, size))[None]


def check_picture(picture: np.ndarray, name: str) -> None:
    """Raise TrainingError if a photo or style picture, (H, W, 3) uint8, is too small, a strip, or of one colour."""
    height, width = picture.shape[:2]
    if min(height, width) < LEAST_SIDE:
        raise TrainingError(f"{name} is too small, {width}x{height}; the minimum is {LEAST_SIDE} pixels a side")
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise TrainingError(f"{name} is a strip, {width}x{height}; crop it to at most {MAX_ASPECT} times its shorter side")
    if (picture == picture[0, 0]).all():
        raise TrainingError(f"{name} is of one colour, and has nothing to measure; name another picture")
