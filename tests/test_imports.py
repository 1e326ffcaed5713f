"""The house's plan, held by its imports: they point one way, and each library is known in its own place.

The files are parsed, not run, so that imports inside functions count too.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from livestyle.sinks.pictures import write_picture

ROOT = Path(__file__).parent.parent
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "frame": set(),
    "channel": set(),
    "interrupt": set(),
    "machine": set(),
    "architecture": set(),
    "media": {"errors", "frame"},
    "output_file": {"errors"},
    "style": {"architecture", "errors", "output_file"},
    "network": {"architecture", "style"},
    "gallery": {"errors", "output_file", "style"},
    "engines": {"architecture", "errors", "frame", "network", "style"},
    "stylizer": {"architecture", "engines", "errors", "frame", "gallery", "style"},
    "pipeline": {"channel", "engines", "frame", "smoothing"},
    "smoothing": {"engines", "frame", "motion"},
    "sources": {"channel", "engines", "errors", "frame", "media", "output_file"},
    "sinks": {"errors", "frame", "media", "output_file"},
    "thumbnail": {"errors", "frame", "sinks", "sources", "style"},
    "upkeep": {"errors", "gallery", "style"},
    "train": {
        *("architecture", "errors", "frame", "gallery", "interrupt", "motion", "network"),
        *("sources", "style", "thumbnail"),
    },
    "motion": {"frame"},
    "conf": set(),
    "models": set(),
    "sheet": {"frame"},
    "strokes": {"frame"},
    "bench": {
        *("architecture", "channel", "engines", "errors", "frame", "gallery", "machine"),
        *("pipeline", "sinks", "sources", "style", "stylizer"),
    },
    "__init__": {"stylizer"},
    "__main__": {"cli"},
}
"""Part of livestyle -> the parts that it may import, besides itself. cli, which assembles them, may import all."""

HOMES = {
    "av": {
        *("livestyle/media.py", "livestyle/sources/video.py", "livestyle/sinks/video.py", "livestyle/sinks/tracks.py"),
        *("livestyle/sinks/copied.py", "livestyle/sinks/sound.py", "livestyle/sinks/subtitles.py", "livestyle/sinks/metadata.py"),
    },
    "cv2": {
        *("livestyle/sources/camera.py", "livestyle/sources/opencv.py", "livestyle/sources/pictures.py"),
        *("livestyle/sources/demo.py", "livestyle/sinks/window.py"),
        *("livestyle/motion.py", "livestyle/sheet.py", "livestyle/smoothing.py", "livestyle/strokes.py"),
    },
    "PIL": {
        *("livestyle/sources/pictures.py", "livestyle/sources/color_profile.py", "livestyle/sources/exif.py"),
        "livestyle/sinks/pictures.py",
    },
    "torch.cuda": {"livestyle/engines/cuda.py"},
    "openvino": {"livestyle/engines/openvino.py"},
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
    """Every dotted name that a file imports or says: livestyle.style.save, torch.cuda.Event ..."""
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
    assert {"cli", "pipeline", "stylizer", "train"} <= {part_of(path) for path in files()}
    assert imported_parts(ROOT / "livestyle/stylizer.py") == {*("architecture", "engines", "errors", "frame", "gallery", "style")}
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


def test_openvino_paints_without_torch(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    photo = tmp_path / "photo.png"
    write_picture(photo, np.full((24, 32, 3), 90, np.uint8))
    words = ["image", str(photo), "-o", str(tmp_path / "painted.png"), "--device", "openvino", "--quiet"]
    script = f"import sys\nfrom livestyle.cli import cli\ncli.main({words}, standalone_mode=False)\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout == "False\n", done.stderr
    assert (tmp_path / "painted.png").exists()
