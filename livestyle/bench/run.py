"""Run all benchmarks one after another, and report their figures."""

import importlib.metadata
import platform
import statistics
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from functools import partial

from livestyle.bench.ceilings import Ceilings, measure_ceilings
from livestyle.bench.memory import measure_growth, measure_rss_720p, settled
from livestyle.bench.networks import MOST_REPEATS, NetworkFigures, find_look, measure_network
from livestyle.bench.sizes import SIZES, pixels_of
from livestyle.bench.start_up import measure_start_up, seconds_to_run
from livestyle.bench.timing import seconds_of
from livestyle.bench.video import VideoFigures, measure_video
from livestyle.engines.devices import choose_device, open_engine
from livestyle.errors import DeviceError, TooLargeError
from livestyle.machine import cores, processor_name
from livestyle.networks import ARCHITECTURES
from livestyle.networks.architecture import Architecture
from livestyle.stylizer import Stylizer

VIDEO_SIZES = ("640x360", "1280x720")
CLIP_FRAMES = 300  # at 640x360; for larger frames fewer, with as many pixels in all


@dataclass
class Report:
    """All figures of one benchmark run."""

    machine: dict[str, str]
    ceilings: dict[str, Ceilings] = field(default_factory=dict)
    """Torch device and precision, such as "cpu float32" -> ceilings. Those of OpenVINO are the CPU's."""
    networks: list[NetworkFigures] = field(default_factory=list)
    videos: list[VideoFigures] = field(default_factory=list)
    """Videos painted on the first device."""
    style_change_ms: float = 0.0
    """Median time to switch to another style that is already loaded; every style is switched to twice."""
    growth_frames: int = 0
    """Number of frames of the memory test."""
    growth_mib: float = 0.0
    """Growth of resident memory at 640x360, in MiB, from frame 200 to the last (from the middle frame if fewer than 400)."""
    rss_720p_mib: float = 0.0
    """Peak resident memory of `livestyle video` on a 720p file, in MiB; 0 on Windows."""
    start_up_seconds: float = 0.0
    """Duration of `livestyle image` on a 640x360 photo, in seconds; the shortest of three runs."""
    help_seconds: float = 0.0
    """Duration of `livestyle --help`, in seconds; the shortest of three runs."""
    import_torch_seconds: float = 0.0
    """Duration of `python -c "import torch"`, in seconds, for comparison; the shortest of three runs."""

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def measure(
    style: str, models: Sequence[str], devices: Sequence[str], sizes: Sequence[str], frames: int, progress: Callable[[str], None]
) -> Report:
    """Run every benchmark, and return all figures.

    models: names of architectures. devices: empty for all that this machine has. sizes: names from SIZES; empty for
    `usual_sizes`. frames: length of the memory test; the clips and the repeats of the other tests are no longer than this
    either. progress: called with one line of text per step.

    Raises DeviceError or StyleError, before anything is measured, for a device or a style that is not available.
    """
    looks = {model: find_look(style, model) for model in models}
    devices = list(dict.fromkeys(choose_device(name) for name in devices)) or available_devices()
    report = Report(describe_machine(devices))
    progress(", ".join(report.machine.values()))
    for device in devices:
        for model, look in looks.items():
            for size in sizes or usual_sizes(ARCHITECTURES[model], device):
                with closing(open_engine(device)) as engine:  # a new engine each time: no cache of the last one takes memory
                    torch_device = "cpu" if device == "openvino" else device
                    key = f"{torch_device} {engine.precision}"
                    if key not in report.ceilings:
                        ceilings = report.ceilings[key] = measure_ceilings(torch_device, engine.precision)
                        progress(f"{key}: ceilings {ceilings.tflops:.3f} TFLOP/s, {ceilings.gbytes_per_second:.1f} GB/s")
                    try:
                        network = measure_network(engine, look, size, report.ceilings[key], min(frames, MOST_REPEATS))
                    except TooLargeError as error:
                        progress(f"{device} {model} {size}: {error}")
                        continue
                report.networks.append(network)
                progress(str(network))
    with Stylizer(style, device=devices[0]) as stylizer:
        report.style_change_ms = measure_style_change(stylizer)
        progress(f"style change: {report.style_change_ms:.3f} ms")
        for size in VIDEO_SIZES:
            video = measure_video(stylizer, size, min(frames, CLIP_FRAMES * 640 * 360 // pixels_of(size)))
            report.videos.append(video)
            progress(f"{devices[0]} {video}")
        report.growth_frames, report.growth_mib = frames, measure_growth(stylizer, frames)
        progress(f"memory: {report.growth_mib:+.1f} MiB from frame {settled(frames)} to {frames} of 640x360")
    report.rss_720p_mib = measure_rss_720p(style, devices[0], min(frames, 60))
    progress(f"memory: {report.rss_720p_mib:.0f} MiB for a 720p video")
    report.start_up_seconds = measure_start_up(style, devices[0])
    report.help_seconds = seconds_to_run("-m", "livestyle", "--help")
    report.import_torch_seconds = seconds_to_run("-c", "import torch")
    progress(
        f"start-up: {report.start_up_seconds:.2f} s to the first painted photo, {report.help_seconds:.2f} s for --help; "
        f"importing torch alone takes {report.import_torch_seconds:.2f} s"
    )
    return report


def available_devices() -> list[str]:
    """The devices of this machine, the default one first."""
    found = [choose_device("auto")]
    for name in ("openvino", "cpu", "cuda", "mps"):
        with suppress(DeviceError):
            found.append(choose_device(name))
    return list(dict.fromkeys(found))


def usual_sizes(architecture: Architecture, device: str) -> list[str]:
    """Names of the sizes worth measuring: all on a GPU; on a CPU up to 1080p, or up to 720p for networks made for GPUs."""
    if device not in ("cpu", "openvino"):
        return list(SIZES)
    return list(SIZES)[: 4 if architecture.made_for == "cpu" else 3]


def describe_machine(devices: Sequence[str]) -> dict[str, str]:
    """Processor, GPUs, libraries and system on which the figures are measured: key -> description."""
    import torch

    machine = {"cpu": f"{processor_name()}, {cores()} cores", "torch": f"torch {torch.__version__}", "system": platform.system()}
    if "openvino" in devices:
        machine["openvino"] = f"openvino {importlib.metadata.version('openvino')}"
    for device in devices:
        if device.startswith("cuda"):
            from livestyle.engines.cuda import gpu_name

            machine[device] = gpu_name(device)
    return machine


def measure_style_change(stylizer: Stylizer) -> float:
    """Load all styles, then get the look of each, twice: the median time of getting one, in milliseconds."""
    names = stylizer.load_all() * 2
    return statistics.median(seconds_of(partial(stylizer.look, name)) for name in names) * 1000
