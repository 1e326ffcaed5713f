"""Measure the limits of the hardware, and calculate the shortest time that a network can take within them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from livestyle.bench.timing import seconds_of
from livestyle.networks.plan import ConvolutionCost

TRY_SECONDS, LEAST_TRIES = 1.0, 5
"""Each large matrix product or copy is repeated for TRY_SECONDS, and at least LEAST_TRIES times."""


@dataclass(frozen=True)
class Ceilings:
    """The highest rates that a device reaches in an engine's precision. No network can exceed them."""

    tflops: float
    """10^12 operations per second, measured in a large matrix product."""
    gbytes_per_second: float
    """10^9 bytes per second, read and written together, measured in a large copy."""


def measure_ceilings(torch_device: str, precision: str) -> Ceilings:
    """Measure a device's ceilings with torch. The fastest of many tries counts, because nothing may exceed a ceiling.

    Matrix products of two sizes are tried: during the shorter ones another program is less likely to occupy a core.

    torch_device: cpu, cuda:N or mps. precision: name of a torch dtype, such as float16.
    """
    import torch

    sides, length = ((4096, 8192), 2**28) if torch_device.startswith("cuda") else ((1024, 2048), 2**26)

    def best_seconds(run: Callable[[], torch.Tensor]) -> float:
        def finished() -> None:
            run().view(-1)[0].item()  # waits for the device

        times: list[float] = []
        while sum(times) < TRY_SECONDS or len(times) < LEAST_TRIES:
            times.append(seconds_of(finished))
        return min(times)

    def operations_per_second(side: int) -> float:
        matrix = torch.randn(side, side, device=torch_device).to(getattr(torch, precision))
        product = torch.empty_like(matrix)
        return 2 * side**3 / best_seconds(lambda: torch.matmul(matrix, matrix, out=product))

    source = torch.zeros(length, dtype=torch.uint8, device=torch_device)
    target = torch.empty_like(source)
    bytes_per_second = 2 * length / best_seconds(lambda: target.copy_(source))
    return Ceilings(max(operations_per_second(side) for side in sides) / 1e12, bytes_per_second / 1e9)


def floor_seconds(costs: Iterable[ConvolutionCost], ceilings: Ceilings, value_bytes: int) -> float:
    """The shortest time that these convolutions can take, in seconds.

    A convolution takes the time of its operations at `tflops`, or that of reading and writing its feature maps once at
    `gbytes_per_second`, whichever is longer. Then its output is read once more for the norm's statistics. Everything else is
    assumed to be fused into these steps.

    value_bytes: bytes per value of a feature map.
    """
    operations_per_second = ceilings.tflops * 1e12
    values_per_second = ceilings.gbytes_per_second * 1e9 / value_bytes
    return sum(
        max(cost.operations / operations_per_second, (cost.read + cost.written) / values_per_second)
        + cost.written / values_per_second
        for cost in costs
    )
