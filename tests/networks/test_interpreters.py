"""The contract of operations: every interpreter computes the same. Blur and upsampling are compared with values by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from livestyle.frame import FloatArray
from livestyle.networks.architecture import Architecture
from livestyle.networks.ops import Border, Ops, X, residual_block
from livestyle.networks.plan import FeatureMapSize, Plan
from livestyle.networks.strip_ops import StripOps, Strips
from livestyle.networks.torch_ops import Blurred, TorchOps, TransformerNetwork, blurred_by_pooling

Forward = Callable[[Any, Any], Any]


def make(forward: Forward) -> tuple[TransformerNetwork, Tensor]:
    """A random network and random rows (2, K), always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        architecture = Architecture("test", "", "cpu", forward, bytes_per_pixel=1, strips=None)
        network = TransformerNetwork(architecture).requires_grad_(False)
        return network, network.plain_rows() + 0.3 * torch.randn(2, architecture.row_length)


def on_torch(forward: Forward, x: FloatArray) -> FloatArray:
    network, rows = make(forward)
    result: Tensor = network(torch.tensor(x), rows)
    return result.numpy()


def on_torch_channels_last(forward: Forward, x: FloatArray) -> FloatArray:
    network, rows = make(forward)
    network = network.to(memory_format=torch.channels_last)
    result: Tensor = network(torch.tensor(x).contiguous(memory_format=torch.channels_last), rows)
    return result.numpy()


def in_strips(forward: Forward, x: FloatArray) -> FloatArray:
    network, rows = make(forward)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("livestyle.networks.strip_ops.STRIP_VALUES", 1)
        patched.setattr("livestyle.networks.strip_ops.MIN_STRIP_ROWS", 3)
        photo = Strips(*x.shape[1:], lambda first, last: torch.tensor(x[:, :, first:last]))
        painting: Strips = forward(StripOps(network, rows), photo)
        for rows_read in (1, 3):  # strips that start at even and at odd rows
            parts = [
                painting.read(first, min(first + rows_read, painting.height)) for first in range(0, painting.height, rows_read)
            ]
            result = torch.cat(parts, 2).numpy()
        return result


def fused(forward: Forward, x: FloatArray) -> FloatArray:
    pytest.importorskip("triton", reason="Triton is for Linux")
    from livestyle.networks.fused_ops import FusedOps, PendingMap

    device = "cuda" if torch.cuda.is_available() else "cpu"
    network, rows = make(forward)
    photo = torch.tensor(x, device=device).contiguous(memory_format=torch.channels_last)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        result: PendingMap = forward(FusedOps(network.to(device).convolutions, rows.to(device)), PendingMap(photo))
        written: FloatArray = (result.raw if result.is_plain else result.written()).cpu().numpy()
    return written


def on_openvino(forward: Forward, x: FloatArray) -> FloatArray:
    pytest.importorskip("openvino")
    from openvino import opset13 as op

    from livestyle.engines.openvino import core
    from livestyle.networks.openvino_graph import GraphOps, ov

    network, rows = make(forward)
    photo, row_input = op.parameter(x.shape, np.float32), op.parameter(rows.shape, np.float32)
    graph = ov.Model([forward(GraphOps(network.body().parameters, row_input), photo)], [photo, row_input], "test")
    compiled = core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    result: FloatArray = compiled([x, rows.numpy()])[0]
    return result


INTERPRETERS = {
    "torch": on_torch,
    "torch, channels-last": on_torch_channels_last,
    "strips": in_strips,
    "fused": fused,
    "openvino": on_openvino,
}
interpreters = pytest.mark.parametrize("interpret", INTERPRETERS.values(), ids=INTERPRETERS)


def random_map(height: int, width: int) -> FloatArray:
    """Random values in [0, 1), always the same: (1, 3, H, W)."""
    return np.random.default_rng(0).random((1, 3, height, width), np.float32)


def channels(values: list[list[float]]) -> FloatArray:
    """A feature map with three channels that differ: (1, 3, H, W)."""
    plane = np.array(values, np.float32)
    return np.stack([plane, plane + 100, -plane])[None]


BLURRED = [
    ([[16, 0, 0], [0, 0, 32]], [[9, 5, 6], [3, 7, 18]]),
    ([[0] * 5, [0] * 5, [0, 0, 16, 0, 0], [0] * 5], [[0] * 5, [0, 1, 2, 1, 0], [0, 2, 4, 2, 0], [0, 1, 2, 1, 0]]),
    ([[8]], [[8]]),
    ([[4, 8]], [[5, 7]]),
    ([[4], [8]], [[5], [7]]),
]
UPSAMPLED = [
    ([[16, 0], [0, 32]], [[16, 12, 4, 0], [12, 11, 9, 8], [4, 9, 19, 24], [0, 8, 24, 32]]),
    ([[8]], [[8, 8], [8, 8]]),
    ([[4, 8, 0]], [[4, 5, 7, 6, 2, 0]] * 2),
    ([[4], [8]], [[4, 4], [5, 5], [7, 7], [8, 8]]),
]


@interpreters
@pytest.mark.parametrize(("values", "expected"), BLURRED, ids=["2x3", "4x5", "1x1", "1x2", "2x1"])
def test_blur_by_hand(interpret: Any, values: list[list[float]], expected: list[list[float]]) -> None:
    blurred = interpret(lambda ops, x: ops.blur(x), channels(values))
    np.testing.assert_allclose(blurred, channels(expected), atol=1e-4)


@interpreters
@pytest.mark.parametrize(("values", "expected"), UPSAMPLED, ids=["2x2", "1x1", "1x3", "2x1"])
def test_upsample_by_hand(interpret: Any, values: list[list[float]], expected: list[list[float]]) -> None:
    upsampled = interpret(lambda ops, x: ops.upsample(x), channels(values))
    np.testing.assert_allclose(upsampled, channels(expected), atol=1e-4)


def every_operation(ops: Ops[X], photo: X) -> X:
    """Every operation, and norms after an addition, a shuffle and a blur."""
    h, w = ops.size(photo)
    x = ops.centre(ops.reflect(ops.scale(photo, 2, -1), 2, 6 + -w % 4, 2, 6 + -h % 4))  # a multiple of 4
    half = ops.relu(ops.conv("first", x, 8, 6, stride=2, border="none"))  # (N, 8, half)
    x = ops.relu(ops.norm(ops.conv("second", ops.blur(half), 12, 3, stride=2)))  # (N, 12, quarter)
    x = residual_block(ops, "block", x, 12, "repeat")
    x = ops.relu(ops.norm(ops.add(ops.upsample(ops.conv("third", x, 8, 1, border="none")), half)))  # (N, 8, half)
    x = ops.relu(ops.norm(ops.shuffle(ops.conv("fourth", x, 20, 3, border="repeat"), 2)))  # (N, 5, whole)
    x = ops.norm(ops.blur(ops.conv("fifth", ops.blur(x), 6, 4, stride=2, border="none")))  # (N, 6, half - 1)
    x = ops.crop(ops.conv("sixth", ops.upsample(ops.relu(ops.upsample(ops.tanh(x)))), 3, 3), 3, 4, h, w)  # (N, 3, H, W)
    return ops.painted(ops.sigmoid(x))


@interpreters
@pytest.mark.parametrize("size", [(1, 1), (5, 10)], ids=str)
def test_interpreters_agree_on_every_operation(interpret: Any, size: tuple[int, int]) -> None:
    photo = random_map(*size)
    network, rows = make(every_operation)
    exact = network.double()(torch.tensor(photo).double(), rows.double()).numpy()
    assert exact.shape == photo.shape
    painted = interpret(every_operation, photo)
    if painted.dtype == np.uint8:  # OpenVINO quantises
        assert np.abs(painted - 255 * exact).max() < 0.6
    else:
        np.testing.assert_allclose(painted, exact, atol=1e-3)


@interpreters
@pytest.mark.parametrize(
    ("size", "border"), [(3, "repeat"), (4, "none"), (4, "reflect"), (5, "reflect"), (6, "repeat"), (6, "none")]
)
def test_strided_convolutions_of_any_size_agree(interpret: Any, size: int, border: Border) -> None:
    def forward(ops: Any, x: Any) -> Any:
        return ops.conv("only", ops.blur(x), 4, size, stride=2, border=border)

    x = random_map(9, 12)
    expected, plan = on_torch(forward, x), Plan()
    assert forward(plan, FeatureMapSize(3, 9, 12)).values == expected[0].size
    np.testing.assert_allclose(interpret(forward, x), expected, atol=1e-4)


def test_gradient_of_the_blur() -> None:
    """Compared with a depthwise convolution in float64."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64).requires_grad_()
    kernel = torch.tensor([1.0, 2, 1], dtype=torch.float64) / 4
    expected = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), torch.outer(kernel, kernel).expand(3, 1, 3, 3), groups=3)
    weight = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    ours, torch_s = (torch.autograd.grad((y * weight).sum(), x)[0] for y in (Blurred.apply(x), expected))
    torch.testing.assert_close(ours, torch_s, rtol=0, atol=1e-12)
    torch.testing.assert_close(blurred_by_pooling(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_blur_and_upsample_keep_precision_and_memory_format(precision: torch.dtype) -> None:
    x = torch.rand(2, 3, 6, 5, generator=torch.Generator().manual_seed(0)).to(precision)
    x = x.contiguous(memory_format=torch.channels_last)
    ops = TorchOps({}, torch.empty(2, 0))
    exact = TorchOps({}, torch.empty(2, 0))
    for result, expected in (
        (ops.blur(x), exact.blur(x.double())),
        (blurred_by_pooling(x), exact.blur(x.double())),
        (ops.upsample(x), exact.upsample(x.double())),
    ):
        assert result.dtype == precision
        assert result.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(result.double(), expected, rtol=0, atol=2 * torch.finfo(precision).eps)


def test_convolutions_whose_scale_a_norm_cancels() -> None:
    plan = Plan()
    every_operation(plan, FeatureMapSize(3, 64, 64))
    assert plan.normed == ["second", "block.first", "block.second", "fourth", "fifth"]
    assert plan.norm_channels == [12, 12, 12, 8, 5, 6]

    def reused(ops: Any, x: Any) -> Any:  # the scale of the convolution changes the sum
        x = ops.conv("only", x, 3, 3)
        return ops.add(ops.norm(ops.upsample(x)), ops.upsample(x))

    plan = Plan()
    reused(plan, FeatureMapSize(3, 64, 64))
    assert plan.normed == []
