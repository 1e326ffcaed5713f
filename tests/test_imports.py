"""The house's plan, held by its imports: they point one way, and each library is known in its own place.

The files are parsed, not run, so that imports inside functions count too.
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from livestyle.pictures.writing import write_picture

ROOT = Path(__file__).parent.parent
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "frame": set(),
    "interrupt": set(),
    "machine": set(),
    "media": {"errors", "frame"},
    "memory": set(),
    "opencv": set(),
    "output_file": {"errors"},
    "timeline": set(),
    "look": {"frame", "networks"},
    "networks": {"frame"},
    "pictures": {"errors", "frame", "memory", "opencv", "output_file"},
    "style_files": {"errors", "frame", "networks", "output_file", "pictures"},
    "engines": {"errors", "frame", "look", "machine", "memory", "networks"},
    "stylizer": {"engines", "errors", "frame", "look", "networks", "style_files"},
    "streaming": {"engines", "errors", "frame", "look"},
    "sources": {"errors", "frame", "media", "opencv", "timeline"},
    "sinks": {"errors", "frame", "media", "output_file", "timeline"},
    "train": {
        *("errors", "frame", "interrupt", "memory", "networks", "output_file", "pictures", "sources", "streaming", "style_files"),
    },
    "conf": set(),
    "models": set(),
    "bench": {
        *("engines", "errors", "frame", "look", "machine", "networks", "pictures", "sinks", "sources", "streaming"),
        *("style_files", "stylizer"),
    },
    "__init__": {"errors", "stylizer"},
    "__main__": {"cli", "streaming"},
}
"""Part of livestyle -> the parts that it may import, besides itself. cli may import all."""

SINK, SOURCE = "livestyle/sinks/video", "livestyle/sources/video"
HOMES = {
    "av": {
        *("livestyle/media.py", "livestyle/timeline.py", f"{SOURCE}/header.py", f"{SOURCE}/decoding.py", f"{SINK}/writer.py", f"{SINK}/tracks.py"),
        *(f"{SOURCE}/deinterlacing.py", f"{SOURCE}/losses.py", f"{SOURCE}/upright.py", f"{SINK}/encoders.py"),
        *(f"{SINK}/copied.py", f"{SINK}/audio.py", f"{SINK}/subtitles.py", f"{SINK}/metadata.py"),
    },
    "cv2": {
        *("livestyle/opencv.py", "livestyle/pictures/reading.py", "livestyle/pictures/contact_sheet.py"),
        *("livestyle/pictures/strokes.py", "livestyle/sources/camera.py", "livestyle/sources/demo.py"),
        *("livestyle/sinks/window.py", "livestyle/streaming/optical_flow.py", "livestyle/streaming/smoothing.py"),
    },
    "PIL": {
        *("livestyle/pictures/reading.py", "livestyle/pictures/color_profile.py", "livestyle/pictures/exif.py"),
        *("livestyle/pictures/writing.py", f"{SOURCE}/webp.py"),
    },
    "torch.cuda": {"livestyle/engines/cuda.py"},
    "openvino": {"livestyle/engines/openvino.py", "livestyle/networks/openvino_graph.py"},
}
"""Library -> the files that may know it. The trainer has its own ways with pictures and GPUs, and is not asked."""


def files() -> list[Path]:
    return sorted([*(ROOT / "livestyle").rglob("*.py"), *(ROOT / "train").rglob("*.py")])


def part_of(path: Path) -> str:
    """livestyle/sinks/video.py -> sinks, livestyle/style.py -> style, train/loop.py -> train."""
    inside = path.relative_to(ROOT).parts
    return "train" if inside[0] == "train" else Path(inside[1]).stem


@cache
def names(path: Path) -> set[str]:
    return set(_names(path))


def _names(path: Path) -> Iterator[str]:
    """Every dotted name that a file imports or says: livestyle.style_files.file_format.save, torch.cuda.Event ..."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute):
            yield ast.unparse(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("livestyle."):
            yield node.value  # importlib.import_module("livestyle.stylizer")


def imported_parts(path: Path) -> set[str]:
    """The parts of livestyle that a file imports."""
    found = {name.split(".")[1] for name in names(path) if name.startswith("livestyle.")}
    return {part for part in found if (ROOT / "livestyle" / part).is_dir() or (ROOT / "livestyle" / f"{part}.py").is_file()} | (
        found & {"train"}
    )


def test_there_is_something_to_look_at() -> None:
    assert {"cli", "streaming", "stylizer", "train"} <= {part_of(path) for path in files()}
    assert imported_parts(ROOT / "livestyle/stylizer.py") == ALLOWED["stylizer"]
    assert "torch.cuda.Stream" in names(ROOT / "livestyle/engines/cuda.py")


def test_the_plan_goes_one_way() -> None:
    below: dict[str, set[str]] = {}

    def reach(part: str, way: tuple[str, ...] = ()) -> set[str]:
        assert part not in way, f"a circle: {way}"
        if part not in below:
            below[part] = set().union(ALLOWED[part], *(reach(other, (*way, part)) for other in ALLOWED[part] - {"cli"}))
        return below[part]

    for part in ALLOWED:
        reach(part)


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    part = part_of(path)
    if part == "cli":
        return
    assert part in ALLOWED, f"{part} is new: give it a place in ALLOWED"
    wrong = imported_parts(path) - ALLOWED[part] - {part, "__version__"}
    assert not wrong, f"{part} must not know {', '.join(sorted(wrong))}"


def test_sources_and_sinks_do_not_know_each_other() -> None:
    assert "sinks" not in ALLOWED["sources"]
    assert "sources" not in ALLOWED["sinks"]


@pytest.mark.parametrize("library", HOMES)
def test_a_library_is_known_only_at_home(library: str) -> None:
    strangers = {
        str(path.relative_to(ROOT))
        for path in files()
        if part_of(path) != "train" and any(f"{name}.".startswith(f"{library}.") for name in names(path))
    }
    assert strangers <= HOMES[library]


OPTION = re.compile(r"(?<![\w-])(?<!pip install )--[a-z]|\buse -[a-z]\b")


def messages(path: Path) -> Iterator[str]:
    """All text in a file but docstrings, and the advice for the command line."""
    skipped: set[int] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        is_advice = isinstance(node, ast.keyword) and node.arg == "advice"
        if isinstance(node, ast.Assign):
            targets = {target.id for target in node.targets if isinstance(target, ast.Name)}
            is_advice = bool(targets & {"ADVICE", "advice", "command"})
        if is_advice or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            skipped |= {id(inner) for inner in ast.walk(node)}
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.value


COMMANDS = {"bench", "cli", "train", "__main__"}  # what is run from a command line alone


@pytest.mark.parametrize("path", [path for path in files() if part_of(path) not in COMMANDS], ids=lambda path: path.name)
def test_the_api_does_not_speak_of_options(path: Path) -> None:
    assert [text for text in messages(path) if OPTION.search(text)] == []


def test_help_waits_for_nothing_heavy() -> None:
    script = (
        "import sys; sys.argv[1:] = ['--help']\n"
        "try:\n"
        "    import runpy; runpy.run_module('livestyle', run_name='__main__')\n"
        "finally:\n"
        "    print('HEAVY', sorted({'torch', 'torchvision', 'cv2', 'av', 'numpy', 'yaml'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage: livestyle" in done.stdout
    assert "HEAVY []" in done.stdout


NO_TORCH = """
import importlib.machinery, sys
class NotInstalled(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] in ("torch", "torchvision", "triton") else super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = NotInstalled
"""


def test_openvino_paints_without_torch(tmp_path: Path) -> None:
    """All commands that paint, as if torch were not installed."""
    pytest.importorskip("openvino")
    write_picture(tmp_path / "photo.png", np.full((24, 32, 3), 90, np.uint8))
    commands = [
        ["image", "photo.png", "-o", "painted.png"],
        ["image", "photo.png", "-o", "painted.png", "-y", "--strength", ".5", "--device", "openvino"],
        ["image", "photo.png", "-o", "sheet.jpg", "--all-styles", "--device", "openvino"],
        ["webcam", "--camera", "demo", "--size", "64x36", "--seconds", ".2", "--record", "live.mp4", "--device", "openvino"],
        ["video", "live.mp4", "painted.mp4", "--device", "openvino", "--smooth", ".5"],
        ["styles"],
    ]
    script = f"{NO_TORCH}\nfrom livestyle.cli import cli\nfor words in {commands}:\n    cli.main(words, standalone_mode=False)\n"
    script += """
import numpy as np
from livestyle import LivestyleError, TooLargeError, stylize
from livestyle.engines import memory
memory.CPU_MOST_BYTES = 1
photos = np.zeros((40, 24, 32, 3), np.uint8)
print(stylize(photos, "wave").shape)  # whole, where there are no strips
memory.free_bytes = lambda: 100 * 24 * 32
print(stylize(photos, "wave").shape)
try:
    stylize(photos[0], "wave", device="cpu")
except LivestyleError as error:
    print(error)
"""
    no_display = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=no_display)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} >= {"painted.png", "sheet.jpg", "live.mp4", "painted.mp4"}
    *_, first, second, last = done.stdout.splitlines()
    assert first == second == "(40, 24, 32, 3)"
    assert "pip install torch" in last
