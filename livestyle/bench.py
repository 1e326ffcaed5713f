"""What this machine does: the network alone, each stage of a video alone and together, style changes, memory.

Every figure is a median of repeats or says what it is; frames differ, so that nothing is in a cache.
"""

import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
import torch

from livestyle.engines.cpu import cores, cpu_precision
from livestyle.engines.cuda import gpu_name
from livestyle.frame import Frame
from livestyle.pipeline import Pipeline, offline, paint, read_all
from livestyle.sinks.video import VideoWriter
from livestyle.sources.demo import DemoScene
from livestyle.sources.video import VideoFile
from livestyle.stylizer import Stylizer

SIZES = {
    "256x256": (256, 256),
    "640x360": (640, 360),
    "1280x720": (1280, 720),
    "1920x1080": (1920, 1080),
    "3840x2160": (3840, 2160),
}
CLIP_FRAMES = 300
MIB = 2**20


@dataclass
class Ceilings:
    """What the device does at its best, in the precision of the networks: no network is faster."""

    tflops: float
    """Of a large matrix product, 10^12 operations a second."""
    gbytes_per_second: float
    """Of a large copy, read and written, 10^9 bytes."""


@dataclass
class NetworkFigures:
    """One network at one size."""

    model: str
    size: str
    gflop: float
    floor_ms: float
    """What a frame would take at the machine's ceilings."""
    alone_ms: float
    """A single frame, in and out as uint8: what a live picture waits."""
    alone_p95_ms: float
    batched_ms: float
    """A frame of a batch of engine.batch, each batch waited for; a file, whose next batch is always ready, takes less."""
    batched_to_floor: float


@dataclass
class VideoFigures:
    """A 640x360 H.264 file to an H.264 file; frames a second of each stage with the machine to itself, and of all together."""

    decode_fps: float
    paint_fps: float
    encode_fps: float
    together_fps: float
    ratio_to_slowest: float


@dataclass
class Report:
    """All figures of a run."""

    machine: dict[str, str]
    ceilings: Ceilings
    networks: list[NetworkFigures] = field(default_factory=list)
    video: VideoFigures | None = None
    style_change_ms: float = 0.0
    start_up_seconds: float = 0.0
    """From starting the program to its first painted 640x360 photo."""
    rss_720p_mib: float = 0.0
    """Peak resident memory while painting 720p frames."""
    growth_frames: int = 0
    growth_mib: float = 0.0
    """How much more is resident after so many frames of 640x360 than after the first 200."""

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def measure(style: str, model: str, device: str, sizes: Iterable[str], frames: int, say: Callable[[str], None]) -> Report:
    """Run everything, telling each step. frames: how many the memory is watched over."""
    with Stylizer(style, model, device) as stylizer:
        report = Report(describe_machine(stylizer), measure_ceilings(stylizer.engine.device))
        say(", ".join(report.machine.values()))
        say(f"ceilings: {report.ceilings.tflops:.3f} TFLOP/s, {report.ceilings.gbytes_per_second:.1f} GB/s")
        for size in sizes:
            figures = measure_network(stylizer, size, report.ceilings)
            report.networks.append(figures)
            say(
                f"{figures.model} {size}: {figures.alone_ms:.1f} ms alone (95 %: {figures.alone_p95_ms:.1f}), "
                f"{figures.batched_ms:.1f} ms in batches of {stylizer.engine.batch}; {figures.gflop:.2f} GFLOP, "
                f"at the ceilings {figures.floor_ms:.2f} ms"
            )
        report.style_change_ms = measure_style_change(stylizer)
        say(f"style change: {report.style_change_ms:.3f} ms")
        report.video = measure_video(stylizer, min(frames, CLIP_FRAMES))
        say(
            f"video 640x360: {report.video.together_fps:.1f} fps; alone: decoding {report.video.decode_fps:.0f}, "
            f"painting {report.video.paint_fps:.1f}, encoding {report.video.encode_fps:.0f}; "
            f"{report.video.ratio_to_slowest:.2f} of the slowest"
        )
        report.growth_frames, report.growth_mib = frames, measure_growth(stylizer, frames)
        say(f"memory: {report.growth_mib:+.1f} MiB from frame {settled(frames)} to {frames} of 640x360")
    report.rss_720p_mib = measure_rss_720p(style, model, device, min(frames, 60))
    say(f"memory: {report.rss_720p_mib:.0f} MiB for a 720p video")
    report.start_up_seconds = measure_start_up(style, model, device)
    say(f"start-up: {report.start_up_seconds:.2f} s to the first painted photo")
    return report


def describe_machine(stylizer: Stylizer) -> dict[str, str]:
    """What the figures were measured on."""
    device = stylizer.engine.device
    on_gpu = device.type == "cuda"
    return {
        "device": gpu_name(device) if on_gpu else f"{processor_name()}, {cores()} cores",
        "precision": str(precision(device)).removeprefix("torch."),
        "torch": f"torch {torch.__version__}",
        "system": platform.system(),
    }


def precision(device: torch.device) -> torch.dtype:
    """What the engine of the device computes in."""
    return torch.float16 if device.type == "cuda" else cpu_precision() if device.type == "cpu" else torch.float32


def measure_ceilings(device: torch.device, tries: int = 10) -> Ceilings:
    """The best of some tries: ceilings are what nothing exceeds."""
    side, length = (8192, 2**28) if device.type == "cuda" else (2048, 2**26)
    matrix = torch.randn(side, side, device=device).to(precision(device))
    product, source = torch.empty_like(matrix), torch.zeros(length, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)

    def best(run: Callable[[], object]) -> float:
        def finished() -> None:
            run()
            product[0, 0].item(), target[0].item()  # waits for the device

        return min(seconds_of(finished) for _ in range(tries))

    multiplying = best(lambda: torch.matmul(matrix, matrix, out=product))
    copying = best(lambda: target.copy_(source))
    return Ceilings(2 * side**3 / multiplying / 1e12, 2 * length / copying / 1e9)


def processor_name() -> str:
    """The CPU's own name where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def scene_frames(size: str, count: int) -> list[Frame]:
    """Different frames of the demo scene."""
    width, height = SIZES[size]
    return list(read_all(DemoScene(width, height, seconds=count / 30)))


def measure_network(stylizer: Stylizer, size: str, ceilings: Ceilings) -> NetworkFigures:
    """Frames through the engine, uint8 to uint8."""
    pixels = SIZES[size][0] * SIZES[size][1]
    repeats = max(5, min(60, 60 * 640 * 360 // pixels))
    images = [frame.image for frame in scene_frames(size, min(repeats, 24))]
    batch = stylizer.engine.batch
    stylizer.submit(images[:1]).result()
    stylizer.submit(images[:batch]).result()
    alone, batched = [], []
    for number in range(repeats):
        image = images[number % len(images)]
        alone.append(seconds_of(lambda image=image: stylizer.submit([image]).result()))  # type: ignore[misc]
    for number in range(max(3, repeats // batch)):
        chosen = [images[(number * batch + offset) % len(images)] for offset in range(batch)]
        batched.append(seconds_of(lambda chosen=chosen: stylizer.submit(chosen).result()) / batch)  # type: ignore[misc]
    gflop, floor_ms = count_work(stylizer.model, size, ceilings, precision(stylizer.engine.device).itemsize)
    batched_ms = statistics.median(batched) * 1000
    return NetworkFigures(
        stylizer.model,
        size,
        gflop,
        floor_ms,
        alone_ms=statistics.median(alone) * 1000,
        alone_p95_ms=sorted(alone)[int(len(alone) * 0.95)] * 1000,
        batched_ms=batched_ms,
        batched_to_floor=batched_ms / floor_ms,
    )


def count_work(model: str, size: str, ceilings: Ceilings, number_bytes: int) -> tuple[float, float]:
    """GFLOP of a frame's convolutions, two a multiply-add, and the least milliseconds that they take. Nothing is computed.

    A convolution computes at the one ceiling, or reads and writes once at the other, whichever takes longer; then what
    it wrote is read once for the norm's statistics. All else would be fused into these.
    """
    from torch import Tensor, nn

    from livestyle.network import NETWORKS

    work: list[tuple[float, float, float]] = []  # operations, bytes of the convolution, bytes of the statistics

    def count(convolution: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(convolution, nn.Conv2d)
        operations = 2 * output.numel() * convolution.weight[0].numel()
        work.append((operations, (inputs[0].numel() + output.numel()) * number_bytes, output.numel() * number_bytes))

    width, height = SIZES[size]
    with torch.device("meta"):
        network = NETWORKS[model]()
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(count)
        network(torch.empty(1, 3, height, width), network.plain_rows())
    a_second, bytes_a_second = ceilings.tflops * 1e12, ceilings.gbytes_per_second * 1e9
    seconds = sum(max(each / a_second, moved / bytes_a_second) + read / bytes_a_second for each, moved, read in work)
    return sum(operations for operations, *_ in work) / 1e9, seconds * 1000


def seconds_of(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def measure_style_change(stylizer: Stylizer) -> float:
    """Milliseconds to set the next style, all being loaded: the median over two rounds of all styles."""
    first = stylizer.style
    names = stylizer.load_all()

    def change(name: str) -> None:
        stylizer.style = name

    times = [seconds_of(lambda name=name: change(name)) for name in names * 2]  # type: ignore[misc]
    stylizer.style = first
    return statistics.median(times) * 1000


def measure_video(stylizer: Stylizer, count: int) -> VideoFigures:
    """Each stage alone, then all together as `livestyle video` runs them, on the same clip."""
    pace = offline(stylizer.engine.batch)
    with tempfile.TemporaryDirectory() as folder:
        clip, painted = Path(folder, "clip.mp4"), Path(folder, "painted.mp4")
        frames = scene_frames("640x360", count)
        info = DemoScene(640, 360).info
        write_all(frames, VideoWriter(clip, info))
        decode = count / seconds_of(lambda: exhaust(read_all(VideoFile(clip))))
        paintings: list[Frame] = []
        paint_fps = count / seconds_of(lambda: paintings.extend(paint(frames, stylizer, pace)))
        encode = count / seconds_of(lambda: write_all(paintings, VideoWriter(painted, info)))

        def run() -> None:
            with Pipeline(VideoFile(clip), stylizer, pace) as pipeline:
                write_all(pipeline, VideoWriter(painted, info))

        together = count / seconds_of(run)
    return VideoFigures(decode, paint_fps, encode, together, together / min(decode, paint_fps, encode))


def write_all(frames: Iterable[Frame], writer: VideoWriter) -> None:
    for frame in frames:
        writer.write(frame)
    writer.close()


def exhaust(frames: Iterator[Frame]) -> None:
    for _ in frames:
        pass


def settled(frames: int) -> int:
    """The frame after which every buffer is there."""
    return min(200, frames // 2)


def measure_growth(stylizer: Stylizer, frames: int) -> float:
    """How much more memory is resident after the last frame than after the 200th, MiB."""
    process = psutil.Process()
    scene = DemoScene(640, 360, seconds=frames / 30)
    after_200 = 0
    with tempfile.TemporaryDirectory() as folder:
        writer = VideoWriter(Path(folder, "painted.mp4"), scene.info)
        with Pipeline(scene, stylizer, offline(stylizer.engine.batch)) as pipeline:
            for number, frame in enumerate(pipeline, start=1):
                writer.write(frame)
                if number == settled(frames):
                    after_200 = process.memory_info().rss
        last = process.memory_info().rss
        writer.close()
    return (last - after_200) / MIB


PEAK = """
import resource, sys
from livestyle.cli import cli
cli.main(sys.argv[1:], standalone_mode=False)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak / 2**20 if sys.platform == "darwin" else peak / 2**10)
"""


def measure_rss_720p(style: str, model: str, device: str, frames: int) -> float:
    """Peak memory of `livestyle video` on a 720p file, MiB; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0.0
    with tempfile.TemporaryDirectory() as folder:
        clip, painted = Path(folder, "clip.mp4"), Path(folder, "painted.mp4")
        scene = DemoScene(1280, 720, seconds=frames / 30)
        write_all(read_all(scene), VideoWriter(clip, scene.info))
        command = [sys.executable, "-c", PEAK, "video", str(clip), str(painted), "--quiet"]
        command += ["--style", style, "--model", model, "--device", device]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def measure_start_up(style: str, model: str, device: str) -> float:
    """`livestyle image` on a 640x360 photo, the second run of two."""
    from livestyle.sinks.pictures import write_picture

    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder, "photo.png")
        write_picture(photo, scene_frames("640x360", 1)[0].image)
        command = [sys.executable, "-m", "livestyle", "image", str(photo), "-o", str(Path(folder, "painted.png"))]
        command += ["-y", "--quiet", "--style", style, "--model", model, "--device", device]
        return [seconds_of(lambda: subprocess.run(command, check=True)) for _ in range(2)][-1]
