"""One contract suite for all engines: whatever the device, the same painting."""

import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from livestyle.engines.base import Engine
from livestyle.engines.cpu import CpuEngine, TorchEngine
from livestyle.engines.devices import choose_device, open_engine
from livestyle.engines.memory import fits_whole, strips_note
from livestyle.errors import DeviceError, TooLargeError
from livestyle.frame import Image
from livestyle.look import Look
from livestyle.networks import ARCHITECTURES
from livestyle.networks.architecture import Architecture
from livestyle.networks.torch_ops import TransformerNetwork
from livestyle.style_files.file_format import load_body, load_style
from livestyle.style_files.gallery import Gallery


def if_there(device: str) -> Engine:
    try:
        return open_engine(choose_device(device))
    except DeviceError as error:
        pytest.skip(str(error))


ENGINES: dict[str, Callable[[], Engine]] = {
    "pooled": CpuEngine,
    "plain": lambda: TorchEngine("cpu"),
    "openvino": lambda: if_there("openvino"),
    "cuda": lambda: if_there("cuda"),
}


IN_STRIPS = " in strips"


@pytest.fixture(params=[*ENGINES, f"pooled{IN_STRIPS}", f"openvino{IN_STRIPS}"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    name, strips, _ = request.param.partition(IN_STRIPS)
    if strips:
        monkeypatch.setattr("livestyle.engines.memory.CPU_MOST_BYTES", 1)
    opened = ENGINES[name]()
    if strips:
        opened.precision = "float32"  # whatever the engine takes for what it paints whole
    yield opened
    opened.close()


def load_look(folder: Path, model: str) -> Look:
    gallery = Gallery([folder])
    header = gallery.models("ash")[model]
    return Look(load_body(gallery.body(header)), load_style(header).rows)


@pytest.fixture(scope="module")
def look(style_folder: Path) -> Look:
    return load_look(style_folder, "lite")


@pytest.fixture
def frames() -> list[Image]:
    """Smooth, so that half precision is comparable; each of another brightness."""
    y, x = np.mgrid[0:12, 0:19]
    scene = np.stack([x * 12, y * 20, 200 - x * 4 - y * 6], axis=-1)
    return [(scene * (0.4 + 0.1 * number)).astype(np.uint8) for number in range(6)]


def apart(one: Image, other: Image) -> float:
    """The largest difference in grey levels."""
    return float(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize("model", ["lite", "full"])
def test_a_batch_equals_one_by_one(engine: Engine, style_folder: Path, model: str, frames: list[Image]) -> None:
    look, frames = load_look(style_folder, model), frames[:4]
    before = [frame.copy() for frame in frames]
    together = engine.submit(frames, look).result()
    assert len(together) == len(frames)
    for frame, painted in zip(frames, together, strict=True):
        alone = engine.submit([frame], look).result()[0]
        assert painted.shape == frame.shape
        assert painted.dtype == np.uint8
        assert painted.flags.c_contiguous
        # half precision rounds otherwise where the work is split otherwise, and sixteen norms pass that on
        assert apart(alone, painted) <= (1 if engine.precision == "float32" or model == "lite" else 8)
        assert np.abs(alone.astype(int) - painted).mean() < 1
    assert all(np.array_equal(frame, old) for frame, old in zip(frames, before, strict=True))
    assert apart(together[0], together[-1]) > 3  # or the order would not show


def test_tickets_in_flight_keep_their_frames(engine: Engine, look: Look, frames: list[Image]) -> None:
    expected = engine.submit(frames, look).result()
    for _ in range(4):  # more than there are buffers
        tickets = [engine.submit(frames[start : start + 2], look) for start in (0, 2, 4)]
        painted = [image for ticket in tickets for image in ticket.result()]
        assert max(apart(*pair) for pair in zip(expected, painted, strict=True)) <= 1


def test_results_are_the_caller_s_to_keep(engine: Engine, look: Look, frames: list[Image]) -> None:
    first = engine.submit(frames[:1], look).result()[0]
    kept = first.copy()
    for frame in frames:
        engine.submit([frame], look).result()
    assert np.array_equal(first, kept)


def test_a_frame_may_change_once_its_result_is_there(engine: Engine, look: Look, frames: list[Image]) -> None:
    painted = engine.submit(frames[:2], look).result()
    kept = [image.copy() for image in painted]
    frames[0][:] = 0
    assert all(np.array_equal(image, copy) for image, copy in zip(painted, kept, strict=True))


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (30, 17)], ids=str)
def test_sizes_may_change(engine: Engine, look: Look, frames: list[Image], size: tuple[int, int]) -> None:
    engine.submit(frames, look).result()
    other = np.resize(frames[0], (*size, 3))
    assert engine.submit([other, other], look).result()[1].shape == other.shape
    assert engine.submit(frames[:1], look).result()[0].shape == frames[0].shape


def test_the_look_is_the_batch_s_own(engine: Engine, look: Look, frames: list[Image]) -> None:
    other = replace(look, rows=look.rows * 1.4)
    one, two = engine.submit(frames[:2], look), engine.submit(frames[:2], other)
    first, second = one.result(), two.result()
    assert apart(first[0], second[0]) > 3
    assert apart(first[0], engine.submit(frames[:2], look).result()[0]) <= 1


def decibels(one: Image, other: Image) -> float:
    """Peak signal to noise ratio."""
    error = np.square(one.astype(float) - other).mean()
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def test_engines_paint_alike(engine: Engine, look: Look, frames: list[Image]) -> None:
    for change in ({}, {"strength": 0.3}, {"keep_colors": True}):
        changed = replace(look, **change)
        reference = TorchEngine("cpu").submit(frames, changed).result()
        painted = engine.submit(frames, changed).result()
        if engine.precision == "float32":
            assert max(apart(*pair) for pair in zip(reference, painted, strict=True)) <= 1
        else:
            assert decibels(np.stack(reference), np.stack(painted)) >= 38


HARD = {
    "black": np.zeros((72, 104, 3)),
    "white": np.full((72, 104, 3), 255),
    "checkerboard": np.indices((72, 104, 3))[:2].sum(0) % 2 * 255,
    "noise": np.random.default_rng(0).integers(0, 256, (72, 104, 3)),
}


@pytest.mark.parametrize("name", Gallery().names)
def test_bundled_styles_keep_their_precision(engine: Engine, name: str) -> None:
    header = Gallery().models(name)["lite"]
    look = Look(load_body(Gallery().body(header)), load_style(header).rows)
    hard = [frame.astype(np.uint8) for frame in HARD.values()]
    # in float64: of a picture without contrast every norm magnifies the rounding, so that torch's own fp32 is 41 dB off
    network, rows = TransformerNetwork.of(look.body).double(), torch.from_numpy(look.rows).double()
    photos = torch.from_numpy(np.stack(hard)).permute(0, 3, 1, 2).double() / 255  # (N, 3, H, W)
    with torch.inference_mode():
        exact = (network(photos, rows) * 255).round().permute(0, 2, 3, 1).byte().numpy()  # (N, H, W, 3)
    painted = engine.submit(hard, look).result()
    for kind, one, other in zip(HARD, exact, painted, strict=True):
        assert decibels(one, other) >= 38, kind


def test_a_style_change_compiles_nothing(style_folder: Path, frames: list[Image]) -> None:
    engine: Any = if_there("openvino")
    look = load_look(style_folder, "lite")
    engine.submit(frames, look).result()
    before = dict(engine._compiled)
    changed = replace(look, rows=look.rows * 1.4)
    assert apart(engine.submit(frames, look).result()[0], engine.submit(frames, changed).result()[0]) > 3
    assert engine._compiled == before
    engine.close()


def test_the_frame_loop_allocates_nothing_on_the_gpu(style_folder: Path, frames: list[Image]) -> None:
    engine, look = if_there("cuda"), load_look(style_folder, "lite")
    looks = [look, replace(look, rows=look.rows * 1.4)]
    for each in looks * 3:  # every slot, every look
        engine.submit(frames[:2], each).result()
    before = torch.cuda.memory_stats()["allocation.all.allocated"]
    for each in looks * 3:
        engine.submit(frames[:2], each).result()
    assert torch.cuda.memory_stats()["allocation.all.allocated"] == before
    engine.close()


def test_no_strength_is_the_photo(engine: Engine, look: Look) -> None:
    every_level = np.arange(256 * 3, dtype=np.uint16).reshape(16, 16, 3).astype(np.uint8)
    for frames in ([every_level], [every_level, 255 - every_level]):
        painted = engine.submit(frames, replace(look, strength=0.0)).result()
        assert all(np.array_equal(*pair) for pair in zip(painted, frames, strict=True))


@pytest.mark.filterwarnings("error")
def test_read_only_frames(engine: Engine, look: Look, frames: list[Image]) -> None:
    for frame in frames:
        frame.flags.writeable = False
    engine.submit(frames, look).result()
    engine.submit(frames[:1], look).result()


def test_too_large_is_refused_before_it_is_allocated(engine: Engine, look: Look, frames: list[Image]) -> None:
    huge = np.broadcast_to(np.uint8(0), (3_000_000, 4_000_000, 3))  # 36 TB, of one byte
    for _ in range(2):
        with pytest.raises(TooLargeError, match=r"^4000000x3000000 needs about .* are free; \d+x\d+ would fit$"):
            engine.submit([huge], look)
    assert engine.submit(frames[:1], look).result()[0].shape == frames[0].shape  # and nothing is broken


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_the_size_that_is_named_fits(architecture: Architecture) -> None:
    frame, free = np.broadcast_to(np.uint8(0), (9000, 16000, 3)), 10**9
    with pytest.raises(TooLargeError) as caught:
        fits_whole(architecture, frame, 1, free)
    assert caught.value.fits is not None
    width, height = caught.value.fits
    assert str(caught.value).endswith(f"; {width}x{height} would fit")
    assert math.isclose(width / height, 16 / 9, rel_tol=0.02)
    fits_whole(architecture, np.broadcast_to(np.uint8(0), (height, width, 3)), 1, free)
    larger = np.broadcast_to(np.uint8(0), (int(height * 1.3), int(width * 1.3), 3))
    with pytest.raises(TooLargeError):  # not needlessly small
        fits_whole(architecture, larger, 1, free)
    with pytest.raises(TooLargeError) as caught:
        fits_whole(architecture, frame, 1, 0)
    assert caught.value.fits is None


def test_memory_by_hand() -> None:
    lite, frame = ARCHITECTURES["lite"], np.zeros((10, 20, 3), np.uint8)
    four = 4 * 200 * 80
    assert fits_whole(lite, frame, 4, four)
    assert not fits_whole(lite, frame, 4, four - 1)
    assert not fits_whole(lite, frame, 4, four, most=four - 1)
    assert not fits_whole(lite, frame, 10**6, 200 * 80)  # strips are painted one after another; one is all of a small picture
    with pytest.raises(TooLargeError, match="20x10 needs about"):
        fits_whole(lite, frame, 1, 200 * 80 - 1)
    large = np.broadcast_to(np.uint8(0), (8000, 10000, 3))
    strips = 20 * 80_000_000 + 130 * 2**20 * 10000 // 4096  # a strip of a wider picture is larger
    assert not fits_whole(lite, large, 1, strips)
    with pytest.raises(TooLargeError, match=r"10000x8000 needs about 1.8 GiB in the lite network, .* and 1.8 GiB are free"):
        fits_whole(lite, large, 1, strips - 1)


def test_half_precision_takes_half_the_memory() -> None:
    full, frame = ARCHITECTURES["full"], np.zeros((10, 20, 3), np.uint8)
    half = 200 * (850 // 2 + 40)  # photo and painting are mixed in fp32
    assert fits_whole(full, frame, 1, 10**6, most=half, precision="float16")
    assert not fits_whole(full, frame, 1, 10**6, most=half - 1, precision="bfloat16")
    assert not fits_whole(full, frame, 1, 10**6, most=half, precision="float32")


def test_a_frame_of_nv12_is_no_larger_than_its_picture() -> None:
    lite, frame = ARCHITECTURES["lite"], np.broadcast_to(np.uint8(0), (1620, 1920))
    assert fits_whole(lite, frame, 1, 1920 * 1080 * 80)
    assert strips_note(frame) == "1920x1080 is painted in strips, to save memory"
    with pytest.raises(TooLargeError, match=r"^1920x1080 needs about 158 MiB"):
        fits_whole(lite, frame, 1, 10**7)


@pytest.mark.parametrize("model", ["lite", "full"])
@pytest.mark.parametrize("size", [(75, 52), (30, 41)], ids=str)
def test_strips_paint_what_the_whole_does(
    style_folder: Path, model: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    scene = np.stack([x * 4, y * 3, (x // 9 + y // 7) % 2 * 200], axis=-1).astype(np.uint8)  # its top is not like its bottom
    engine, look = TorchEngine("cpu"), load_look(style_folder, model)
    whole = engine.submit([scene], look).result()[0]
    monkeypatch.setattr("livestyle.engines.memory.CPU_MOST_BYTES", 1)
    monkeypatch.setattr("livestyle.networks.strip_ops.STRIP_NUMBERS", 1)
    monkeypatch.setattr("livestyle.networks.strip_ops.LEAST_ROWS", 5)
    assert apart(whole, engine.submit([scene], look).result()[0]) <= 1
    mixed = replace(look, strength=0.5)
    halfway = (whole.astype(float) + scene) / 2
    assert np.abs(engine.submit([scene], mixed).result()[0] - halfway).max() <= 1


def test_strips_are_told(style_folder: Path, frames: list[Image], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livestyle.engines.memory.CPU_MOST_BYTES", 1)
    engine = CpuEngine()
    for _ in range(3):
        engine.submit(frames, load_look(style_folder, "lite")).result()
    assert engine.notes == ["19x12 is painted in strips, to save memory"]
    engine.close()


def test_a_broken_look_is_told_by_the_ticket(engine: Engine, look: Look, frames: list[Image]) -> None:
    short = replace(look, rows=look.rows[:, :50])
    for count in (1, 2, 2, 2, 2):  # and it keeps no buffer: there are three
        with pytest.raises(RuntimeError):
            engine.submit(frames[:count], short).result()
    assert len(engine.submit(frames, look).result()) == len(frames)


def test_devices() -> None:
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto") in ("cpu", "openvino", "cuda:0", "mps")


@pytest.mark.parametrize("name", ["nonsense", "", "gpu", "cuda:99", "cuda:x", "cpu:0", "cpu,cuda", "meta", "xpu", "CPU "])
def test_devices_that_are_not_there(name: str) -> None:
    with pytest.raises(DeviceError) as caught:
        choose_device(name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_cuda_where_there_is_none() -> None:
    try:
        choose_device("cuda")
    except DeviceError as error:
        assert "use the device cpu" in str(error)  # noqa: PT017
    else:
        pytest.skip("there is a GPU")


AUDIT = """
import os, sys
seen = []
def note(event, arguments):
    if event.startswith(("socket.", "subprocess.", "os.fork", "os.posix_spawn", "os.exec", "os.system", "_winapi.CreateProcess")):
        seen.append(event)
sys.addaudithook(note)
"""


@pytest.mark.parametrize("first", ["", "import openvino_telemetry as before"], ids=["alone", "in a program that has it"])
def test_openvino_sends_nothing_home(first: str, tmp_path: Path) -> None:
    """And what the program has of it stays."""
    pytest.importorskip("openvino_telemetry")
    script = f"""{AUDIT}{first}
import numpy as np
import livestyle
livestyle.stylize(np.zeros((24, 32, 3), np.uint8), "wave", device="openvino")
import openvino, openvino_telemetry
assert "before" not in globals() or openvino_telemetry is before
openvino_telemetry.Telemetry, openvino.convert_model
print(seen)
"""
    clean = {name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD", "JENKINS_URL")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,  # else the tree is imported, which lacks the bundled styles unless it is installed
        env=clean | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "[]\n", done.stderr


THREADS = """
import threading
import torch
from livestyle.engines.cpu import PooledEngine

def in_a_new_thread():
    counts = []
    thread = threading.Thread(target=lambda: counts.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return counts[0]

torch.set_num_threads(3)
engine = PooledEngine()
inside = {engine._pool.submit(torch.get_num_threads).result() for _ in range(8)}
engine.close()
print(torch.get_num_threads(), in_a_new_thread(), inside)
"""


def test_the_pool_leaves_other_threads_their_cores() -> None:
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=False)
    assert done.stdout == "3 3 {1}\n", done.stderr


def test_free_memory_is_asked_once_for_a_size(style_folder: Path, frames: list[Image]) -> None:
    """A video's frames are all painted alike."""
    engine, look = CpuEngine(), load_look(style_folder, "lite")
    engine.submit(frames[:1], look).result()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("livestyle.engines.memory.free_bytes", lambda: 0)
        engine.submit(frames[1:2], look).result()
        with pytest.raises(TooLargeError):
            engine.submit([frame[:-1] for frame in frames[:1]], look)
    engine.close()


def test_the_number_of_the_gpu(engine: Engine) -> None:
    assert engine.gpu == (int(engine.name.removeprefix("cuda:")) if engine.takes_nv12 else 0)
