"""The contract of networks. Layers are compared with the paper, operations with NumPy and double precision."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from livestyle.networks import ARCHITECTURES
from livestyle.networks.ops import Border, mirrored
from livestyle.networks.torch_ops import PAD_MODES, Bordered, TorchOps, TransformerNetwork, normalised_in_lines, reflect_pad

SIZES = [(1, 1), (1, 9), (9, 1), (2, 2), (7, 5), (10, 11), (16, 16), (23, 30), (33, 18)]


def make(architecture: str) -> TransformerNetwork:
    return TransformerNetwork(ARCHITECTURES[architecture])


@pytest.fixture(scope="module", params=list(ARCHITECTURES))
def network(request: pytest.FixtureRequest) -> TransformerNetwork:
    torch.manual_seed(0)
    return make(request.param).eval().requires_grad_(False)


def random_rows(network: TransformerNetwork, count: int) -> Tensor:
    """Random rows, always the same: (count, 2, K)."""
    generator = torch.Generator().manual_seed(1)
    return network.plain_rows() + 0.5 * torch.randn(count, 2, network.architecture.row_length, generator=generator)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_every_size_keeps_its_shape_and_range(network: TransformerNetwork, size: tuple[int, int]) -> None:
    painted = network(torch.rand(2, 3, *size), random_rows(network, 1)[0])
    assert painted.shape == (2, 3, *size)
    assert painted.min() >= 0  # fails for NaN too
    assert painted.max() <= 1


def test_batch_with_rows_per_picture_equals_each_picture_alone(network: TransformerNetwork) -> None:
    pictures, rows = torch.rand(2, 3, 9, 14), random_rows(network, 2)
    together = network(pictures, rows)
    for picture, row, painted in zip(pictures, rows, together, strict=True):
        torch.testing.assert_close(network(picture[None], row)[0], painted, rtol=0, atol=1e-4)


def test_rows_change_the_painting(network: TransformerNetwork) -> None:
    picture, (one, other) = torch.rand(1, 3, 24, 24), random_rows(network, 2)
    assert (network(picture, one) - network(picture, other)).abs().mean() > 0.01


def test_norms_use_all_rows(network: TransformerNetwork) -> None:
    picture, rows = torch.rand(1, 3, 16, 16), network.plain_rows()
    assert rows.shape == (2, network.architecture.row_length)
    with pytest.raises(RuntimeError):  # too few for the last norm
        network(picture, rows[:, :-1])
    changed = rows.clone()
    changed[1, -1] += 1
    assert not torch.equal(network(picture, rows), network(picture, changed))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_low_contrast_pictures_keep_their_precision(architecture: str, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    network = make(architecture).requires_grad_(False)
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    first.weight.abs_()  # every output responds to brightness, as some do after training
    picture, rows = (250 + torch.randint(-1, 2, (1, 3, 56, 56))) / 255, random_rows(network, 1)[0]
    exact = copy.deepcopy(network).double()(picture.double(), rows.double())
    painted = network.to(memory_format=layout)(picture.to(memory_format=layout), rows)
    assert (painted - exact).abs().max() < 2 / 255


def test_full_has_the_layers_of_the_paper() -> None:
    # Johnson et al. 2016, supplementary material, table 1: (inputs, outputs, kernel size)
    layers = [(3, 32, 9), (32, 64, 3), (64, 128, 3), *[(128, 128, 3)] * 10, (128, 64, 3), (64, 32, 3), (32, 3, 9)]
    convolutions = [module for module in make("full").modules() if isinstance(module, nn.Conv2d)]
    assert [(conv.in_channels, conv.out_channels, conv.kernel_size[0]) for conv in convolutions] == layers
    assert sum(parameter.numel() for parameter in make("full").parameters()) == 1_676_035
    assert ARCHITECTURES["full"].plan(64, 64).norm_channels == [outputs for _, outputs, _ in layers]


def test_cost_of_layers_by_hand() -> None:
    plan = ARCHITECTURES["full"].plan(20, 12)  # 40 x 32 with the margin
    sizes = [32 * 40 * 32, 64 * 20 * 16, 128 * 10 * 8, *[128 * 10 * 8] * 10, 64 * 20 * 16, 32 * 40 * 32, 3 * 40 * 32]
    assert [cost.written for cost in plan.costs] == sizes
    assert plan.costs[0].operations == 2 * 40 * 32 * 32 * 3 * 81
    assert plan.costs[0].read == 3 * 40 * 32
    assert plan.costs[1].operations == 2 * 20 * 16 * 64 * 32 * 9


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("size", [(360, 640), (33, 18)], ids=str)
def test_plan_equals_the_counts_of_torch(architecture: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TorchOps, "blur", lambda _, x: x)  # a depthwise convolution there, which is not one of the network's
    with torch.device("meta"):
        network = make(architecture)
        with FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, 3, *size), network.plain_rows())
    plan = network.architecture.plan(*size)
    assert sum(cost.operations for cost in plan.costs) == counter.get_total_flops()
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert shapes == network.architecture.parameters


def test_lite_costs_at_most_3_5_gflop_at_640x360() -> None:
    with torch.device("meta"):
        network = make("lite")
        with FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, 3, 360, 640), network.plain_rows())
    assert 2e9 < counter.get_total_flops() <= 3.5e9  # two operations per multiply-add


# Networks with weights set by hand: every convolution returns its input, and every norm shifts it far above zero, so that ReLU
# has no effect. They output the photo, a little softer and with another contrast, which shows whether it is shifted.


def set_kernel(conv: nn.Conv2d, taps: list[float], pairs: list[tuple[int, int]]) -> None:
    """Set the weights: for every pair (o, i), output channel o is input channel i, filtered by a separable kernel."""
    nn.init.zeros_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    line = torch.tensor(taps)
    for o, i in pairs:
        conv.weight[o, i] = torch.outer(line, line)


def identity_full() -> tuple[TransformerNetwork, Tensor]:
    """`full` with weights that return the photo, and rows (2, K)."""
    network: Any = make("full").requires_grad_(False)
    colours = [(c, c) for c in range(3)]
    set_kernel(network.down1, [0, 0, 0, 0, 1, 0, 0, 0, 0], colours)
    set_kernel(network.down2, [0.25, 0.5, 0.25], colours)
    set_kernel(network.down3, [0.25, 0.5, 0.25], colours)
    # an upsampled pixel is half a pixel before its place; the mean of two neighbours is at the place
    set_kernel(network.up1, [0, 0.5, 0.5], colours)
    set_kernel(network.up2, [0, 0.5, 0.5], colours)
    set_kernel(network.out, [0, 0, 0, 0, 1, 0, 0, 0, 0], colours)
    rows = network.plain_rows()
    rows[1] = 20
    rows[:, 224 : 224 + 1280] = 0  # the residual blocks add nothing
    rows[0, -3:], rows[1, -3:] = 0.1, 0  # where tanh is linear
    return network, rows


def identity_lite(path: str) -> tuple[TransformerNetwork, Tensor]:
    """`lite` with weights that return the photo, and rows (2, K).

    path: the layers that the photo passes through. "half": the bypass at half size, where four channels hold the 2 x 2 pixels of
    each pixel. "quarter", "eighth": the layers of that size, which hold the means of 4 x 4 or 8 x 8 pixels.
    """
    network: Any = make("lite").requires_grad_(False)
    phases = range(4)
    mean = [0, 0.5, 0.5]  # of the two pixels that a pixel of half the size covers, in a kernel that starts one pixel before them
    nn.init.zeros_(network.stem1.weight)
    if path == "half":
        for p in phases:  # the red channel; the 5 x 5 kernel starts 2 pixels before its pixel
            network.stem1.weight[p, 0, 2 + p // 2, 2 + p % 2] = 1
    else:  # in channel 4, which does not reach the output
        network.stem1.weight[4, 0, 2:4, 2:4] = 0.25
    nn.init.constant_(network.stem1.bias, 5)  # ReLU has no effect
    set_kernel(network.stem2, mean, [(0, 4)])
    set_kernel(network.down, mean, [(0, 0)])
    set_kernel(network.widen, [1], [(1, 0)])  # to a channel that is constant in the bypass at a quarter of the size
    source = {"half": [], "quarter": [0], "eighth": [1]}[path]
    set_kernel(network.up, [0, 1, 0], [(8 * p, i) for p in phases for i in source])
    contrast = 1 if path == "half" else 0.1  # the other paths have norms
    every_pixel = [(3 * p + colour, p if path == "half" else 0) for p in phases for colour in range(3)]
    set_kernel(network.out, [0, contrast**0.5, 0], every_pixel)
    nn.init.constant_(network.out.bias, -contrast * (20 + 5))  # to where the sigmoid is nearly linear
    rows = network.plain_rows()
    rows[1] = 20
    rows[:, 96 : 96 + 384] = 0  # the residual blocks add nothing
    return network, rows


def centroid(picture: Tensor) -> tuple[float, float]:
    """Row and column of the centroid of a picture, (H, W), above the mean of its top row."""
    weight = (picture - picture[0].mean()).double()
    rows, columns = torch.arange(len(weight)).double(), torch.arange(weight.shape[1]).double()
    return float((weight.sum(1) * rows).sum() / weight.sum()), float((weight.sum(0) * columns).sum() / weight.sum())


@pytest.mark.parametrize("size", [(96, 96), (97, 90), (95, 99)], ids=str)
@pytest.mark.parametrize("path", ["full", "half", "quarter", "eighth"])
def test_networks_do_not_shift_the_picture(path: str, size: tuple[int, int]) -> None:
    """path: `full`, or a path through `lite`."""
    network, rows = identity_full() if path == "full" else identity_lite(path)
    y, x = torch.meshgrid(torch.arange(size[0]) - 47.3, torch.arange(size[1]) - 44.8, indexing="ij")
    blob = 0.1 + 0.8 * torch.exp(-(y**2 + x**2) / (2 * 9**2)).expand(1, 3, *size)
    painted = network(blob, rows)
    assert painted.amax() - painted.amin() > 0.1
    assert centroid(painted[0, 0]) == pytest.approx((47.3, 44.8), abs=0.1)


def test_bypass_of_lite_keeps_single_pixels() -> None:
    network, rows = identity_lite("half")
    picture = torch.zeros(1, 3, 41, 38)
    picture[..., 13, 22] = 1
    painted = network(picture, rows)[0, 0]
    assert divmod(int(painted.argmax()), 38) == (13, 22)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_borders_are_painted_like_the_inside(architecture: str) -> None:
    torch.manual_seed(0)
    network = make(architecture).requires_grad_(False)
    picture = torch.full((1, 3, 24, 400), 0.2)
    picture[..., 200:] = 0.9  # dark and light halves, wider than the receptive field
    painted = network(picture, random_rows(network, 1)[0])
    assert (painted[..., 100] - painted[..., 300]).abs().max() > 0.02
    for border, inside in ((slice(0, 8), slice(48, 56)), (slice(392, 400), slice(344, 352))):
        assert (painted[..., border] - painted[..., inside]).abs().max() < 1e-3


@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (3, 0, 0, 5), (10, 10, 10, 10), (0, 17, 26, 1), (1, 40, 0, 33)], ids=str)
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (6, 1), (2, 3), (10, 11)], ids=str)
def test_reflect_padding_equals_numpy(size: tuple[int, int], pads: tuple[int, int, int, int]) -> None:
    picture = torch.rand(1, 2, *size)
    left, right, top, bottom = pads
    expected = np.pad(picture.numpy(), ((0, 0), (0, 0), (top, bottom), (left, right)), mode="reflect")
    np.testing.assert_array_equal(reflect_pad(picture, *pads).numpy(), expected)
    assert mirrored(size[0], top, bottom) == np.pad(range(size[0]), (top, bottom), mode="reflect").tolist()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_conditional_instance_norm_by_hand(layout: torch.memory_format) -> None:
    x, rows = torch.randn(2, 5, 12, 9) * 3 + 1, torch.randn(2, 2, 5)
    exact = x.double().numpy()
    mean, variance = exact.mean((2, 3), keepdims=True), exact.var((2, 3), keepdims=True)
    normal = (exact - mean) / np.sqrt(variance + 1e-5)
    per_picture = normal * rows[:, 0, :, None, None].numpy() + rows[:, 1, :, None, None].numpy()
    shared = normal * rows[0, 0, :, None, None].numpy() + rows[0, 1, :, None, None].numpy()
    x = x.to(memory_format=layout)
    np.testing.assert_allclose(TorchOps({}, rows).norm(x).numpy(), per_picture, atol=1e-4)
    np.testing.assert_allclose(TorchOps({}, rows[0]).norm(x).numpy(), shared, atol=1e-4)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_of_the_norm(layout: torch.memory_format) -> None:
    """Compared with finite differences and with torch's group norm, in float64."""
    generator = torch.Generator().manual_seed(6)
    x = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64).to(memory_format=layout).requires_grad_()
    rows = torch.randn(2, 2, 3, generator=generator, dtype=torch.float64).requires_grad_()

    def norm(x: Tensor, rows: Tensor) -> Tensor:
        return TorchOps({}, rows).norm(x)

    def group_norm(x: Tensor, rows: Tensor) -> Tensor:
        return F.group_norm(x, 3) * rows[:, 0, :, None, None] + rows[:, 1, :, None, None]

    assert torch.allclose(norm(x, rows), group_norm(x, rows), atol=1e-12)
    assert torch.autograd.gradcheck(norm, (x, rows))
    weight = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    ours, torch_s = (torch.autograd.grad((f(x, rows) * weight).sum(), (x, rows)) for f in (norm, group_norm))
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(ours, torch_s, strict=True))


@pytest.mark.parametrize(("precision", "error"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)], ids=str)
def test_gpu_norm_equals_double_precision(precision: torch.dtype, error: float) -> None:
    """The picture has a small contrast on a large mean, which would be lost if sums were in half precision."""
    x = (torch.randn(2, 5, 12, 9, generator=torch.Generator().manual_seed(7)) + 40).to(precision)
    x = x.contiguous(memory_format=torch.channels_last)
    normed, rstd = normalised_in_lines(x)
    deviation = x.double().var((2, 3), correction=0).add(1e-5).sqrt()
    exact = (x.double() - x.double().mean((2, 3), keepdim=True)) / deviation[:, :, None, None]
    torch.testing.assert_close(normed.double(), exact, rtol=0, atol=error)
    torch.testing.assert_close(rstd.double(), 1 / deviation, rtol=1e-2, atol=0)
    assert normed.is_contiguous(memory_format=torch.channels_last)
    assert normed.dtype == precision


@pytest.mark.parametrize("border", ["reflect", "repeat"])
@pytest.mark.parametrize("rim", [1, 4])
def test_gpu_border_equals_f_pad(border: Border, rim: int) -> None:
    x = torch.randn(2, 3, 6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(8))
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    padded, expected = Bordered.apply(x, rim, border), F.pad(x, (rim,) * 4, mode=PAD_MODES[border])
    assert torch.equal(padded, expected)
    assert padded.is_contiguous(memory_format=torch.channels_last)
    weight = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
    ours, torch_s = (torch.autograd.grad((each * weight).sum(), x)[0] for each in (padded, expected))
    torch.testing.assert_close(ours, torch_s, rtol=0, atol=1e-12)


def test_norms_take_rows_in_order() -> None:
    ops = TorchOps({}, torch.arange(10.0).view(2, 5))
    assert ops.next_rows(2).tolist() == [[0, 1], [5, 6]]
    assert ops.next_rows(3).tolist() == [[2, 3, 4], [7, 8, 9]]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_statistics_do_not_overflow(precision: torch.dtype, layout: torch.memory_format) -> None:
    x = (torch.randn(1, 4, 48, 48) * 8000 + 20000).to(precision).to(memory_format=layout)  # squares overflow fp16
    rows = torch.stack([torch.ones(4), torch.zeros(4)]).to(precision)
    normal = TorchOps({}, rows).norm(x).float()
    expected = F.instance_norm(x.double()).float()
    torch.testing.assert_close(normal, expected, rtol=0.01, atol=0.02)
