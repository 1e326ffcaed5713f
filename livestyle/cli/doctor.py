"""The command `livestyle doctor`."""

import importlib.metadata
import os
import platform
import re
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from livestyle import __version__
from livestyle.cli.command import Command
from livestyle.cli.options import add_to_summary, print_line
from livestyle.machine import processor_flags, processor_name

if TYPE_CHECKING:
    from livestyle.frame import Image

LIBRARIES = ("torch", "torchvision", "numpy", "click", "safetensors", "triton")
OPENCV = ("opencv-python", "opencv-contrib-python", "opencv-python-headless", "opencv-contrib-python-headless")
INSTRUCTIONS = {"AVX2": "avx2", "AVX-512": "avx512f", "bf16": "avx512_bf16", "AMX": "amx_bf16"}  # name: Linux's flag
TEST_STYLE, TEST_SIZE = "wave", (256, 144)
TOLERANCE = 3.0
"""Largest mean difference from the cpu engine's painting, in grey levels, that passes the check. bf16 differs by less than 1."""
GIB = 2**30


@click.command(cls=Command, examples=["livestyle doctor", "livestyle doctor --json > doctor.json"])
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on stdout.")
@click.option("--debug", is_flag=True, help="Show tracebacks and what libraries print.")
def doctor(as_json: bool, debug: bool) -> None:
    """Check this installation; takes a few seconds. Add the output to bug reports.

    Reports versions, processor, memory, GPUs, encoders, display, cameras, optional packages and style folders. Each engine
    paints a small picture, which is compared with that of the cpu engine. If a check fails, the report says why, and the
    other checks still run.
    """
    report = {name: checked(check) for name, check in CHECKS.items()}
    add_to_summary(report)
    if as_json:
        return
    for name, found in report.items():
        print_line(name)
        for key, value in (found or {"none": ""}).items():
            print_line(f"  {key:14} {readable(value)}".rstrip())


def checked(check: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run a check: what it found, or why it failed. Broken libraries may raise any exception."""
    try:
        return check()
    except Exception as error:
        return failure(error)


def failure(error: Exception) -> dict[str, Any]:
    """The report of a check that failed: {"error": one line}."""
    return {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}


def readable(value: Any) -> str:
    """Format a value of the report as one line of text."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {readable(entry)}" for key, entry in value.items())
    if isinstance(value, list):
        return ", ".join(map(readable, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "unknown" if value is None else str(value)


def versions() -> dict[str, Any]:
    """Versions of livestyle, of Python, and of the libraries that livestyle uses."""
    found: dict[str, Any] = {"livestyle": __version__, "Python": platform.python_version(), "system": platform.platform()}
    for library in LIBRARIES:
        found[library] = installed(library) or "not installed"
    found["OpenCV"] = [f"{name} {version}" for name in OPENCV if (version := installed(name))]
    found["PyAV"] = installed("av") or "not installed"
    found["OpenVINO"] = installed("openvino") or "not installed"
    return found | checked(ffmpeg)


def ffmpeg() -> dict[str, Any]:
    """Version of the FFmpeg libraries in PyAV."""
    from livestyle.media import ffmpeg_version

    return {"FFmpeg": f"{ffmpeg_version()}, in PyAV"}


def installed(package: str) -> str | None:
    """The installed version of a package; None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def processor() -> dict[str, Any]:
    """Processor name, cores and instruction sets, on which the speed of painting on the CPU depends."""
    from livestyle.machine import cores

    flags = processor_flags()
    found: dict[str, Any] = {"name": processor_name(), "cores": {"usable": cores(), "of": os.cpu_count()}}
    return found | {name: flag in flags if flags else None for name, flag in INSTRUCTIONS.items()}


def memory() -> dict[str, Any]:
    """Total memory of the machine, and free memory, which in a container is what its limit leaves; GiB."""
    import psutil

    from livestyle.memory import free_bytes

    return {"total_gib": round(psutil.virtual_memory().total / GIB, 1), "free_gib": round(free_bytes() / GIB, 1)}


def gpus() -> dict[str, Any]:
    """Value of --device -> name of the GPU; {"none": why} if there is none."""
    from livestyle.engines.devices import choose_device
    from livestyle.errors import DeviceError

    kind = "mps" if sys.platform == "darwin" else "cuda"
    try:
        choose_device(kind)
    except DeviceError as error:
        return {"none": str(error).removeprefix(f"device {kind}: ")}
    if kind == "mps":
        return {"mps": processor_name()}
    from livestyle.engines.cuda import gpu_count, gpu_name

    return {f"cuda:{index}": gpu_name(f"cuda:{index}") for index in range(gpu_count())}


def engines() -> dict[str, Any]:
    """Try every engine of this machine: device -> what `self_test` reports, or its error; and "default" -> that device."""
    from livestyle.engines.devices import choose_device

    expected: Image | None = None
    found: dict[str, Any] = {"default": choose_device("auto")}
    for device in ["cpu", "openvino", *(name for name in gpus() if name != "none")]:
        try:
            painted, found[device] = self_test(device, expected)
            expected = painted if device == "cpu" else expected
        except Exception as error:  # for example of a driver
            found[device] = failure(error)
    return found


def self_test(device: str, expected: "Image | None") -> "tuple[Image, dict[str, Any]]":
    """Paint a small picture twice, and time the second run: the first one includes preparation.

    expected: the painting of the cpu engine to compare with, (H, W, 3) uint8 RGB; None to compare with nothing.

    Returns the painting, (H, W, 3) uint8 RGB, and what is reported.
    """
    import numpy as np

    from livestyle.sources.demo import DemoScene
    from livestyle.style_files.gallery import Gallery, bundled_folder
    from livestyle.stylizer import Stylizer

    frame = DemoScene(*TEST_SIZE).read()
    assert frame is not None
    with Stylizer(TEST_STYLE, "lite", device, gallery=Gallery([bundled_folder()])) as stylizer:
        stylizer(frame.image)
        started = time.perf_counter()
        painted = stylizer(frame.image)
        milliseconds = (time.perf_counter() - started) * 1000
        found: dict[str, Any] = {"ok": True, "ms": round(milliseconds, 1), "precision": stylizer.engine.precision}
    if expected is not None:
        difference = float(np.abs(painted.astype(np.int16) - expected).mean())
        found |= {"ok": difference <= TOLERANCE, "difference": round(difference, 2)}
    return painted, found


def encoders() -> dict[str, Any]:
    """Name of each video encoder -> whether it can be opened."""
    from livestyle.sinks.video.encoders import encoders_here

    return dict(encoders_here())


def display() -> dict[str, Any]:
    """Whether a window can be opened."""
    from livestyle.errors import DeviceError
    from livestyle.sinks.window import check_display

    try:
        check_display("webcam --record works without one")
    except DeviceError as error:
        return {"window": str(error)}
    return {"window": "can be opened"}


def cameras() -> dict[str, Any]:
    """Index of each camera -> its description."""
    from livestyle.sources.camera import find_cameras

    return {str(camera.index): str(camera) for camera in find_cameras()}


def extras() -> dict[str, Any]:
    """Name of each optional extra -> the versions of its packages, or the command that installs those that are missing.

    Packages that are for some systems or versions of Python only are left out.
    """
    packages: dict[str, list[str]] = {}
    for line in importlib.metadata.requires("livestyle") or []:
        match = re.fullmatch(r"([\w.-]+)[^;]*;\s*extra == ['\"]([\w-]+)['\"]", line)
        if match and match[2] != "test":
            packages.setdefault(match[2], []).append(match[1])
    found: dict[str, Any] = {}
    for extra, names in packages.items():
        missing = [name for name in names if not installed(name)]
        versions = ", ".join(f"{name} {installed(name)}" for name in names)
        found[extra] = f"missing; pip install {' '.join(missing)}" if missing else versions
    return found


def folders() -> dict[str, Any]:
    """Folders in which styles are looked for, with the number of styles in each."""
    from livestyle.style_files.gallery import Gallery, default_folders

    found: dict[str, Any] = {}
    for folder in default_folders():
        gallery = Gallery([folder])
        found[str(folder)] = {"styles": len(gallery.names)} | ({"notes": gallery.notes} if gallery.notes else {})
    return found


CHECKS = {
    "versions": versions,
    "processor": processor,
    "memory": memory,
    "gpus": gpus,
    "engines": engines,
    "encoders": encoders,
    "display": display,
    "cameras": cameras,
    "extras": extras,
    "folders": folders,
}
