"""The contract of engines: on every device, the same painting."""

import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import combinations
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
from livestyle.style_files.file_format import load_body, load_rows
from livestyle.style_files.gallery import Gallery


def open_or_skip(device: str) -> Engine:
    try:
        return open_engine(choose_device(device))
    except DeviceError as error:
        pytest.skip(str(error))


ENGINES: dict[str, Callable[[], Engine]] = {
    "cpu": CpuEngine,
    "torch": lambda: TorchEngine("cpu"),
    "openvino": lambda: open_or_skip("openvino"),
    "cuda": lambda: open_or_skip("cuda"),
}
IN_STRIPS = " in strips"


@pytest.fixture(params=[*ENGINES, f"cpu{IN_STRIPS}", f"openvino{IN_STRIPS}"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    name, in_strips, _ = request.param.partition(IN_STRIPS)
    if in_strips:
        monkeypatch.setattr("livestyle.engines.memory.CPU_MOST_BYTES", 1)
    opened = ENGINES[name]()
    if in_strips:
        opened.precision = "float32"  # strips are painted in fp32, whatever the engine's precision
    yield opened
    opened.close()


def paint(engine: Engine, frames: Sequence[Image], look: Look) -> list[Image]:
    """Paint frames as one batch."""
    return engine.submit([(frame, look) for frame in frames]).result()


def load_look(folder: Path, model: str, name: str = "ash") -> Look:
    gallery = Gallery([folder])
    header = gallery.models(name)[model]
    return Look(load_body(gallery.body(header)), load_rows(header))


@pytest.fixture(scope="module")
def look(style_folder: Path) -> Look:
    return load_look(style_folder, "lite")


@pytest.fixture
def frames() -> list[Image]:
    """Six frames of different brightness, every second one mirrored; smooth, so that half precision is comparable."""
    y, x = np.mgrid[0:12, 0:19]
    scene = np.stack([x * 12, y * 20, 200 - x * 4 - y * 6], axis=-1)
    return [(scene[:, :: (-1) ** number] * (0.4 + 0.1 * number)).astype(np.uint8) for number in range(6)]


def apart(one: Image, other: Image) -> float:
    """Largest difference of two frames, in grey levels."""
    return float(np.abs(one.astype(int) - other.astype(int)).max())


def worst(ones: Sequence[Image], others: Sequence[Image]) -> float:
    """Largest difference of two lists of frames, in grey levels."""
    return max(apart(*pair) for pair in zip(ones, others, strict=True))


@pytest.mark.parametrize("model", list(ARCHITECTURES))
def test_batch_equals_its_frames_one_by_one(engine: Engine, style_folder: Path, model: str, frames: list[Image]) -> None:
    look, frames = load_look(style_folder, model), frames[:4]
    before = [frame.copy() for frame in frames]
    together = paint(engine, frames, look)
    assert len(together) == len(frames)
    for frame, painted in zip(frames, together, strict=True):
        alone = paint(engine, [frame], look)[0]
        assert painted.shape == frame.shape
        assert painted.dtype == np.uint8
        assert painted.flags.c_contiguous
        # half precision rounds differently if the work is split differently, and 16 norms amplify that
        assert apart(alone, painted) <= (1 if engine.precision == "float32" or model == "lite" else 8)
        assert np.abs(alone.astype(int) - painted).mean() < 1
    assert all(np.array_equal(frame, old) for frame, old in zip(frames, before, strict=True))
    assert apart(together[0], together[-1]) > 3  # otherwise a wrong order would pass


def test_batch_of_different_looks_equals_its_frames_one_by_one(engine: Engine, style_folder: Path, frames: list[Image]) -> None:
    ash, birch = load_look(style_folder, "lite"), load_look(style_folder, "lite", "birch")
    looks = [
        *(ash, replace(birch, strength=0.5), birch),
        *(replace(ash, keep_colors=True), replace(birch, strength=0.3, keep_colors=True), replace(ash, strength=0.0)),
    ]
    # exact if frames of a batch are painted one by one; a CUDA graph mixes all frames of a batch if it mixes one
    limit = 0 if engine.precision == "float32" and engine.name == "cpu" else 1
    part = list(zip(frames[:3], [ash, birch, ash], strict=True))
    for pairs in (zip(frames, looks, strict=True), zip(frames, looks[::-1], strict=True), part):  # later ones reuse buffers
        batch = list(pairs)
        alone = [engine.submit([pair]).result()[0] for pair in batch]
        assert worst(alone, engine.submit(batch).result()) <= limit
    same_frame = [paint(engine, frames[:1], look)[0] for look in looks]
    assert all(apart(one, other) > 1 for one, other in combinations(same_frame, 2))


def test_concurrent_threads_do_not_change_paintings(engine: Engine, style_folder: Path, frames: list[Image]) -> None:
    """Each thread has its own frame size, look, body and batch size."""
    work: list[list[tuple[Image, Look]]] = [
        [(frames[0], load_look(style_folder, "lite"))],
        [(frame, replace(load_look(style_folder, "lite", "birch"), strength=0.5)) for frame in frames[:3]],
        [(frame[:9, :14].copy(), load_look(style_folder, "lite", "coal")) for frame in frames[2:4]],
    ]
    expected = [engine.submit(batch).result() for batch in work]
    barrier = threading.Barrier(len(work), timeout=60)

    def repeat(batch: list[tuple[Image, Look]]) -> list[list[Image]]:
        barrier.wait()
        return [engine.submit(batch).result() for _ in range(2)]

    with ThreadPoolExecutor(len(work)) as threads:
        for future, alone in zip([threads.submit(repeat, batch) for batch in work], expected, strict=True):
            assert max(worst(alone, painted) for painted in future.result(timeout=60)) <= 1


def test_batches_in_flight_keep_their_frames(engine: Engine, look: Look, frames: list[Image]) -> None:
    batches = [[frames[number % 6], frames[(number + 1) % 6]] for number in range(engine.batches_in_flight + 2)]
    expected = [paint(engine, batch, look) for batch in batches]
    assert engine.batches_in_flight >= 1
    for _ in range(2):  # the second time in reused buffers
        tickets = [engine.submit([(frame, look) for frame in batch]) for batch in batches]
        assert max(worst(alone, ticket.result()) for alone, ticket in zip(expected, tickets, strict=True)) <= 1


def test_tickets_outlive_the_engine(engine: Engine, look: Look, frames: list[Image]) -> None:
    expected = paint(engine, frames[:2], look)
    tickets = [engine.submit([(frame, look) for frame in frames[:2]]) for _ in range(engine.batches_in_flight)]
    engine.close()
    engine.close()
    assert all(worst(expected, ticket.result()) <= 1 for ticket in tickets)


def test_later_batches_do_not_change_earlier_results(engine: Engine, look: Look, frames: list[Image]) -> None:
    first = paint(engine, frames[:1], look)[0]
    kept = first.copy()
    for frame in frames:
        paint(engine, [frame], look)
    assert np.array_equal(first, kept)


def test_frames_may_change_after_the_result(engine: Engine, look: Look, frames: list[Image]) -> None:
    painted = paint(engine, frames[:2], look)
    kept = [image.copy() for image in painted]
    frames[0][:] = 0
    assert all(np.array_equal(image, copy) for image, copy in zip(painted, kept, strict=True))


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (30, 17)], ids=str)
def test_frame_size_may_change(engine: Engine, look: Look, frames: list[Image], size: tuple[int, int]) -> None:
    paint(engine, frames, look)
    other = np.resize(frames[0], (*size, 3))
    assert paint(engine, [other, other], look)[1].shape == other.shape
    assert paint(engine, frames[:1], look)[0].shape == frames[0].shape


def test_looks_of_batches_in_flight_are_independent(engine: Engine, look: Look, frames: list[Image]) -> None:
    other = replace(look, rows=look.rows * 1.4)
    one, two = (engine.submit([(frame, each) for frame in frames[:2]]) for each in (look, other))
    first, second = one.result(), two.result()
    assert apart(first[0], second[0]) > 3
    assert apart(first[0], paint(engine, frames[:2], look)[0]) <= 1


def decibels(one: Image, other: Image) -> float:
    """Peak signal-to-noise ratio in dB."""
    error = np.square(one.astype(float) - other).mean()
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def test_engines_agree(engine: Engine, look: Look, frames: list[Image]) -> None:
    for change in ({}, {"strength": 0.3}, {"keep_colors": True}):
        changed = replace(look, **change)
        reference = paint(TorchEngine("cpu"), frames, changed)
        painted = paint(engine, frames, changed)
        if engine.precision == "float32":
            assert worst(reference, painted) <= 1
        else:
            assert decibels(np.stack(reference), np.stack(painted)) >= 38


HARD = {
    "black": np.zeros((72, 104, 3)),
    "white": np.full((72, 104, 3), 255),
    "checkerboard": np.indices((72, 104, 3))[:2].sum(0) % 2 * 255,
    "noise": np.random.default_rng(0).integers(0, 256, (72, 104, 3)),
}


@pytest.mark.parametrize("name", Gallery().names)
def test_bundled_styles_are_precise_on_extreme_pictures(engine: Engine, name: str) -> None:
    header = Gallery().models(name)["lite"]
    look = Look(load_body(Gallery().body(header)), load_rows(header))
    hard = [frame.astype(np.uint8) for frame in HARD.values()]
    # in float64: in pictures without contrast every norm amplifies rounding errors; PyTorch's fp32 itself has only 41 dB
    network, rows = TransformerNetwork.of(look.body).double(), torch.from_numpy(look.rows).double()
    photos = torch.from_numpy(np.stack(hard)).permute(0, 3, 1, 2).double() / 255  # (N, 3, H, W)
    with torch.inference_mode():
        exact = (network(photos, rows) * 255).round().permute(0, 2, 3, 1).byte().numpy()  # (N, H, W, 3)
    painted = paint(engine, hard, look)
    for kind, one, other in zip(HARD, exact, painted, strict=True):
        assert decibels(one, other) >= 38, kind


def test_openvino_style_change_compiles_nothing(style_folder: Path, frames: list[Image]) -> None:
    engine: Any = open_or_skip("openvino")
    look = load_look(style_folder, "lite")
    paint(engine, frames, look)
    before = dict(engine._compiled)
    changed = replace(look, rows=look.rows * 1.4)
    assert apart(paint(engine, frames, look)[0], paint(engine, frames, changed)[0]) > 3
    assert engine._compiled == before
    engine.close()


def test_cuda_allocates_nothing_after_the_first_batches(style_folder: Path, frames: list[Image]) -> None:
    engine, look = open_or_skip("cuda"), load_look(style_folder, "lite")
    looks = [look, replace(look, rows=look.rows * 1.4)]
    for each in looks * 3:  # fills every slot
        paint(engine, frames[:2], each)
    before = torch.cuda.memory_stats()["allocation.all.allocated"]
    for each in looks * 3:
        paint(engine, frames[:2], each)
    assert torch.cuda.memory_stats()["allocation.all.allocated"] == before
    engine.close()


def test_strength_0_is_exactly_the_photo(engine: Engine, look: Look) -> None:
    every_level = np.arange(256 * 3, dtype=np.uint16).reshape(16, 16, 3).astype(np.uint8)
    for frames in ([every_level], [every_level, 255 - every_level]):
        painted = paint(engine, frames, replace(look, strength=0.0))
        assert all(np.array_equal(*pair) for pair in zip(painted, frames, strict=True))


@pytest.mark.filterwarnings("error")
def test_read_only_frames_are_painted_without_warnings(engine: Engine, look: Look, frames: list[Image]) -> None:
    for frame in frames:
        frame.flags.writeable = False
    paint(engine, frames, look)
    paint(engine, frames[:1], look)


def test_too_large_frame_is_refused_before_allocating(engine: Engine, look: Look, frames: list[Image]) -> None:
    huge = np.broadcast_to(np.uint8(0), (3_000_000, 4_000_000, 3))  # 36 TB, all the same byte in memory
    for _ in range(2):
        with pytest.raises(TooLargeError, match=r"^4000000x3000000 needs about .* are free; \d+x\d+ would fit$"):
            paint(engine, [huge], look)
    assert paint(engine, frames[:1], look)[0].shape == frames[0].shape  # the engine still works


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_suggested_size_fits(architecture: Architecture) -> None:
    frame, free = np.broadcast_to(np.uint8(0), (9000, 16000, 3)), 10**9
    with pytest.raises(TooLargeError) as caught:
        fits_whole(architecture, frame, 1, free)
    assert caught.value.fits is not None
    width, height = caught.value.fits
    assert str(caught.value).endswith(f"; {width}x{height} would fit")
    assert math.isclose(width / height, 16 / 9, rel_tol=0.02)
    fits_whole(architecture, np.broadcast_to(np.uint8(0), (height, width, 3)), 1, free)
    larger = np.broadcast_to(np.uint8(0), (int(height * 1.3), int(width * 1.3), 3))
    with pytest.raises(TooLargeError):  # the suggested size is not needlessly small
        fits_whole(architecture, larger, 1, free)
    with pytest.raises(TooLargeError) as caught:
        fits_whole(architecture, frame, 1, 0)
    assert caught.value.fits is None


def test_memory_requirements_by_hand() -> None:
    lite, frame = ARCHITECTURES["lite"], np.zeros((10, 20, 3), np.uint8)
    four = 4 * 200 * 90
    assert fits_whole(lite, frame, 4, four)
    assert not fits_whole(lite, frame, 4, four - 1)
    assert not fits_whole(lite, frame, 4, four, most=four - 1)
    assert not fits_whole(lite, frame, 10**6, 200 * 90)  # one by one they fit; a small picture is a single strip
    with pytest.raises(TooLargeError, match="20x10 needs about"):
        fits_whole(lite, frame, 1, 200 * 90 - 1)
    large = np.broadcast_to(np.uint8(0), (8000, 10000, 3))
    strips = 20 * 80_000_000 + 180 * 2**20 * 10000 // 4096  # strips of a wider picture are larger
    assert not fits_whole(lite, large, 1, strips)
    with pytest.raises(TooLargeError, match=r"10000x8000 needs about 1.9 GiB in the lite network, .* and 1.9 GiB are free"):
        fits_whole(lite, large, 1, strips - 1)


def test_half_precision_needs_half_the_memory() -> None:
    full, frame = ARCHITECTURES["full"], np.zeros((10, 20, 3), np.uint8)
    half = 200 * (850 // 2 + 40)  # 40 for photo and painting in fp32, while they are mixed
    assert fits_whole(full, frame, 1, 10**6, most=half, precision="float16")
    assert not fits_whole(full, frame, 1, 10**6, most=half - 1, precision="bfloat16")
    assert not fits_whole(full, frame, 1, 10**6, most=half, precision="float32")


def test_nv12_frame_needs_the_memory_of_its_picture() -> None:
    lite, frame = ARCHITECTURES["lite"], np.broadcast_to(np.uint8(0), (1620, 1920))
    assert fits_whole(lite, frame, 1, 1920 * 1080 * 90)
    assert strips_note(frame) == "1920x1080 is painted in strips, to save memory"
    with pytest.raises(TooLargeError, match=r"^1920x1080 needs about 178 MiB"):
        fits_whole(lite, frame, 1, 10**7)


@pytest.mark.parametrize("model", list(ARCHITECTURES))
@pytest.mark.parametrize("size", [(75, 52), (30, 41)], ids=str)
def test_painting_in_strips_equals_painting_whole(
    style_folder: Path, model: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    scene = np.stack([x * 4, y * 3, (x // 9 + y // 7) % 2 * 200], axis=-1).astype(np.uint8)  # top and bottom differ
    look = load_look(style_folder, model)
    whole = paint(TorchEngine("cpu"), [scene], look)[0]
    monkeypatch.setattr("livestyle.engines.memory.CPU_MOST_BYTES", 1)
    monkeypatch.setattr("livestyle.networks.strip_ops.STRIP_VALUES", 1)
    monkeypatch.setattr("livestyle.networks.strip_ops.MIN_STRIP_ROWS", 5)
    engine = TorchEngine("cpu")  # a new one, as an engine decides once per size
    assert apart(whole, paint(engine, [scene], look)[0]) <= 1
    assert engine.notes == [f"{size[1]}x{size[0]} is painted in strips, to save memory"]
    mixed = replace(look, strength=0.5)
    halfway = (whole.astype(float) + scene) / 2
    assert np.abs(paint(engine, [scene], mixed)[0] - halfway).max() <= 1


def test_strips_are_noted_once(style_folder: Path, frames: list[Image], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livestyle.engines.memory.CPU_MOST_BYTES", 1)
    engine = CpuEngine()
    for _ in range(3):
        paint(engine, frames, load_look(style_folder, "lite"))
    assert engine.notes == ["19x12 is painted in strips, to save memory"]
    engine.close()


def test_painting_error_is_raised_and_releases_its_buffers(engine: Engine, look: Look, frames: list[Image]) -> None:
    short = replace(look, rows=look.rows[:, :50])
    for count in (1, 2, 2, 2, 2):  # more often than there are buffers
        with pytest.raises(RuntimeError):
            paint(engine, frames[:count], short)
    assert len(paint(engine, frames, look)) == len(frames)


def test_device_names() -> None:
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto") in ("cpu", "openvino", "cuda:0", "mps")


@pytest.mark.parametrize("name", ["nonsense", "", "gpu", "cuda:99", "cuda:x", "cpu:0", "cpu,cuda", "meta", "xpu", "CPU "])
def test_unavailable_devices_are_refused(name: str) -> None:
    with pytest.raises(DeviceError) as caught:
        choose_device(name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_cuda_without_a_gpu_is_refused() -> None:
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


@pytest.mark.parametrize("first", ["", "import openvino_telemetry as before"], ids=["not imported before", "imported before"])
def test_openvino_sends_no_usage_data(first: str, tmp_path: Path) -> None:
    """The embedding program keeps its telemetry module."""
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
        cwd=tmp_path,  # outside the repository, whose package lacks the bundled styles unless it is installed
        env=clean | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "[]\n", done.stderr


THREADS = """
import threading
import torch
from livestyle.engines.cpu import CpuEngine

def in_a_new_thread():
    counts = []
    thread = threading.Thread(target=lambda: counts.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return counts[0]

torch.set_num_threads(3)
engine = CpuEngine()
inside = {engine._pool.submit(torch.get_num_threads).result() for _ in range(8)}
engine.close()
print(torch.get_num_threads(), in_a_new_thread(), inside)
"""


def test_pool_does_not_change_the_thread_count_of_other_threads() -> None:
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=False)
    assert done.stdout == "3 3 {1}\n", done.stderr


def test_memory_decision_is_made_once_per_size(style_folder: Path, frames: list[Image]) -> None:
    """All frames of a video are painted alike, even if two videos are painted at once."""
    engine, look = CpuEngine(), load_look(style_folder, "lite")
    small = frames[0][:8].copy()
    paint(engine, [frames[0]], look)
    paint(engine, [small], look)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("livestyle.engines.memory.free_bytes", lambda: 0)
        paint(engine, [frames[1]], look)
        paint(engine, [small], look)
        with pytest.raises(TooLargeError):
            paint(engine, [frames[0][:-1]], look)
    engine.close()


def test_gpu_index(engine: Engine) -> None:
    assert engine.gpu == (int(engine.name.removeprefix("cuda:")) if engine.takes_nv12 else 0)
