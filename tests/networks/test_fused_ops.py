"""Compare fused kernels with eager PyTorch, on a GPU, or in Triton's interpreter if there is no GPU."""

from typing import Any

import pytest
import torch

from livestyle.networks import ARCHITECTURES
from livestyle.networks.torch_ops import TorchOps, TransformerNetwork

pytest.importorskip("triton", reason="Triton is for Linux")
from livestyle.networks.fused_ops import FusedOps, PendingMap

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def paint_both(architecture: str, size: tuple[int, int], dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """The same random photos, painted by the eager network in fp32, and by the fused kernels in dtype."""
    torch.manual_seed(0)
    network = TransformerNetwork(ARCHITECTURES[architecture]).requires_grad_(False).to(DEVICE)
    rows = (network.plain_rows() + 0.3 * torch.randn(2, network.architecture.row_length)).to(DEVICE)
    photo = torch.rand(2, 3, *size, device=DEVICE)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # TF32, the default, has an error of 0.004 in `full`
        eager = network(photo, rows)
        network, rows, photo = network.to(dtype), rows.to(dtype), photo.to(dtype).contiguous(memory_format=torch.channels_last)
        return eager, network.architecture.forward(FusedOps(network.convolutions, rows), PendingMap(photo)).raw.float()


# full, 2 x 9: the mirrored photo is not in channels-last memory
# 65 x 70: norms over more than one tile of pixels, and rows that end inside a block
@pytest.mark.parametrize(("architecture", "size"), [("lite", (1, 1)), ("lite", (65, 70)), ("full", (2, 9))])
def test_fused_equals_eager(architecture: str, size: tuple[int, int]) -> None:
    eager, fused = paint_both(architecture, size, torch.float32)
    torch.testing.assert_close(fused, eager, rtol=0, atol=1e-4)


def test_fused_in_half_precision() -> None:
    eager, fused = paint_both("lite", (24, 40), torch.float16)
    assert (fused - eager).square().mean() < 10**-3.8  # 38 dB


def test_statistics_do_not_suffer_cancellation() -> None:
    # a small contrast on a large mean: fp32 cannot represent a variance of 1 added to 3000 squared
    x = (torch.randn(1, 32, 40, 40, dtype=torch.float64) + 3000).contiguous(memory_format=torch.channels_last)
    rows = torch.stack([torch.ones(32), torch.zeros(32)]).to(DEVICE)
    normal = FusedOps({}, rows).norm(PendingMap(x.float().to(DEVICE))).written().double().cpu()
    exact = x.float().double()
    exact = (exact - exact.mean((2, 3), keepdim=True)) / exact.var((2, 3), correction=0, keepdim=True).sqrt()
    torch.testing.assert_close(normal, exact, rtol=0, atol=2e-3)


@pytest.mark.parametrize("rows_shape", [(2, 24), (2, 2, 24)], ids=["shared rows", "rows per picture"])
def test_operations_in_any_order(rows_shape: tuple[int, ...]) -> None:
    """Upsample twice, and apply norms after a ReLU, after upsampling and after another norm."""
    torch.manual_seed(0)
    x = torch.randn(2, 8, 5, 6).contiguous(memory_format=torch.channels_last).to(DEVICE)
    rows = torch.rand(rows_shape, device=DEVICE) + 0.5

    def run(ops: Any, y: Any) -> Any:
        y = ops.norm(ops.relu(y))
        y = ops.upsample(ops.relu(ops.upsample(y)))
        return ops.norm(ops.norm(y))

    eager = run(TorchOps({}, rows), x.clone())
    assert eager.shape == (2, 8, 20, 24)
    torch.testing.assert_close(run(FusedOps({}, rows), PendingMap(x)).written(), eager, rtol=0, atol=1e-4)
