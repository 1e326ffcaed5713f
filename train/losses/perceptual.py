"""The losses. Each returns one number per picture, (N,). Activations are ReLU outputs of the loss network, (N, C, h, w)."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

FLAT = 8.0  # grey levels; windows with less than this sum of differences count little, as JPEG blocks and noise prevail in them


class _Gram(Function):
    """F^T F of activations F, (N, h w, C) -> (N, C, C).

    The gradient needs one product instead of autograd's two, and has the layout of the activations. Autograd's two have different
    layouts; to add them, and to pass the sum through the layer before, took a quarter of a training step on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, flat: Tensor) -> Tensor:
        ctx.save_for_backward(flat)
        return flat.transpose(1, 2) @ flat

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        flat: Tensor = ctx.saved_tensors[0]
        (gradient,) = gradients
        return flat @ (gradient + gradient.transpose(1, 2))


def gram_matrix(activations: Tensor) -> Tensor:
    """The Gram matrices F^T F / (h w C) of activations F, (N, C, h, w) -> (N, C, C). Johnson et al. 2016, eq. 3.

    The divisor is that of the original program. bf16 activations take half the time of fp32, which saves a sixth of a
    training step; their products are summed in fp32 too.
    """
    flat = activations.permute(0, 2, 3, 1).flatten(1, 2)  # (N, h w, C); a view if the activations are channels-last
    gram: Tensor = _Gram.apply(flat)
    return gram.float() / (flat.shape[1] * flat.shape[2])


def relative_style_loss(activations: Tensor, target: Tensor) -> Tensor:
    """The squared error of Gram matrices G relative to the target S, (C, C) or (N, C, C): |G - S|^2 / |S|^2."""
    difference = gram_matrix(activations) - target
    return difference.square().sum((1, 2)) / target.square().sum((-2, -1))


def absolute_style_loss(activations: Tensor, target: Tensor) -> Tensor:
    """The squared error of Gram matrices G, divided by the number of activations: |G - S|^2 / (h w C).

    target: S, (C, C) or (N, C, C). The loss is that of the original program.
    """
    difference = gram_matrix(activations) - target
    return difference.square().sum((1, 2)) / activations[0].numel()


def relative_content_loss(activations: Tensor, photo: Tensor) -> Tensor:
    """The mean squared difference from the photo's activations, divided by their variance."""
    photo = photo.float()
    variance = photo.var((1, 2, 3)).clamp_min(1e-6)  # a photo of one colour has no variance
    return (activations.float() - photo).square().mean((1, 2, 3)) / variance


def absolute_content_loss(activations: Tensor, photo: Tensor) -> Tensor:
    """The mean squared difference from the photo's activations. Johnson et al. 2016, eq. 2."""
    return (activations.float() - photo.float()).square().mean((1, 2, 3))


def total_variation_loss(painted: Tensor) -> Tensor:
    """Half the sum of the mean squared differences of vertical and of horizontal neighbours, on the 0-255 scale.

    painted: (N, 3, H, W) in [0, 1]. The loss is that of the original program.
    """
    painted = painted.float() * 255
    down = (painted[:, :, 1:] - painted[:, :, :-1]).square().mean((1, 2, 3))
    across = (painted[:, :, :, 1:] - painted[:, :, :, :-1]).square().mean((1, 2, 3))
    return (down + across) / 2


def grid_loss(painted: Tensor, period: int = 8) -> Tensor:
    """The strength of patterns that repeat every `period` pixels, such as the weave that upsampling leaves, on the 0-255 scale.

    Each of the period x period positions is averaged over all periods, which cancels the picture's detail. The loss is the
    variance of these means. painted: (N, 3, H, W) in [0, 1].
    A network whose coarsest features are 8 pixels apart can paint patterns with a period of 8, or of a divisor of 8, that are
    fixed to the picture's corner. With this loss for a period of 4 only, `lite` painted a grid with a period of 8.
    """
    height, width = (side // period * period for side in painted.shape[2:])
    phases = F.pixel_unshuffle(painted[:, :, :height, :width].float() * 255, period).mean((2, 3))  # (N, 3 p p)
    return phases.reshape(len(phases), 3, -1).var(2).mean(1)


def lattice_loss(painted: Tensor, period: int = 8) -> Tensor:
    """The unevenness with which edges fall on rows, and on columns, modulo `period`: 0 if they fall on all alike.

    painted: (N, 3, H, W) in [0, 1]. The absolute differences of vertical neighbours are divided by their sum over `period` rows,
    so that quiet areas count as much as busy ones, and a horizon counts in few windows only. These shares are averaged over all
    windows; the loss is the variance of the averages, relative to their mean, plus the same for columns.
    `grid_loss` does not see lines on every fourth row that are light in one place and dark in another, as they cancel out.
    """
    grey = painted.float().mean(1) * 255  # (N, H, W)
    return _variance_of_shares(grey, period) + _variance_of_shares(grey.transpose(1, 2), period)


def _variance_of_shares(grey: Tensor, period: int) -> Tensor:
    edges = grey.diff(dim=1).abs()  # (N, H - 1, W)
    n, height, width = edges.shape
    edges = edges[:, : height // period * period].reshape(n, -1, period, width)  # (N, windows, period, W)
    shares = (edges / (edges.sum(2, keepdim=True) + FLAT)).mean((1, 3))  # (N, period)
    variance: Tensor = (shares / shares.mean(1, keepdim=True).clamp_min(1e-3)).var(1)
    return variance


def overshoot_loss(x: Tensor, limit: float = 3.0) -> Tensor:
    """The mean square of the part of x beyond +-limit, where the last tanh saturates at black or white.

    x: the input of that tanh, (N, C, H, W). `full` has a norm in front of it. Without this loss, `full` painted a black spot into
    every painting: at ten times the value of black, the spot was three quarters of the norm's variance, and so reduced the
    contrast of all other pixels. Compare the droplets in StyleGAN (Karras et al. 2020, section 2).
    """
    return (x.float() - x.float().clamp(-limit, limit)).square().mean((1, 2, 3))
