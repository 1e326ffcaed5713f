"""Import rules: which part of livestyle may import which other part, and which files may import a heavy library.

Files are parsed, not run, so that imports inside functions count too.
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import numpy as np
import pytest
from predictors import painting, write_predictor

from livestyle.pictures.writing import write_picture
from livestyle.style_files.gallery import Gallery

ROOT = Path(__file__).parent.parent
ALLOWED: dict[str, set[str]] = {
    "conf_file": {"errors"},
    "errors": set(),
    "frame": set(),
    "interrupt": set(),
    "machine": set(),
    "media": {"errors", "frame"},
    "memory": set(),
    "opencv": set(),
    "output_file": {"errors"},
    "size": {"errors"},
    "timeline": set(),
    "look": {"frame", "networks"},
    "sound": {"frame"},
    "networks": {"frame"},
    "pictures": {"errors", "frame", "memory", "opencv", "output_file"},
    "prediction": {"errors", "frame", "output_file", "pictures"},
    "style_files": {"errors", "frame", "networks", "output_file", "pictures", "prediction"},
    "engines": {"errors", "frame", "look", "machine", "memory", "networks"},
    "stylizer": {"engines", "errors", "frame", "look", "networks", "style_files"},
    "streaming": {"engines", "errors", "frame", "look", "networks", "sound"},
    "sources": {"errors", "frame", "media", "opencv", "sound", "timeline"},
    "sinks": {"errors", "frame", "media", "output_file", "sound", "timeline"},
    "train": {
        *("errors", "frame", "interrupt", "machine", "memory", "networks", "output_file", "pictures", "size", "sources"),
        *("conf_file", "prediction", "streaming", "style_files"),
    },
    "conf": set(),
    "models": set(),
    "bench": {
        *("engines", "errors", "frame", "look", "machine", "networks", "pictures", "sinks", "sources", "streaming"),
        *("style_files", "stylizer"),
    },
    "jobs": {
        *("errors", "frame", "interrupt", "look", "opencv", "output_file", "pictures", "sinks", "size", "sound", "sources"),
        *("conf_file", "streaming", "style_files", "stylizer", "train"),  # train: runs in a process of its own
    },
    "server": {
        *("engines", "errors", "frame", "jobs", "look", "pictures", "sinks", "size", "sources", "streaming", "style_files"),
        "stylizer",
    },
    "__init__": {"errors", "frame", "jobs", "look", "stylizer"},
    "__main__": {"cli", "streaming"},
}
"""Part of livestyle (a module or a package) -> the parts that it may import, besides itself. cli may import everything."""

HOMES = {
    "aiortc": {"server/peer.py"},
    "av": {"media.py", "server/peer.py", "timeline.py", "sources/microphone.py", "sources/video/", "sinks/video/"},
    "cv2": {
        *("opencv.py", "pictures/", "sinks/overlay.py", "sinks/virtual_camera.py", "sinks/window.py"),
        *("sources/camera.py", "sources/demo.py", "sources/screen.py"),
        *("streaming/mixing.py", "streaming/optical_flow.py", "streaming/smoothing.py"),
        "streaming/person.py", "streaming/still.py", "streaming/working_size.py",
    },
    "PIL": {"pictures/", "sources/video/webp.py"},
    "torch.cuda": {"engines/cuda.py"},
    "mss": {"sources/screen.py", "sinks/window.py"},
    "mido": {"jobs/live/remote/midi.py"},
    "pythonosc": {"jobs/live/remote/osc.py"},
    "openvino": {"networks/openvino_graph.py"},
    "sounddevice": {"sources/microphone.py"},
}
"""Library -> the files and folders of livestyle that may import it. The trainer, a separate program, is exempt."""


def files() -> list[Path]:
    return sorted([*(ROOT / "livestyle").rglob("*.py"), *(ROOT / "train").rglob("*.py")])


def part_of(path: Path) -> str:
    """Part of a file: livestyle/sinks/window.py -> sinks, livestyle/look.py -> look, train/loop.py -> train."""
    inside = path.relative_to(ROOT).parts
    return "train" if inside[0] == "train" else Path(inside[1]).stem


@cache
def names(path: Path) -> set[str]:
    return set(_names(path))


def _names(path: Path) -> Iterator[str]:
    """Yield every dotted name in a file, imported or used: livestyle.style_files.file_format.load_rows, torch.cuda.Event ..."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports must be absolute"
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


def test_parts_and_imports_are_found() -> None:
    assert {"cli", "streaming", "stylizer", "train"} <= {part_of(path) for path in files()}
    assert imported_parts(ROOT / "livestyle/stylizer.py") == ALLOWED["stylizer"]
    assert "torch.cuda.Stream" in names(ROOT / "livestyle/engines/cuda.py")


def test_allowed_imports_have_no_cycle() -> None:
    TopologicalSorter({part: ALLOWED[part] - {"cli"} for part in ALLOWED}).prepare()  # raises CycleError


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_part_imports_only_allowed_parts(path: Path) -> None:
    part = part_of(path)
    if part == "cli":
        return
    assert part in ALLOWED, f"{part} is a new part: add it to ALLOWED"
    wrong = imported_parts(path) - ALLOWED[part] - {part, "__version__"}
    assert not wrong, f"{part} must not import {', '.join(sorted(wrong))}"


def test_sources_and_sinks_are_independent() -> None:
    assert "sinks" not in ALLOWED["sources"]
    assert "sources" not in ALLOWED["sinks"]


def imports_library(path: Path, library: str) -> bool:
    return any(f"{name}.".startswith(f"{library}.") for name in names(path))


@pytest.mark.parametrize("library", HOMES)
def test_library_is_imported_only_where_allowed(library: str) -> None:
    users = {
        path.relative_to(ROOT / "livestyle").as_posix()
        for path in files()
        if part_of(path) != "train" and imports_library(path, library)
    }
    assert {user for user in users if not user.startswith(tuple(HOMES[library]))} == set()
    assert all(any(user.startswith(home) for user in users) for home in HOMES[library])


OPTION = re.compile(r"(?<![\w-])(?<!pip install )--[a-z]|\buse -[a-z]\b")


def messages(path: Path) -> Iterator[str]:
    """Yield all string literals in a file except docstrings and advice for the command line."""
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


COMMANDS = {"bench", "cli", "train", "__main__"}  # run only from the command line


@pytest.mark.parametrize("path", [path for path in files() if part_of(path) not in COMMANDS], ids=lambda path: path.name)
def test_messages_of_the_library_do_not_name_command_line_options(path: Path) -> None:
    assert [text for text in messages(path) if OPTION.search(text)] == []


def test_help_imports_no_heavy_library() -> None:
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
    """Run all commands that paint, with torch hidden."""
    pytest.importorskip("openvino")
    write_picture(tmp_path / "photo.png", np.full((24, 32, 3), 90, np.uint8))
    write_picture(tmp_path / "painting.png", painting())
    write_predictor(tmp_path / "models/seven.lite-predictor.safetensors", Gallery().models("wave")["lite"])
    commands = [
        ["image", "photo.png", "-o", "painted.png"],
        ["image", "photo.png", "-o", "painted.png", "-y", "--strength", ".5", "--device", "openvino"],
        ["image", "photo.png", "-o", "painted.png", "-y", "--style", "painting.png:.5,wave:.5"],
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
print(stylize(photos, "wave").shape)  # whole, as strips need torch
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
