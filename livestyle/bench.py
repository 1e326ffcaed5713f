"""What this machine does: each network on each engine, a video's stages alone and together, style changes, start-up, memory.

Every figure is a median of repeats or says what it is; frames differ, so that nothing is in a cache.
"""

import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import psutil

from livestyle.architecture import ARCHITECTURES, Architecture
from livestyle.channel import Channel
from livestyle.engines import Done, Engine, Look, choose_device, cores, open_engine
from livestyle.errors import DeviceError, TooLargeError
from livestyle.frame import Frame, Image, StreamInfo
from livestyle.gallery import Gallery
from livestyle.pipeline import Pipeline, offline, paint, read_all
from livestyle.sinks.pictures import write_picture
from livestyle.sinks.video import VideoWriter
from livestyle.sources.demo import DemoScene
from livestyle.sources.video import VideoFile
from livestyle.style import Body, load_body, load_style
from livestyle.stylizer import Stylizer

SIZES = {
    "256x256": (256, 256),
    "640x360": (640, 360),
    "1280x720": (1280, 720),
    "1920x1080": (1920, 1080),
    "3840x2160": (3840, 2160),
}
VIDEO_SIZES = ("640x360", "1280x720")
CLIP_FRAMES = 300  # at 640x360, fewer where frames are larger
CELL_SECONDS, LEAST_REPEATS, MOST_REPEATS = 3.0, 5, 60
MIB = 2**20


@dataclass(frozen=True)
class Ceilings:
    """What a device does at its best, in an engine's precision: no network is faster."""

    tflops: float
    """Of a large matrix product, 10^12 operations a second."""
    gbytes_per_second: float
    """Of a large copy, read and written, 10^9 bytes."""


@dataclass(frozen=True)
class NetworkFigures:
    """One network on one engine at one size; frames in and out as uint8."""

    device: str
    precision: str
    model: str
    size: str
    gflop: float
    floor_ms: float
    """What a frame would take at the ceilings."""
    alone_ms: float
    """A single frame: what a live picture waits."""
    alone_p95_ms: float
    batch: int
    """The best number of frames together."""
    batched_ms: float
    """A frame of such a batch, each batch waited for; a file, whose next batch is always ready, takes less."""

    @property
    def ratio_to_floor(self) -> float:
        """Of the faster way."""
        return min(self.alone_ms, self.batched_ms) / self.floor_ms


@dataclass(frozen=True)
class VideoFigures:
    """An H.264 file to an H.264 file; frames a second of each stage with the machine to itself, and of all together."""

    size: str
    decode_fps: float
    paint_fps: float
    encode_fps: float
    together_fps: float
    ratio_to_slowest: float
    paint_cpu_ms: float
    """All cores' time a frame, as the next two."""
    colors_cpu_ms: float
    """From the file's own colours to RGB and back, copies included."""
    queues_cpu_ms: float
    """Of the pipeline when nothing is read, painted or written."""


@dataclass
class Report:
    """All figures of a run."""

    machine: dict[str, str]
    ceilings: dict[str, Ceilings] = field(default_factory=dict)
    """By device and precision."""
    networks: list[NetworkFigures] = field(default_factory=list)
    videos: list[VideoFigures] = field(default_factory=list)
    style_change_ms: float = 0.0
    help_seconds: float = 0.0
    """Of `livestyle --help`."""
    import_torch_seconds: float = 0.0
    """Of `python -c "import torch"`, to compare with."""
    start_up_seconds: float = 0.0
    """From starting the program to its first painted 640x360 photo."""
    rss_720p_mib: float = 0.0
    """Peak resident memory while painting 720p frames."""
    growth_frames: int = 0
    growth_mib: float = 0.0
    """How much more is resident after so many frames of 640x360 than after the first 200."""

    def as_dict(self) -> dict[str, object]:
        networks = [asdict(figures) | {"ratio_to_floor": figures.ratio_to_floor} for figures in self.networks]
        return asdict(self) | {"networks": networks}


def engines_here() -> list[str]:
    """The devices that can be used, the one that is taken by itself first."""
    found = [choose_device("auto")]
    for name in ("openvino", "cpu", "cuda", "mps"):
        with suppress(DeviceError):
            found.append(choose_device(name))
    return list(dict.fromkeys(found))


def measure(
    style: str, models: Sequence[str], devices: Sequence[str], sizes: Sequence[str], frames: int, say: Callable[[str], None]
) -> Report:
    """Run everything, telling each step. devices, sizes: none for the usual ones. frames: how many the memory is watched over."""
    devices = list(dict.fromkeys(choose_device(name) for name in devices)) or engines_here()
    report = Report(describe_machine(devices))
    say(", ".join(report.machine.values()))
    for device in devices:
        engine = open_engine(device)
        ceilings = measure_ceilings(device, engine.precision)
        report.ceilings[f"{device} {engine.precision}"] = ceilings
        say(f"{device}, {engine.precision}: ceilings {ceilings.tflops:.3f} TFLOP/s, {ceilings.gbytes_per_second:.1f} GB/s")
        for model in models:
            look = find_look(style, model)
            for size in sizes or usual_sizes(model, device):
                try:
                    figures = measure_network(engine, look, size, ceilings)
                except TooLargeError as error:
                    say(f"{device} {model} {size}: {error}")
                    continue
                report.networks.append(figures)
                say(
                    f"{device} {model} {size}: {figures.alone_ms:.1f} ms alone (95 %: {figures.alone_p95_ms:.1f}), "
                    f"{figures.batched_ms:.1f} ms in batches of {figures.batch}; {figures.gflop:.2f} GFLOP, "
                    f"at the ceilings {figures.floor_ms:.2f} ms, {figures.ratio_to_floor:.2f} times that"
                )
        engine.close()
    with Stylizer(style, device=devices[0]) as stylizer:
        report.style_change_ms = measure_style_change(stylizer)
        say(f"style change: {report.style_change_ms:.3f} ms")
        for size in VIDEO_SIZES:
            video = measure_video(stylizer, size, min(frames, CLIP_FRAMES * 640 * 360 // pixels_of(size)))
            report.videos.append(video)
            say(
                f"video {size}: {video.together_fps:.1f} fps; alone: decoding {video.decode_fps:.0f}, painting "
                f"{video.paint_fps:.1f}, encoding {video.encode_fps:.0f}; {video.ratio_to_slowest:.2f} of the slowest; beside "
                f"{video.paint_cpu_ms:.1f} ms of painting, all cores, {video.colors_cpu_ms:.1f} ms for colours, "
                f"{video.queues_cpu_ms:.2f} ms for queues"
            )
        report.growth_frames, report.growth_mib = frames, measure_growth(stylizer, frames)
        say(f"memory: {report.growth_mib:+.1f} MiB from frame {settled(frames)} to {frames} of 640x360")
    report.rss_720p_mib = measure_rss_720p(style, devices[0], min(frames, 60))
    say(f"memory: {report.rss_720p_mib:.0f} MiB for a 720p video")
    report.help_seconds = seconds_to_run("-m", "livestyle", "--help")
    report.import_torch_seconds = seconds_to_run("-c", "import torch")
    report.start_up_seconds = measure_start_up(style, devices[0])
    say(
        f"start-up: {report.start_up_seconds:.2f} s to the first painted photo, {report.help_seconds:.2f} s for --help; "
        f"torch alone takes {report.import_torch_seconds:.2f} s to import"
    )
    return report


def usual_sizes(model: str, device: str) -> list[str]:
    """What people paint; `full` takes seconds a frame on a CPU."""
    count = 5 if device.startswith("cuda") else 4 if model == "lite" else 3
    return list(SIZES)[:count]


def describe_machine(devices: Sequence[str]) -> dict[str, str]:
    """What the figures were measured on."""
    import torch

    machine = {"cpu": f"{processor_name()}, {cores()} cores", "torch": f"torch {torch.__version__}", "system": platform.system()}
    for device in devices:
        if device.startswith("cuda"):
            from livestyle.engines.cuda import gpu_name

            machine[device] = gpu_name(device)
    return machine


def measure_ceilings(device: str, precision: str, tries: int = 10) -> Ceilings:
    """The best of some tries, by torch: ceilings are what nothing exceeds."""
    import torch

    place, dtype = "cpu" if device == "openvino" else device, getattr(torch, precision)
    side, length = (8192, 2**28) if device.startswith("cuda") else (2048, 2**26)
    matrix = torch.randn(side, side, device=place).to(dtype)
    product, source = torch.empty_like(matrix), torch.zeros(length, dtype=torch.uint8, device=place)
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


def find_look(style: str, model: str) -> Look:
    """The style's, or one of random numbers for a network that it is not there for: the speed is the same."""
    gallery = Gallery()
    header = gallery.models(style).get(model)
    if header is not None:
        return Look(load_body(gallery.body(header)), load_style(header).rows)
    architecture, rng = ARCHITECTURES[model], np.random.default_rng(0)
    parameters = {name: np.zeros(shape, np.float32) for name, shape in architecture.parameters.items()}
    for name, shape in architecture.weights.items():  # so that activations neither grow nor fade (He et al. 2015)
        parameters[f"{name}.weight"] = rng.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32)
    rows = np.stack([np.ones(architecture.row_length), np.zeros(architecture.row_length)]).astype(np.float32)
    return Look(Body(architecture, parameters), rows)


def pixels_of(size: str) -> int:
    width, height = SIZES[size]
    return width * height


def scene(size: str, count: int) -> DemoScene:
    width, height = SIZES[size]
    return DemoScene(width, height, seconds=count / 30)


def scene_images(size: str, count: int) -> list[Image]:
    """Different frames of the demo scene."""
    return [frame.image for frame in read_all(scene(size, count))]


def measure_network(engine: Engine, look: Look, size: str, ceilings: Ceilings) -> NetworkFigures:
    """Frames through the engine, uint8 to uint8."""
    images = scene_images(size, 24 if pixels_of(size) < 10**6 else 8)

    def seconds_a_frame(first: int, count: int) -> float:
        chosen = [images[(first + offset) % len(images)] for offset in range(count)]
        return seconds_of(lambda: engine.submit(chosen, look).result()) / count

    def times(count: int) -> list[float]:
        seconds_a_frame(0, count)  # what the first run prepares does not count
        once = seconds_a_frame(count, count) * count
        repeats = max(LEAST_REPEATS, min(MOST_REPEATS, int(CELL_SECONDS / once)))
        return [seconds_a_frame(number * count, count) for number in range(repeats)]

    alone = times(1)
    batched = {count: statistics.median(times(count)) for count in engine.batches}
    batch = min(batched, key=batched.__getitem__)
    gflop, floor_ms = count_work(look.body.architecture, size, ceilings, 4 if engine.precision == "float32" else 2)
    return NetworkFigures(
        engine.name,
        engine.precision,
        look.body.architecture.name,
        size,
        gflop,
        floor_ms,
        alone_ms=statistics.median(alone) * 1000,
        alone_p95_ms=sorted(alone)[int(len(alone) * 0.95)] * 1000,
        batch=batch,
        batched_ms=batched[batch] * 1000,
    )


def count_work(architecture: Architecture, size: str, ceilings: Ceilings, number_bytes: int) -> tuple[float, float]:
    """GFLOP of a frame's convolutions, two a multiply-add, and the least milliseconds that they take.

    A convolution computes at the one ceiling, or reads and writes once at the other, whichever takes longer; then what
    it wrote is read once for the norm's statistics. All else would be fused into these.
    """
    width, height = SIZES[size]
    a_second, bytes_a_second = ceilings.tflops * 1e12, ceilings.gbytes_per_second * 1e9
    plan = architecture.plan(height, width)
    seconds = sum(
        max(work.operations / a_second, (work.read + work.written) * number_bytes / bytes_a_second)
        + work.written * number_bytes / bytes_a_second
        for work in plan.work
    )
    return sum(work.operations for work in plan.work) / 1e9, seconds * 1000


def seconds_of(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


@dataclass(frozen=True)
class Stage:
    """A stage's speed."""

    fps: float
    cpu_ms: float
    """A frame, of all threads of this process."""


def time_stage(run: Callable[[], object], count: int) -> Stage:
    """The best of three."""
    stages = []
    for _ in range(3):
        started = time.process_time()
        seconds = seconds_of(run)
        stages.append(Stage(count / seconds, (time.process_time() - started) / count * 1000))
    return Stage(max(stage.fps for stage in stages), min(stage.cpu_ms for stage in stages))


def measure_style_change(stylizer: Stylizer) -> float:
    """Milliseconds to set the next style, all being loaded: the median over two rounds of all styles."""
    first = stylizer.style
    names = stylizer.load_all()

    def change(name: str) -> None:
        stylizer.style = name

    times = [seconds_of(lambda name=name: change(name)) for name in names * 2]  # type: ignore[misc]
    stylizer.style = first
    return statistics.median(times) * 1000


class Unpainted:
    """A stylizer that gives the frames back."""

    def submit(self, frames: Sequence[Image]) -> Done:
        return Done(list(frames))


def measure_video(stylizer: Stylizer, size: str, count: int) -> VideoFigures:
    """Each stage alone, then all together as `livestyle video` runs them, on the same clip."""
    width, height = SIZES[size]
    pace = offline(stylizer.best_batch((height, width, 3)))
    info = scene(size, 1).info
    with tempfile.TemporaryDirectory() as folder:
        clip, painted = Path(folder, "clip.mp4"), Path(folder, "painted.mp4")
        write_all(read_all(scene(size, count)), clip, info)
        decode = time_stage(lambda: exhaust(read_all(VideoFile(clip))), count)
        frames = list(read_all(VideoFile(clip)))
        painting = time_stage(lambda: exhaust(paint(frames, stylizer, pace)), count)

        def run_queues() -> None:
            read = Channel(frames, pace.waiting)
            exhaust(Channel(paint(read, Unpainted(), pace), pace.waiting))

        queues = time_stage(run_queues, count)
        frames = list(paint(frames, stylizer, pace))
        encode = time_stage(lambda: write_all(frames, painted, info), count)
        decode_as_is = time_stage(lambda: exhaust(read_all(VideoFile(clip, for_gpu=True))), count)
        frames = list(read_all(VideoFile(painted, for_gpu=True)))
        encode_as_is = time_stage(lambda: write_all(frames, Path(folder, "again.mp4"), info), count)
        frames.clear()

        def run() -> None:
            with Pipeline(VideoFile(clip), stylizer, pace) as pipeline:
                write_all(pipeline, painted, info)

        together = time_stage(run, count)
    slowest = min(decode.fps, painting.fps, encode.fps)
    colors_ms = decode.cpu_ms - decode_as_is.cpu_ms + encode.cpu_ms - encode_as_is.cpu_ms
    return VideoFigures(
        *(size, decode.fps, painting.fps, encode.fps, together.fps, together.fps / slowest),
        *(painting.cpu_ms, colors_ms, queues.cpu_ms),
    )


def write_all(frames: Iterable[Frame], path: Path, info: StreamInfo) -> None:
    writer = VideoWriter(path, info)
    for frame in frames:
        writer.write(frame)
    writer.close()


def exhaust(frames: Iterable[Frame]) -> None:
    for _ in frames:
        pass


def settled(frames: int) -> int:
    """The frame after which every buffer is there."""
    return min(200, frames // 2)


def measure_growth(stylizer: Stylizer, frames: int) -> float:
    """How much more memory is resident after the last frame than after the 200th, MiB."""
    process = psutil.Process()
    source = scene("640x360", frames)
    after_200 = 0
    with tempfile.TemporaryDirectory() as folder:
        writer = VideoWriter(Path(folder, "painted.mp4"), source.info)
        with Pipeline(source, stylizer, offline(stylizer.best_batch(source.info.frame_shape))) as pipeline:
            for number, frame in enumerate(pipeline, start=1):
                writer.write(frame)
                if number == settled(frames):
                    after_200 = process.memory_info().rss
        last = process.memory_info().rss
        writer.close()
    return (last - after_200) / MIB


PEAK = """
import pathlib, resource, sys
from livestyle.cli import cli
cli.main(sys.argv[1:], standalone_mode=False)
status = pathlib.Path("/proc/self/status")
if status.exists():  # Linux, where ru_maxrss counts what the process was before it became this program: as large as its parent
    print(int(status.read_text().split("VmHWM:")[1].split()[0]) / 2**10)
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


def measure_rss_720p(style: str, device: str, frames: int) -> float:
    """Peak memory of `livestyle video` on a 720p file, MiB; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0.0
    with tempfile.TemporaryDirectory() as folder:
        clip, painted = Path(folder, "clip.mp4"), Path(folder, "painted.mp4")
        source = scene("1280x720", frames)
        write_all(read_all(source), clip, source.info)
        command = [sys.executable, "-c", PEAK, "video", str(clip), str(painted), "--quiet", "--style", style, "--device", device]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def seconds_to_run(*words: str) -> float:
    """A Python of its own, the best of three."""
    return min(seconds_of(lambda: subprocess.run([sys.executable, *words], check=True, capture_output=True)) for _ in range(3))


def measure_start_up(style: str, device: str) -> float:
    """`livestyle image` on a 640x360 photo."""
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder, "photo.png")
        write_picture(photo, scene_images("640x360", 1)[0])
        words = ["-m", "livestyle", "image", str(photo), "-o", str(Path(folder, "painted.png")), "-y", "--quiet"]
        return seconds_to_run(*words, "--style", style, "--device", device)
