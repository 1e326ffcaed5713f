"""CFSD, the content feature structural distance: a second measure of content, of which parts of a picture are alike.

From the evaluation of StyleID (Chung et al. 2024, "Style Injection in Diffusion", CVPR; class PatchSimi of its
evaluation/image_metrics.py). The activations at conv3_1 after ReLU are divided by their number of channels C, (n, C) for n
positions. Their self-similarity, (n, n), is the product of each position's activations with those of each other position. With
P and Q the softmax of its rows for the photo and for the painting, CFSD is the sum over rows of KL(P || Q). 0 is the best value.

What differs from StyleID's evaluation:

- The loss network: livestyle's (`own` by default), not torchvision's VGG-19.
- The scale of activations, which differs between loss networks and which changes the divergence with about its fourth power:
  they are also divided by the root mean square of the photo's. Those of `own` and of Caffe's VGG-19 have one of about 250, and
  without the division the softmax of a row would be about 1 at the most similar position and 0 elsewhere.
- The size: StyleID compares pictures of 512x512 pixels. Larger ones are scaled down here to the area of 256x256, aspect kept.
  The cost grows with the square of the area: on two busy cores 0.8 s a painting, and 14 s at the area of 512x512.
- The mean over rows is multiplied by 16,384, the number of rows at 512x512, so that pictures of all sizes can be compared.

So compare the figures with each other, not with published ones.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from livestyle.frame import Image
from livestyle.pictures.pixels import resize
from livestyle.train.content.crops import to_tensor
from livestyle.train.losses.loss_network import LossNetwork

LAYER = "conv3_1"
AREA = 256 * 256  # pixels; larger pictures are scaled down
POSITIONS = 128 * 128  # at conv3_1 in a picture of 512x512 pixels
ROWS = 1024  # of the self-similarity that are computed at a time, to save memory


@torch.no_grad()
def structural_distance(network: LossNetwork, photo: Image, painted: Image) -> float:
    """The CFSD of a painting and its photo, (H, W, 3) uint8 RGB both.

    The network must have been built with LAYER or a deeper layer.
    """
    return self_similarity_divergence(_activations(network, photo), _activations(network, painted))


def self_similarity_divergence(photo: Tensor, painted: Tensor) -> float:
    """The CFSD from activations, (C, n) with n positions. Sums over positions run in float64: divergences are about 1e-7 each."""
    channels, positions = photo.shape
    scale = channels * photo.square().mean().sqrt().clamp_min(1e-6)
    before, after = (activations.T.double() / scale for activations in (photo, painted))  # (n, C)
    total = 0.0
    for first in range(0, positions, ROWS):
        wanted, found = (F.log_softmax(x[first : first + ROWS] @ x.T, 1) for x in (before, after))  # (ROWS, n)
        total += F.kl_div(found, wanted, reduction="sum", log_target=True).item()
    return total / positions * POSITIONS


def _activations(network: LossNetwork, picture: Image) -> Tensor:
    """The activations at LAYER, (C, n), on the CPU: not all GPUs have float64."""
    height, width = picture.shape[:2]
    factor = min(1, (AREA / (height * width)) ** 0.5)
    small = resize(picture, max(1, round(width * factor)), max(1, round(height * factor)))
    device = next(network.parameters()).device
    found: Tensor = network(to_tensor(small)[None].to(device), [LAYER])[LAYER]  # (1, C, h, w)
    return found[0].flatten(1).cpu()
