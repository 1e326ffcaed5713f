"""A new architecture needs one definition and one entry in ARCHITECTURES: nothing else in the program names architectures."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from livestyle.engines.base import Engine
from livestyle.engines.cpu import CpuEngine, TorchEngine
from livestyle.engines.cuda import fused
from livestyle.engines.memory import fits_whole
from livestyle.errors import TooLargeError
from livestyle.frame import Image
from livestyle.look import Look
from livestyle.networks import ARCHITECTURES
from livestyle.networks.architecture import Architecture, StripMemory
from livestyle.networks.ops import Ops, X
from livestyle.networks.torch_ops import TransformerNetwork
from livestyle.style_files.file_format import write_style_file
from livestyle.style_files.gallery import Gallery
from livestyle.stylizer import Stylizer


def forward(ops: Ops[X], photo: X) -> X:
    """Two convolutions with a norm between them, at full size."""
    x = ops.relu(ops.norm(ops.conv("first", ops.centre(photo), 8, 3, border="repeat")))  # (N, 8, H, W)
    return ops.painted(ops.sigmoid(ops.conv("last", x, 3, 3, border="repeat")))  # (N, 3, H, W)


TOY = Architecture(
    "toy", "is for tests", made_for="cpu", forward=forward, bytes_per_pixel=100, strips=StripMemory(per_pixel=10, fixed=1000)
)
PLAIN_TOY = replace(TOY, strips=None, supports_fused=False, supports_half=False)
HEIGHT, WIDTH = 20, 14


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARCHITECTURES, "toy", TOY)


def make_network(architecture: Architecture) -> tuple[TransformerNetwork, torch.Tensor]:
    """A random network and random rows (2, K), always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = TransformerNetwork(architecture).requires_grad_(False)
        return network, network.plain_rows() + 0.3 * torch.randn(2, architecture.row_length)


def make_look(architecture: Architecture) -> Look:
    network, rows = make_network(architecture)
    return Look(network.body(), rows.numpy())


@pytest.fixture
def frame() -> Image:
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def paint(engine: Engine, frame: Image, look: Look, count: int = 1) -> Image:
    """Paint a batch of `count` equal frames and close the engine. Returns the last painting."""
    painted = engine.submit([(frame, look)] * count).result()[-1]
    engine.close()
    return painted


def open_openvino() -> Engine:
    pytest.importorskip("openvino")
    from livestyle.engines.openvino import OpenVinoEngine

    return OpenVinoEngine()


def test_engines_and_strips_agree(frame: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    look = make_look(TOY)
    whole = paint(TorchEngine("cpu"), frame, look).astype(int)
    assert np.abs(whole - frame).mean() > 10
    assert np.abs(paint(open_openvino(), frame, look) - whole).max() <= 2  # bf16 on some processors
    monkeypatch.setattr("livestyle.engines.memory.CPU_MOST_BYTES", 1)
    monkeypatch.setattr("livestyle.networks.strip_ops.STRIP_VALUES", 1)
    monkeypatch.setattr("livestyle.networks.strip_ops.MIN_STRIP_ROWS", 3)
    in_strips = TorchEngine("cpu")
    assert np.abs(paint(in_strips, frame, look) - whole).max() <= 1
    assert in_strips.notes == [f"{WIDTH}x{HEIGHT} is painted in strips, to save memory"]


def test_fused_kernels_are_used_if_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton", reason="Triton is for Linux")
    monkeypatch.setattr("livestyle.engines.cuda.has_triton", lambda: True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network, rows = make_network(TOY)
    network, rows, photo = network.to(device), rows.to(device), torch.rand(2, 3, 7, 9, device=device)
    run = fused(network)
    assert run is not network
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        painted = run(photo.contiguous(memory_format=torch.channels_last), rows)
        torch.testing.assert_close(painted, network(photo, rows), rtol=0, atol=1e-4)
    network, _ = make_network(PLAIN_TOY)
    assert fused(network) is network


@pytest.mark.parametrize("open_engine", [CpuEngine, open_openvino], ids=["cpu", "openvino"])
def test_without_strips_frames_are_painted_whole_or_refused(
    open_engine: type[CpuEngine], frame: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, whole_bytes = make_look(PLAIN_TOY), 100 * HEIGHT * WIDTH
    expected = paint(open_engine(), frame, look)
    monkeypatch.setattr("livestyle.engines.memory.CPU_MOST_BYTES", 1)  # no effect: this limit is for networks that support strips
    monkeypatch.setattr("livestyle.engines.memory.free_bytes", lambda: whole_bytes)
    monkeypatch.setattr("livestyle.engines.cpu.cores", lambda: 2)
    monkeypatch.setattr("livestyle.engines.openvino.cores", lambda: 2)
    engine = open_engine()
    assert np.abs(paint(engine, frame, look, count=3).astype(int) - expected).max() <= 1  # one by one
    assert engine.notes == []
    monkeypatch.setattr("livestyle.engines.memory.free_bytes", lambda: whole_bytes - 1)
    engine = open_engine()
    for count in (1, 3):
        with pytest.raises(TooLargeError, match=rf"^{WIDTH}x{HEIGHT} needs about 0 MiB in the toy network, and 0 MiB are free"):
            engine.submit([(frame, look)] * count)
    engine.close()


def test_without_half_precision_it_runs_in_fp32(frame: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livestyle.engines.cpu.cpu_precision", lambda: torch.bfloat16)
    for architecture in (TOY, PLAIN_TOY):
        look = make_look(architecture)
        exact = paint(TorchEngine("cpu"), frame, look)
        assert np.array_equal(paint(CpuEngine(), frame, look), exact) == (not architecture.supports_half)
    enough = 100 * HEIGHT * WIDTH
    assert fits_whole(PLAIN_TOY, frame, 1, enough, precision="bfloat16")
    with pytest.raises(TooLargeError):
        fits_whole(PLAIN_TOY, frame, 1, enough - 1, precision="bfloat16")
    assert fits_whole(TOY, frame, 1, enough - 1, precision="bfloat16")


def test_without_half_precision_openvino_runs_it_in_fp32(frame: Image) -> None:
    engine = open_openvino()
    engine.precision = "bfloat16"
    engine.submit([(frame, make_look(PLAIN_TOY))]).result()
    hints = [compiled.get_property("INFERENCE_PRECISION_HINT") for compiled in engine._compiled.values()]  # type: ignore[attr-defined]
    assert [hint.to_string() for hint in hints] == ["f32"]
    engine.close()


def test_style_files_and_stylizer_take_it(tmp_path: Path, frame: Image) -> None:
    look = make_look(TOY)
    write_style_file(tmp_path / "dots.toy.safetensors", look.body, look.rows, {})
    for model in ("toy", "auto"):
        with Stylizer("dots", model, "cpu", gallery=Gallery([tmp_path])) as stylizer:
            assert stylizer.model == "toy"
            expected = paint(TorchEngine("cpu"), frame, look)
            assert np.abs(stylizer(frame).astype(int) - expected).max() <= 2  # the file's body is in half precision


def test_command_line_offers_it() -> None:
    script = (
        "from dataclasses import replace\n"
        "from livestyle.networks import ARCHITECTURES\n"
        "ARCHITECTURES['toy'] = replace(ARCHITECTURES['lite'], name='toy', summary='is for tests')\n"
        "from livestyle.cli import cli\n"
        "cli.main(['image', '--help'])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    choices = "|".join(dict.fromkeys(["auto", *ARCHITECTURES, "toy"]))
    assert f"--model [{choices}]" in done.stdout, done.stderr
    assert "toy is for tests" in " ".join(done.stdout.split())
