"""`full`: the transformer network of Johnson et al."""

from livestyle.networks.architecture import Architecture, StripMemory
from livestyle.networks.ops import Ops, X, residual_block


def forward(ops: Ops[X], photo: X) -> X:
    """Network of Johnson et al., "Perceptual Losses for Real-Time Style Transfer", 2016 (supplementary material).

    Differences: instance norm (Ulyanov et al. 2016) after every convolution, including the last one; bilinear upsampling and a
    convolution instead of each transposed convolution; a blur before each strided convolution, against aliasing.
    """
    h, w = ops.size(photo)
    m = 10  # margin: reflected here and cropped at the end, so that the borders are painted like the inside
    x = ops.reflect(ops.scale(ops.centre(photo), 2), m, m, m, m)  # (N, 3, H + 20, W + 20)
    x = ops.relu(ops.norm(ops.conv("down1", x, 32, 9)))  # (N, 32, H + 20, W + 20)
    x = ops.relu(ops.norm(ops.conv("down2", ops.blur(x), 64, 3, stride=2)))  # (N, 64, half)
    x = ops.relu(ops.norm(ops.conv("down3", ops.blur(x), 128, 3, stride=2)))  # (N, 128, quarter)
    for number in range(5):
        x = residual_block(ops, f"blocks.{number}", x, 128, "reflect")
    x = ops.relu(ops.norm(ops.conv("up1", ops.upsample(x), 64, 3)))  # (N, 64, half)
    x = ops.relu(ops.norm(ops.conv("up2", ops.upsample(x), 32, 3)))  # (N, 32, whole)
    x = ops.tanh(ops.norm(ops.conv("out", x, 3, 9)))  # (N, 3, whole) in [-1, 1]
    return ops.crop(ops.painted(ops.scale(x, 0.5, 0.5)), m, m, h, w)


FULL = Architecture(
    "full",
    "looks best and is made for GPUs",
    made_for="gpu",
    forward=forward,
    bytes_per_pixel=850,
    strips=StripMemory(per_pixel=115, fixed=280 * 2**20),
)
