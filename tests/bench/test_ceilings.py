"""The shortest time that the hardware allows equals a calculation by hand."""

import pytest

from livestyle.bench.ceilings import Ceilings, floor_seconds
from livestyle.networks import ARCHITECTURES
from livestyle.networks.plan import ConvolutionCost


def test_floor_is_the_longer_of_computing_and_moving_plus_one_read() -> None:
    ceilings = Ceilings(tflops=2, gbytes_per_second=10)
    computes = ConvolutionCost(operations=8 * 10**9, read=10**6, written=2 * 10**6)  # 4 ms; its values take 1.2 ms in fp32
    moves = ConvolutionCost(operations=10**9, read=4 * 10**6, written=10**6)  # .5 ms; its values take 2 ms
    assert floor_seconds([computes], ceilings, value_bytes=4) == pytest.approx(0.004 + 0.0008)  # .8 ms: read for statistics
    assert floor_seconds([moves], ceilings, value_bytes=4) == pytest.approx(0.002 + 0.0004)
    assert floor_seconds([computes, moves], ceilings, value_bytes=4) == pytest.approx(0.0072)
    assert floor_seconds([computes, moves], ceilings, value_bytes=2) == pytest.approx(0.004 + 0.0004 + 0.001 + 0.0002)


def test_floor_of_lite_equals_a_calculation_by_hand() -> None:
    # at 640x360, values read + written + read again, by convolution: stem1, stem2, down, six in blocks, widen, up, out
    values = 1_612_800 + 1_382_400 + 921_600 + 6 * 691_200 + 460_800 + 1_382_400 + 1_843_200
    costs = ARCHITECTURES["lite"].plan(360, 640).costs
    assert floor_seconds(costs, Ceilings(tflops=1e9, gbytes_per_second=1), 2) == pytest.approx(values * 2 / 1e9)
    # multiply-adds per value written: inputs x size x size
    written = {"stem1": 460_800, "stem2": 460_800, "down": 230_400, "blocks": 6 * 230_400, "widen": 115_200, "up": 460_800}
    each = {"stem1": 3 * 25, "stem2": 8 * 9, "down": 32 * 9, "blocks": 64 * 9, "widen": 64, "up": 32 * 9}
    written["out"], each["out"] = 691_200, 8 * 9
    operations = 2 * sum(written[name] * each[name] for name in written)
    assert floor_seconds(costs, Ceilings(tflops=0.5, gbytes_per_second=1e9), 2) == pytest.approx(operations / 0.5e12)
