"""The losses, one number per picture, (N,). Activations are ReLU outputs of the loss network, (N, C, h, w)."""

import torch.nn.functional as F
from torch import Tensor


def gram_matrix(activations: Tensor) -> Tensor:
    """F F^T / (h w c), (N, C, C). Johnson et al. 2016, eq. 3; divided as in the original program.

    With bf16 activations it takes half the time of fp32, which saves a sixth of a training step; sums are in fp32 there too.
    """
    flat = activations.flatten(2)  # (N, C, h w)
    return (flat @ flat.transpose(1, 2)).float() / (flat.shape[1] * flat.shape[2])


def relative_style_loss(activations: Tensor, target: Tensor) -> Tensor:
    """|G - S|^2 / |S|^2 for a target S, (C, C) or (N, C, C): the error relative to the style's own Gram matrix."""
    difference = gram_matrix(activations) - target
    return difference.square().sum((1, 2)) / target.square().sum((-2, -1))


def absolute_style_loss(activations: Tensor, target: Tensor) -> Tensor:
    """|G - S|^2 divided by the number of activations, h w c, as in the original program."""
    difference = gram_matrix(activations) - target
    return difference.square().sum((1, 2)) / activations[0].numel()


def relative_content_loss(activations: Tensor, photo: Tensor) -> Tensor:
    """Mean squared difference to the photo's activations, divided by their variance."""
    photo = photo.float()
    variance = photo.var((1, 2, 3)).clamp_min(1e-6)  # a photo of one colour has no variance
    return (activations.float() - photo).square().mean((1, 2, 3)) / variance


def absolute_content_loss(activations: Tensor, photo: Tensor) -> Tensor:
    """Mean squared difference to the photo's activations. Johnson et al. 2016, eq. 2."""
    return (activations.float() - photo.float()).square().mean((1, 2, 3))


def total_variation_loss(painted: Tensor) -> Tensor:
    """Half the mean squared difference of neighbours, vertical plus horizontal, on the 0-255 scale, as in the original program.

    painted: (N, 3, H, W) in [0, 1].
    """
    painted = painted.float() * 255
    down = (painted[:, :, 1:] - painted[:, :, :-1]).square().mean((1, 2, 3))
    across = (painted[:, :, :, 1:] - painted[:, :, :, :-1]).square().mean((1, 2, 3))
    return (down + across) / 2


def grid_loss(painted: Tensor, period: int = 8) -> Tensor:
    """Strength of patterns that repeat every `period` pixels: the weave and bricks that upsampling leaves. On the 0-255 scale.

    Each of the period x period positions is averaged over all periods, which cancels real detail; the variance of these means
    is the grid. painted: (N, 3, H, W) in [0, 1]. A network whose coarsest features are 8 pixels apart can lock patterns with a
    period of 8, or a divisor of 8, to the picture's corner; with the loss for a period of 4 only, `lite` made a grid of 8.
    """
    height, width = (side // period * period for side in painted.shape[2:])
    phases = F.pixel_unshuffle(painted[:, :, :height, :width].float() * 255, period).mean((2, 3))  # (N, 3 p p)
    return phases.reshape(len(phases), 3, -1).var(2).mean(1)


def overshoot_loss(x: Tensor, limit: float = 3.0) -> Tensor:
    """Mean square of the part of x beyond +-limit, where the last tanh saturates at black or white. x: (N, C, H, W) before tanh.

    `full` has a norm in front of that tanh. A spot at ten times the value of black made up three quarters of the norm's variance
    and so reduced the contrast of all other pixels: a black hole in every painting (as the droplets in StyleGAN, Karras et al.
    2020, section 2).
    """
    return (x.float() - x.float().clamp(-limit, limit)).square().mean((1, 2, 3))
