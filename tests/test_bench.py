"""The benchmark: real runs on small sizes, and what it works out from figures, by hand."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from livestyle.bench import (
    SIZES,
    Ceilings,
    Unpainted,
    engines_here,
    find_look,
    floor_seconds,
    measure_network,
    measure_video,
    usual_sizes,
)
from livestyle.cli.bench import SIZE_NAMES
from livestyle.engines.base import Done
from livestyle.engines.devices import choose_device, open_engine
from livestyle.errors import StyleError
from livestyle.frame import Image
from livestyle.look import Look
from livestyle.networks import ARCHITECTURES
from livestyle.networks.plan import ConvolutionCost
from livestyle.style_files.gallery import bundled_folder
from livestyle.stylizer import Stylizer

# the whole program


def bench(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "livestyle", "bench", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_bench(tmp_path: Path) -> None:
    done = bench(tmp_path, "--model", "lite", "--size", "256x256", "--frames", "4", "--json", "-o", "figures.json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert json.loads((tmp_path / "figures.json").read_text()) == figures

    assert [network["device"] for network in figures["networks"]] == engines_here()
    for network in figures["networks"]:
        place = "cpu" if network["device"] == "openvino" else network["device"]
        assert f"{place} {network['precision']}" in figures["ceilings"]
        assert network["gflop"] == pytest.approx(0.734, rel=1e-3)
        assert 0 < network["alone_ms"] <= network["alone_p95_ms"]
        assert 0 < network["batched_ms"] <= network["alone_ms"]  # alone is among the batches
        assert network["alone_to_floor"] == pytest.approx(network["alone_ms"] / network["floor_ms"])
        assert network["batched_to_floor"] == pytest.approx(network["batched_ms"] / network["floor_ms"])
    assert [video["size"] for video in figures["videos"]] == ["640x360", "1280x720"]
    for video in figures["videos"]:
        slowest = min(video["read_fps"], video["paint_fps"], video["write_fps"])
        assert video["together_to_slowest"] == pytest.approx(video["together_fps"] / slowest)
    named = ("start_up_seconds", "help_seconds", "import_torch_seconds", "rss_720p_mib", "style_change_ms")
    assert min(figures[key] for key in named) > 0

    lines = done.stderr.splitlines()
    assert all(any(line.startswith(f"{device} lite 256x256: ") for line in lines) for device in engines_here())
    assert sum(" ceilings " in line for line in lines) == len(figures["ceilings"])
    assert lines[-1].startswith("start-up: ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--device", "abacus"), "no device 'abacus'"),
        (("--style", "wavy"), "no style named 'wavy'"),
        (("--style", "wave:0"), "cannot read the style"),
        (("--size", "720"), "'720' is not one of"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_measured(tmp_path: Path, words: tuple[str, str], said: str) -> None:
    done = bench(tmp_path, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "ceilings" not in done.stderr
    assert "Traceback" not in done.stderr


# what is measured


def test_engines_are_those_of_this_machine_the_usual_one_first() -> None:
    devices = engines_here()
    assert devices[0] == choose_device("auto")
    assert "cpu" in devices
    assert ("openvino" in devices) == (importlib.util.find_spec("openvino") is not None)
    assert len(set(devices)) == len(devices)


def test_sizes() -> None:
    assert list(SIZES) == SIZE_NAMES
    assert usual_sizes("lite", "openvino") == usual_sizes("lite", "cpu") == SIZE_NAMES[:4]
    assert usual_sizes("full", "openvino") == usual_sizes("full", "cpu") == SIZE_NAMES[:3]
    assert usual_sizes("full", "cuda:0") == usual_sizes("lite", "mps") == SIZE_NAMES


def test_the_look_is_the_styles_of_a_blend_the_first_ones() -> None:
    look = find_look("wave:.7,udnie:.3", "lite")
    with Stylizer("wave", "lite", "cpu") as stylizer:
        np.testing.assert_array_equal(look.rows, stylizer._look.rows)
        np.testing.assert_array_equal(look.body.parameters["stem.weight"], stylizer._look.body.parameters["stem.weight"])
    with pytest.raises(StyleError, match="wavy"):
        find_look("wavy", "full")


def test_a_network_without_a_style_is_of_random_numbers() -> None:
    look = find_look(str(bundled_folder() / "wave.lite.safetensors"), "full")
    parameters = look.body.parameters
    assert look.body.architecture.name == "full"
    assert parameters.keys() == ARCHITECTURES["full"].parameters.keys()
    assert parameters["down1.weight"].std() == pytest.approx((2 / (3 * 81)) ** 0.5, rel=0.05)
    assert not any(parameters[name].any() for name in parameters if name.endswith(".bias"))
    assert (look.rows[0] == 1).all()
    assert (look.rows[1] == 0).all()


def test_full_is_measured() -> None:
    with closing(open_engine(engines_here()[0])) as engine:
        figures = measure_network(engine, find_look("wave", "full"), "256x256", Ceilings(1, 1), most_repeats=1)
    assert (figures.device, figures.model, figures.size) == (engine.name, "full", "256x256")
    assert figures.gflop == pytest.approx(23.43, rel=1e-3)
    assert figures.batch in engine.batches
    assert 0 < figures.batched_ms < float("inf")


class Recording:
    """An engine that gives frames back, and remembers them."""

    name, precision, takes_nv12 = "recording", "float16", False
    batches: tuple[int, ...] = (2, 3)

    def __init__(self) -> None:
        self.notes = ["painted in strips"]
        self.seen: list[list[bytes]] = []

    def prepare(self, body: object) -> None:
        pass

    def submit(self, frames: Sequence[Image], look: Look) -> Done:
        self.seen.append([frame.tobytes() for frame in frames])
        return Done(list(frames))

    def close(self) -> None:
        pass


def test_no_two_frames_are_the_same() -> None:
    engine, look = Recording(), find_look("wave", "lite")
    figures = measure_network(engine, look, "256x256", Ceilings(1, 1), most_repeats=30)
    counts = [len(frames) for frames in engine.seen]
    assert counts == [1] * 32 + [2] * 32 + [3] * 32  # each after two runs that do not count
    for count in (1, 2, 3):
        shown = [frame for frames in engine.seen if len(frames) == count for frame in frames][2 * count :]
        assert len(set(shown)) == 30 * count
        assert all(len(frame) == 256 * 256 * 3 for frame in shown)
    assert figures.batch in (2, 3)  # one alone was measured, but is no batch of this engine
    assert figures.notes == engine.notes
    # half precision: two bytes a number
    assert figures.floor_ms == pytest.approx(1000 * floor_seconds(look.body.architecture.plan(256, 256).costs, Ceilings(1, 1), 2))


def test_few_repeats_are_still_five() -> None:
    engine = Recording()
    measure_network(engine, find_look("wave", "lite"), "256x256", Ceilings(1, 1), most_repeats=1)
    assert [len(frames) for frames in engine.seen] == [1] * 7 + [2] * 7 + [3] * 7


# the floor


def test_the_floor_of_each_convolution_by_hand() -> None:
    ceilings = Ceilings(tflops=2, gbytes_per_second=10)
    computes = ConvolutionCost(operations=8 * 10**9, read=10**6, written=2 * 10**6)  # 4 ms; its numbers take 1.2 ms in fp32
    moves = ConvolutionCost(operations=10**9, read=4 * 10**6, written=10**6)  # .5 ms; its numbers take 2 ms
    assert floor_seconds([computes], ceilings, number_bytes=4) == pytest.approx(0.004 + 0.0008)  # .8 ms: read for statistics
    assert floor_seconds([moves], ceilings, number_bytes=4) == pytest.approx(0.002 + 0.0004)
    assert floor_seconds([computes, moves], ceilings, number_bytes=4) == pytest.approx(0.0072)
    assert floor_seconds([computes, moves], ceilings, number_bytes=2) == pytest.approx(0.004 + 0.0004 + 0.001 + 0.0002)


def test_the_floor_of_lite_by_hand() -> None:
    # at 640x360, numbers read + written + read again, by convolution: stem, down, six in blocks, widen, up, out
    numbers = 1_624_848 + 921_600 + 6 * 691_200 + 460_800 + 1_382_400 + 1_843_200
    work = ARCHITECTURES["lite"].plan(360, 640).costs
    assert floor_seconds(work, Ceilings(tflops=1e9, gbytes_per_second=1), 2) == pytest.approx(numbers * 2 / 1e9)
    # multiply-adds a number written: inputs x side x side
    written = {"stem": 460_800, "down": 230_400, "blocks": 6 * 230_400, "widen": 115_200, "up": 460_800, "out": 691_200}
    each = {"stem": 3 * 64, "down": 32 * 9, "blocks": 64 * 9, "widen": 64, "up": 32 * 9, "out": 32 * 9}
    operations = 2 * sum(written[name] * each[name] for name in written)
    assert floor_seconds(work, Ceilings(tflops=0.5, gbytes_per_second=1e9), 2) == pytest.approx(operations / 0.5e12)


# a video


def test_a_video_is_measured_stage_by_stage() -> None:
    with Stylizer("wave", device="cpu") as stylizer:
        figures = measure_video(stylizer, "256x256", 6)
        assert figures.batch == stylizer.best_batch((256, 256, 3))
    assert min(figures.read_fps, figures.paint_fps, figures.write_fps, figures.together_fps) > 0
    assert min(figures.read_cpu_ms, figures.paint_cpu_ms, figures.write_cpu_ms, figures.queues_cpu_ms) > 0


def test_nothing_is_painted_to_time_the_queues() -> None:
    frames = [np.full((2, 3, 3), number, np.uint8) for number in range(3)]
    assert Unpainted().submit(frames).result() == frames
