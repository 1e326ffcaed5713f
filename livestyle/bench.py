"""What this machine does: each network on each engine, a video's stages alone and together, style changes, start-up, memory.

Every figure says what it is; frames differ, so that nothing is in a cache.
"""

import importlib.metadata
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import psutil

from livestyle.engines.base import Batch, Done, Engine
from livestyle.engines.devices import choose_device, open_engine
from livestyle.errors import DeviceError, TooLargeError
from livestyle.frame import Frame, Image
from livestyle.look import Look
from livestyle.machine import cores, processor_name
from livestyle.networks import ARCHITECTURES
from livestyle.networks.body import Body
from livestyle.networks.plan import ConvolutionCost
from livestyle.pictures.writing import write_picture
from livestyle.sinks.video.writer import VideoWriter
from livestyle.sources.demo import DemoScene
from livestyle.sources.video.file import VideoFile
from livestyle.streaming.channel import Channel
from livestyle.streaming.looks import ConstantLook
from livestyle.streaming.pipeline import Pipeline, offline, paint_frames, read_all
from livestyle.style_files.file_format import load_body, load_style
from livestyle.style_files.gallery import Gallery, parse_blend
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
CEILING_SECONDS = 1.0  # a large product or copy is repeated for so long
CELL_SECONDS, LEAST_REPEATS, MOST_REPEATS = 2.0, 5, 60  # of a network alone, and of each number of frames together
LEAST_FRAMES, MOST_FRAMES, FRAMES_BYTES = 8, 100, 128 * 2**20  # of the different frames that a network is shown
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
    """10^9 operations of a frame's convolutions, two a multiply-add."""
    floor_ms: float
    """What a frame would take at the ceilings."""
    alone_ms: float
    """A single frame, the median: what a live picture waits."""
    alone_p95_ms: float
    """95 of 100 single frames take no longer."""
    batch: int
    """The best number of frames together."""
    batched_ms: float
    """A frame of such a batch, the median, each batch waited for; a file, whose next batch is always ready, takes less."""
    alone_to_floor: float
    """alone_ms, and batched_ms, over floor_ms."""
    batched_to_floor: float
    notes: list[str]
    """What the engine said: that it paints in strips."""


@dataclass(frozen=True)
class VideoFigures:
    """An H.264 file to an H.264 file; each stage with the machine to itself, and all together as `livestyle video` runs them.

    CPU milliseconds are a frame's, of all cores together.
    """

    size: str
    batch: int
    """Frames painted together."""
    read_fps: float
    """Frames a second: decoding, and converting to RGB (to NV12 for a GPU)."""
    paint_fps: float
    write_fps: float
    """Converting from RGB (from NV12), and encoding."""
    together_fps: float
    together_to_slowest: float
    """together_fps over that of the slowest stage. Less than 1 where stages share cores."""
    read_cpu_ms: float
    paint_cpu_ms: float
    write_cpu_ms: float
    to_yuv_cpu_ms: float
    """Of write_cpu_ms, converting from RGB (from NV12)."""
    queues_cpu_ms: float
    """Of the pipeline when nothing is read, painted or written."""
    to_rgb_cpu_ms: float | None
    """Of read_cpu_ms, what converting to RGB takes more than to NV12, which is nearly what files hold (a tenth of a
    millisecond at 640x360). None where a GPU decodes or converts."""


@dataclass
class Report:
    """All figures of a run."""

    machine: dict[str, str]
    ceilings: dict[str, Ceilings] = field(default_factory=dict)
    """By device and precision; OpenVINO's device is the CPU."""
    networks: list[NetworkFigures] = field(default_factory=list)
    videos: list[VideoFigures] = field(default_factory=list)
    """On the first device."""
    style_change_ms: float = 0.0
    """The median over two rounds of all styles, all of them loaded."""
    growth_frames: int = 0
    growth_mib: float = 0.0
    """How much more is resident after so many frames of 640x360 than after the first 200 (after half of less than 400)."""
    rss_720p_mib: float = 0.0
    """Peak resident memory of `livestyle video` on a 720p file; 0 where the system does not tell."""
    start_up_seconds: float = 0.0
    """From starting the program to its first painted 640x360 photo, written; the best of three, as the next two."""
    help_seconds: float = 0.0
    """Of `livestyle --help`."""
    import_torch_seconds: float = 0.0
    """Of `python -c "import torch"`, to compare with."""

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


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
    """Run everything, telling each step.

    devices: none for all of this machine. sizes: none for the usual ones. frames: how many the memory is watched over;
    where they are few, there are no more repeats of anything else.
    """
    looks = {model: find_look(style, model) for model in models}
    devices = list(dict.fromkeys(choose_device(name) for name in devices)) or engines_here()
    report = Report(describe_machine(devices))
    say(", ".join(report.machine.values()))
    for device in devices:
        for model, look in looks.items():
            for size in sizes or usual_sizes(model, device):
                with closing(open_engine(device)) as engine:  # each its own: what one has cached is no burden for the next
                    place = "cpu" if device == "openvino" else device
                    key = f"{place} {engine.precision}"
                    if key not in report.ceilings:
                        ceilings = report.ceilings[key] = measure_ceilings(place, engine.precision)
                        say(f"{key}: ceilings {ceilings.tflops:.3f} TFLOP/s, {ceilings.gbytes_per_second:.1f} GB/s")
                    try:
                        figures = measure_network(engine, look, size, report.ceilings[key], min(frames, MOST_REPEATS))
                    except TooLargeError as error:
                        say(f"{device} {model} {size}: {error}")
                        continue
                report.networks.append(figures)
                say(
                    f"{device} {model} {size}: {figures.alone_ms:.1f} ms alone (95 %: {figures.alone_p95_ms:.1f}), "
                    f"{figures.alone_to_floor:.2f} times the floor; {figures.batched_ms:.1f} ms in batches of {figures.batch}, "
                    f"{figures.batched_to_floor:.2f} times; {figures.gflop:.2f} GFLOP, floor {figures.floor_ms:.2f} ms"
                    + "".join(f"; {note}" for note in figures.notes)
                )
    with Stylizer(style, device=devices[0]) as stylizer:
        report.style_change_ms = measure_style_change(stylizer)
        say(f"style change: {report.style_change_ms:.3f} ms")
        for size in VIDEO_SIZES:
            video = measure_video(stylizer, size, min(frames, CLIP_FRAMES * 640 * 360 // pixels_of(size)))
            report.videos.append(video)
            to_rgb = "" if video.to_rgb_cpu_ms is None else f" (to RGB {video.to_rgb_cpu_ms:.2f})"
            say(
                f"{devices[0]} video {size}: {video.together_fps:.1f} fps; alone: reading {video.read_fps:.0f}, painting "
                f"{video.paint_fps:.1f}, writing {video.write_fps:.0f}; {video.together_to_slowest:.2f} of the slowest; "
                f"CPU ms a frame: reading {video.read_cpu_ms:.2f}{to_rgb}, painting {video.paint_cpu_ms:.2f}, "
                f"writing {video.write_cpu_ms:.2f} (to YUV {video.to_yuv_cpu_ms:.2f}), queues {video.queues_cpu_ms:.2f}"
            )
        report.growth_frames, report.growth_mib = frames, measure_growth(stylizer, frames)
        say(f"memory: {report.growth_mib:+.1f} MiB from frame {settled(frames)} to {frames} of 640x360")
    report.rss_720p_mib = measure_rss_720p(style, devices[0], min(frames, 60))
    say(f"memory: {report.rss_720p_mib:.0f} MiB for a 720p video")
    report.start_up_seconds = measure_start_up(style, devices[0])
    report.help_seconds = seconds_to_run("-m", "livestyle", "--help")
    report.import_torch_seconds = seconds_to_run("-c", "import torch")
    say(
        f"start-up: {report.start_up_seconds:.2f} s to the first painted photo, {report.help_seconds:.2f} s for --help; "
        f"torch alone takes {report.import_torch_seconds:.2f} s to import"
    )
    return report


def usual_sizes(model: str, device: str) -> list[str]:
    """What people paint; on a CPU `full` takes seconds a frame, and 4K is for the patient."""
    if device not in ("cpu", "openvino"):
        return list(SIZES)
    return list(SIZES)[: 4 if model == "lite" else 3]


def describe_machine(devices: Sequence[str]) -> dict[str, str]:
    """What the figures were measured on."""
    import torch

    machine = {"cpu": f"{processor_name()}, {cores()} cores", "torch": f"torch {torch.__version__}", "system": platform.system()}
    if "openvino" in devices:
        machine["openvino"] = f"openvino {importlib.metadata.version('openvino')}"
    for device in devices:
        if device.startswith("cuda"):
            from livestyle.engines.cuda import gpu_name

            machine[device] = gpu_name(device)
    return machine


def measure_ceilings(place: str, precision: str) -> Ceilings:
    """The best of many tries, by torch on its device of that name: ceilings are what nothing exceeds.

    Smaller products too, as the shorter a try, the likelier it is that no other program takes a core meanwhile.
    """
    import torch

    sides, length = ((4096, 8192), 2**28) if place.startswith("cuda") else ((1024, 2048), 2**26)

    def best_seconds(run: Callable[[], torch.Tensor]) -> float:
        def finished() -> None:
            run().view(-1)[0].item()  # waits for the device

        times: list[float] = []
        while sum(times) < CEILING_SECONDS or len(times) < LEAST_REPEATS:
            times.append(seconds_of(finished))
        return min(times)

    def multiply(side: int) -> float:
        matrix = torch.randn(side, side, device=place).to(getattr(torch, precision))
        product = torch.empty_like(matrix)
        return 2 * side**3 / best_seconds(lambda: torch.matmul(matrix, matrix, out=product))

    source = torch.zeros(length, dtype=torch.uint8, device=place)
    target = torch.empty_like(source)
    copying = 2 * length / best_seconds(lambda: target.copy_(source))
    return Ceilings(max(multiply(side) for side in sides) / 1e12, copying / 1e9)


def find_look(style: str, model: str) -> Look:
    """The style's (a blend's first), or one of random numbers for a network that it is not there for: the speed is the same."""
    gallery = Gallery()
    header = gallery.models(next(iter(parse_blend(style)))).get(model)
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


def measure_network(engine: Engine, look: Look, size: str, ceilings: Ceilings, most_repeats: int) -> NetworkFigures:
    """Frames through the engine, uint8 to uint8. At least LEAST_REPEATS."""
    images = scene_images(size, max(LEAST_FRAMES, min(MOST_FRAMES, FRAMES_BYTES // (3 * pixels_of(size)))))

    def seconds_a_frame(first: int, count: int) -> float:
        chosen = [images[(first + offset) % len(images)] for offset in range(count)]
        return seconds_of(lambda: engine.submit([(image, look) for image in chosen]).result()) / count

    def times(count: int) -> list[float]:
        seconds_a_frame(0, count)  # what the first run prepares does not count
        once = seconds_a_frame(count, count) * count
        repeats = max(LEAST_REPEATS, min(most_repeats, int(CELL_SECONDS / once)))
        return [seconds_a_frame(number * count, count) for number in range(repeats)]

    series = {count: times(count) for count in sorted({1, *engine.batches})}
    medians = {count: statistics.median(seconds) * 1000 for count, seconds in series.items()}
    batch = min(engine.batches, key=medians.__getitem__)
    work = look.body.architecture.plan(*reversed(SIZES[size])).costs
    floor_ms = floor_seconds(work, ceilings, 4 if engine.precision == "float32" else 2) * 1000
    return NetworkFigures(
        engine.name,
        engine.precision,
        look.body.architecture.name,
        size,
        gflop=sum(convolution.operations for convolution in work) / 1e9,
        floor_ms=floor_ms,
        alone_ms=medians[1],
        alone_p95_ms=statistics.quantiles(series[1], n=20, method="inclusive")[-1] * 1000,
        batch=batch,
        batched_ms=medians[batch],
        alone_to_floor=medians[1] / floor_ms,
        batched_to_floor=medians[batch] / floor_ms,
        notes=list(engine.notes),
    )


def floor_seconds(work: Iterable[ConvolutionCost], ceilings: Ceilings, number_bytes: int) -> float:
    """The least that these convolutions take.

    Each computes at the one ceiling, or reads and writes once at the other, whichever takes longer; then what it wrote is
    read once for the norm's statistics. All else would be fused into these.
    """
    a_second, numbers_a_second = ceilings.tflops * 1e12, ceilings.gbytes_per_second * 1e9 / number_bytes
    return sum(
        max(convolution.operations / a_second, (convolution.read + convolution.written) / numbers_a_second)
        + convolution.written / numbers_a_second
        for convolution in work
    )


def seconds_of(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


@dataclass(frozen=True)
class Stage:
    """A stage's speed."""

    fps: float
    cpu_ms: float
    """A frame's, of all threads of this process."""


def time_stage(run: Callable[[], object], count: int) -> Stage:
    """The best of three, of each figure."""
    stages = []
    for _ in range(3):
        started = time.process_time()
        seconds = seconds_of(run)
        stages.append(Stage(count / seconds, (time.process_time() - started) / count * 1000))
    return Stage(max(stage.fps for stage in stages), min(stage.cpu_ms for stage in stages))


def measure_style_change(stylizer: Stylizer) -> float:
    """Milliseconds to set the next style, all being loaded: the median over two rounds of all styles."""
    times = []
    for name in stylizer.load_all() * 2:
        started = time.perf_counter()
        stylizer.look(name)
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000


class Unpainted:
    """An engine that returns the frames unchanged."""

    name, precision = "none", "none"
    batches: tuple[int, ...] = (1,)
    batches_in_flight, takes_nv12, gpu = 1, True, 0

    def __init__(self) -> None:
        self.notes: list[str] = []

    def prepare(self, body: Body) -> None:
        pass

    def submit(self, batch: Batch) -> Done:
        return Done([frame for frame, _ in batch])

    def close(self) -> None:
        pass


def measure_video(stylizer: Stylizer, size: str, count: int) -> VideoFigures:
    """Each stage alone, then all together as `livestyle video` runs them, on the same clip."""
    nv12, gpu = stylizer.engine.takes_nv12, stylizer.engine.gpu
    looks = ConstantLook(stylizer.default_look)
    with tempfile.TemporaryDirectory() as folder:
        clip, painted = Path(folder, "clip.mp4"), Path(folder, "painted.mp4")
        source = scene(size, count)
        write_all(read_all(source), VideoWriter(clip, source.info))
        file = VideoFile(clip, for_gpu=nv12, gpu=gpu)
        file.close()
        info, buffering = file.info, offline(stylizer.best_batch(file.info.frame_shape))

        def read(as_nv12: bool = nv12) -> Iterable[Frame]:
            return read_all(VideoFile(clip, for_gpu=as_nv12, gpu=gpu))

        def write(frames: Iterable[Frame]) -> None:
            write_all(frames, VideoWriter(painted, info, sound_from=clip, on_gpu=nv12, gpu=gpu))

        reading = time_stage(lambda: exhaust(read()), count)
        to_rgb_cpu_ms = None
        if not nv12 and not is_decoded_on_gpu(clip, gpu):
            to_rgb_cpu_ms = reading.cpu_ms - time_stage(lambda: exhaust(read(as_nv12=True)), count).cpu_ms

        frames = list(read())
        painting = time_stage(lambda: exhaust(paint_frames(frames, stylizer.engine, looks, buffering)), count)

        def run_queues() -> None:
            with Channel(frames, buffering.queued) as queue:
                unpainted = paint_frames(queue, Unpainted(), looks, buffering)
                with Channel(unpainted, buffering.queued) as last:
                    exhaust(last)

        queues = time_stage(run_queues, count)
        frames = list(paint_frames(frames, stylizer.engine, looks, buffering))
        writing = time_stage(lambda: write(frames), count)
        with closing(VideoWriter(Path(folder, "one.mp4"), info)) as writer:
            to_yuv = time_stage(lambda: [writer.to_yuv(frame, number) for number, frame in enumerate(frames)], count)
            writer.write(frames[0])
        frames.clear()

        def run() -> None:
            with Pipeline(VideoFile(clip, for_gpu=nv12, gpu=gpu), stylizer.engine, looks, buffering) as pipeline:
                write(pipeline)

        together = time_stage(run, count)
    return VideoFigures(
        size,
        buffering.batch,
        read_fps=reading.fps,
        paint_fps=painting.fps,
        write_fps=writing.fps,
        together_fps=together.fps,
        together_to_slowest=together.fps / min(reading.fps, painting.fps, writing.fps),
        read_cpu_ms=reading.cpu_ms,
        paint_cpu_ms=painting.cpu_ms,
        write_cpu_ms=writing.cpu_ms,
        to_yuv_cpu_ms=to_yuv.cpu_ms,
        queues_cpu_ms=queues.cpu_ms,
        to_rgb_cpu_ms=to_rgb_cpu_ms,
    )


def is_decoded_on_gpu(clip: Path, gpu: int) -> bool:
    """Where there is a GPU that decodes, a file read as NV12 costs no decoding on the CPU: not to be compared with RGB."""
    file = VideoFile(clip, for_gpu=True, gpu=gpu)
    file.close()
    return "decoded on the GPU" in file.notes


def write_all(frames: Iterable[Frame], writer: VideoWriter) -> None:
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
    """How much more memory is resident after the last frame than when every buffer was there, MiB."""
    process = psutil.Process()
    source = scene("640x360", frames)
    after_200 = 0
    with tempfile.TemporaryDirectory() as folder:
        writer = VideoWriter(Path(folder, "painted.mp4"), source.info)
        looks, buffering = ConstantLook(stylizer.default_look), offline(stylizer.best_batch(source.info.frame_shape))
        with Pipeline(source, stylizer.engine, looks, buffering) as pipeline:
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
        write_all(read_all(source), VideoWriter(clip, source.info))
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
