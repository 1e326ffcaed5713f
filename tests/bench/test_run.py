"""The command livestyle bench: real measurements at small sizes, and invalid arguments."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from livestyle.bench.run import available_devices, usual_sizes
from livestyle.bench.sizes import SIZES
from livestyle.engines.devices import choose_device
from livestyle.networks import ARCHITECTURES


def bench(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "livestyle", "bench", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_bench_reports_every_figure(tmp_path: Path) -> None:
    done = bench(tmp_path, "--model", "lite", "--size", "256x256", "--frames", "4", "--json", "-o", "figures.json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert json.loads((tmp_path / "figures.json").read_text()) == figures

    assert [network["device"] for network in figures["networks"]] == available_devices()
    for network in figures["networks"]:
        torch_device = "cpu" if network["device"] == "openvino" else network["device"]
        assert f"{torch_device} {network['precision']}" in figures["ceilings"]
        assert network["gflop"] == pytest.approx(0.637, rel=1e-3)
        assert 0 < network["alone_ms"] <= network["alone_p95_ms"]
        assert 0 < network["batched_ms"] <= network["alone_ms"]  # 1 is among the batch sizes
        assert network["alone_to_floor"] == pytest.approx(network["alone_ms"] / network["floor_ms"])
        assert network["batched_to_floor"] == pytest.approx(network["batched_ms"] / network["floor_ms"])
    assert [video["size"] for video in figures["videos"]] == ["640x360", "1280x720"]
    for video in figures["videos"]:
        slowest = min(video["read_fps"], video["paint_fps"], video["write_fps"])
        assert video["end_to_end_to_slowest"] == pytest.approx(video["end_to_end_fps"] / slowest)
    named = ("start_up_seconds", "help_seconds", "import_torch_seconds", "rss_720p_mib", "style_change_ms")
    assert min(figures[key] for key in named) > 0

    lines = done.stderr.splitlines()
    assert all(any(line.startswith(f"{device} lite 256x256: ") for line in lines) for device in available_devices())
    assert sum(" ceilings " in line for line in lines) == len(figures["ceilings"])
    assert lines[-1].startswith("start-up: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--device", "abacus"), "no device 'abacus'"),
        (("--style", "wavy"), "no style named 'wavy'"),
        (("--style", "wave:0"), "cannot read the style"),
        (("--size", "720"), "'720' is not one of"),
    ],
)
def test_invalid_arguments_are_refused_before_anything_is_measured(tmp_path: Path, words: tuple[str, str], message: str) -> None:
    done = bench(tmp_path, *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "ceilings" not in done.stderr
    assert "Traceback" not in done.stderr


def test_available_devices_start_with_the_default_one() -> None:
    devices = available_devices()
    assert devices[0] == choose_device("auto")
    assert "cpu" in devices
    assert ("openvino" in devices) == (importlib.util.find_spec("openvino") is not None)
    assert len(set(devices)) == len(devices)


def test_usual_sizes_depend_on_what_the_network_is_made_for() -> None:
    names, full, lite = list(SIZES), ARCHITECTURES["full"], ARCHITECTURES["lite"]
    assert usual_sizes(lite, "openvino") == usual_sizes(lite, "cpu") == names[:4]
    assert usual_sizes(full, "openvino") == usual_sizes(full, "cpu") == names[:3]
    assert usual_sizes(full, "cuda:0") == usual_sizes(lite, "mps") == names
