"""`lite`: a network for CPUs."""

from livestyle.networks.architecture import Architecture, StripMemory
from livestyle.networks.ops import Ops, X, residual_block


def forward(ops: Ops[X], photo: X) -> X:
    """Network of 2.2 GFLOP at 640x360, with at most twelve channels at half size and three at full size.

    Most of the computation is at an eighth of the size, where there are few pixels and the receptive field is large. Bypasses add
    the features of the stem, at half and a quarter of the size, to keep the photo's edges sharp. The blurs, the smooth upsampling
    and the nonlinearity at half size are against aliasing: without them the network paints hatching along rows and columns. Two
    blurs are a 5x5 binomial filter.
    """
    h, w = ops.size(photo)
    # pad to a multiple of 8, and to at least 16, as a norm needs more than one value
    x = ops.centre(ops.reflect(photo, 0, max(-w % 8, 16 - w), 0, max(-h % 8, 16 - h)))
    half = ops.relu(ops.conv("stem1", x, 8, 5, stride=2, border="repeat"))  # (N, 8, half)
    fine = ops.relu(ops.norm(ops.conv("stem2", ops.blur(half), 32, 3, stride=2, border="repeat")))  # (N, 32, quarter)
    x = ops.relu(ops.norm(ops.conv("down", ops.blur(ops.blur(fine)), 64, 3, stride=2, border="repeat")))  # (N, 64, eighth)
    for number in range(3):
        x = residual_block(ops, f"blocks.{number}", x, 64, "repeat")
    x = ops.add(ops.upsample(ops.conv("widen", ops.blur(x), 32, 1, border="none")), fine)  # (N, 32, quarter)
    x = ops.relu(ops.norm(ops.conv("up", x, 32, 3, border="repeat")))
    x = ops.add(ops.shuffle(x, 2), half)  # (N, 8, half)
    # after a shuffle, even and odd pixels differ: only mirrored borders continue them
    x = ops.painted(ops.sigmoid(ops.conv("out", x, 12, 3)))  # (N, 2 x 2 x 3, half)
    return ops.crop(ops.shuffle(x, 2), 0, 0, h, w)  # (N, 3, H, W)


LITE = Architecture(
    "lite",
    "is fast on a CPU",
    made_for="cpu",
    forward=forward,
    bytes_per_pixel=90,
    strips=StripMemory(per_pixel=20, fixed=180 * 2**20),
)
