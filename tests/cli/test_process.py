"""The command line as a process: signals at any time, standard streams, and escaping for terminals."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livestyle import __version__
from livestyle.cli import options
from livestyle.cli.options import counted
from livestyle.errors import printable
from livestyle.pictures.writing import write_picture
from livestyle.style_files.gallery import bundled_folder

Run = Callable[..., Any]

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals, and streams that are closed by a shell")
PROGRAM = f"{sys.executable} -m livestyle"


def photo(path: Path) -> Path:
    write_picture(path, np.full((30, 40, 3), 90, np.uint8))
    return path


def shell(line: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash, in which LIVESTYLE stands for the program."""
    return subprocess.run(
        ["bash", "-c", line.replace("LIVESTYLE", PROGRAM)],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=60,
        check=False,
    )


# signals


def importing(folder: Path, module: str, body: str) -> subprocess.CompletedProcess[str]:
    """Run `livestyle styles` with a module of that name whose code is `body`."""
    (folder / f"{module}.py").write_text("import atexit, os, signal, time\n" + body)
    return shell("LIVESTYLE styles --json", folder, PYTHONPATH=str(folder))


@posix
@pytest.mark.parametrize(("module", "sent"), [("click", "SIGINT"), ("click", "SIGHUP"), ("safetensors", "SIGTERM")])
def test_signal_during_imports_prints_one_line(tmp_path: Path, module: str, sent: str) -> None:
    done = importing(tmp_path, module, f"os.kill(os.getpid(), signal.{sent})\ntime.sleep(30)\n")
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
    assert json.loads(done.stdout) == {"error": "interrupted"}


@posix
def test_import_that_turns_ctrl_c_into_an_error_prints_one_line(tmp_path: Path) -> None:
    body = "try:\n os.kill(os.getpid(), signal.SIGINT)\n time.sleep(30)\nexcept KeyboardInterrupt:\n raise ImportError('numpy')\n"
    done = importing(tmp_path, "safetensors", body)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


@posix
@pytest.mark.parametrize(
    "body",
    [
        "atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))",  # registered first, so called last
        "class Late:\n def __del__(self, kill=os.kill, pid=os.getpid()):\n  kill(pid, 2)\nbuiltins.late = Late()",
    ],
    ids=["at exit", "while modules are torn down"],
)
def test_ctrl_c_at_exit_is_ignored(tmp_path: Path, body: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import atexit, builtins, os, signal\n{body}\n")
    done = shell("LIVESTYLE --version", tmp_path, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


@posix
def test_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGHUP)\nraise ImportError('went on')\n")
    done = shell("trap '' HUP; LIVESTYLE styles", tmp_path, PYTHONPATH=str(tmp_path))  # as nohup does
    assert "went on" in done.stderr


@posix
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise ModuleNotFoundError(\"No module named 'cv2'\", name='cv2')", "the package cv2 is not installed"),
        ("raise ImportError('libGL.so.1: no\\nIMPORTANT: read this', name='cv2')", "cannot import cv2: libGL.so.1: no"),
    ],
)
def test_missing_or_broken_package_prints_one_line(tmp_path: Path, body: str, message: str) -> None:
    photo(tmp_path / "a.png")
    (tmp_path / "cv2.py").write_text(body)
    done = shell("LIVESTYLE image a.png -o b.png", tmp_path, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (2, f"livestyle: {message}; `livestyle doctor` shows what works\n")


# standard streams


@posix
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("LIVESTYLE image a.png -o b.png 2>/dev/full", 0),
        ("LIVESTYLE image a.png -o b.png >&- <&- 2>&-", 0),
        ("LIVESTYLE video nosuch.mp4 o.mp4 2>&-", 2),
        ("LIVESTYLE image a.png --stile x 2>/dev/full", 2),
    ],
)
def test_failing_stderr_does_not_end_the_work(tmp_path: Path, line: str, code: int) -> None:
    photo(tmp_path / "a.png")
    assert shell(line, tmp_path).returncode == code
    assert (tmp_path / "b.png").exists() == (code == 0)


@posix
@pytest.mark.parametrize(
    "line",
    ["LIVESTYLE >/dev/full", "LIVESTYLE styles --json >&-", "LIVESTYLE image a.png -o - >/dev/full", "LIVESTYLE --version >&-"],
)
def test_failing_stdout_is_an_error(tmp_path: Path, line: str) -> None:
    photo(tmp_path / "a.png")
    done = shell(line, tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert ("No space left" if "full" in line else "Bad file descriptor") in done.stderr
    assert "unexpected" not in done.stderr


@posix
def test_closed_pipe_prints_no_error(tmp_path: Path) -> None:
    done = shell("set -o pipefail; LIVESTYLE --help | true", tmp_path)
    assert (done.returncode, done.stderr) == (2, "")


@posix
def test_closed_stdin_is_empty(tmp_path: Path) -> None:
    done = shell("LIVESTYLE image - -o b.png <&-", tmp_path)
    assert done.returncode == 2
    assert "stdin is empty" in done.stderr


# names


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a b.png", "a b.png"),
        ("画é\u202fß.png", "画é\u202fß.png"),
        ("\x1b[31mred\x07.png", r"\x1b[31mred\x07.png"),
        ("two\nlines\r.png", r"two\nlines\r.png"),
        ("gnp.\u202egpj", r"gnp.\u202egpj"),
        ("\u2066x\u2069\u200b\x9b2J", r"\u2066x\u2069\u200b\x9b2J"),
        ("\udcff.png", r"\udcff.png"),
        ("a\u2028b", r"a\u2028b"),
    ],
)
def test_control_characters_are_escaped(name: str, shown: str) -> None:
    assert printable(name) == shown


@posix
def test_names_are_escaped_in_messages_and_exact_in_json(tmp_path: Path) -> None:
    names = sorted(["\x1b]0;owned\x07.mp4", "a\nb.mp4", "\u202e4pm.mp4", "\udcff\udcfe.mp4"])
    for name in names:
        (tmp_path / name).write_text("no video")
    done = shell("LIVESTYLE video . -o out --json", tmp_path, LC_ALL="C")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [f"livestyle: {printable(name)} is text, not a video" for name in names]
    report = json.loads(done.stdout)
    assert report["failed"] == [f"{name}: {name} is text, not a video" for name in names]


def test_only_print_line_and_the_help_call_click_echo() -> None:
    folder = Path(options.__file__).parent
    users = {path.name for path in folder.glob("*.py") if "click.echo(" in path.read_text(encoding="utf-8")}
    assert users <= {"__init__.py", "completion.py", "options.py"}  # the help, the completion script, and print_line itself


def test_plural_of_counted_nouns() -> None:
    assert [counted(number, "frame") for number in (0, 1, 2)] == ["0 frames", "1 frame", "2 frames"]


# doctor


@posix
def test_doctor_reports_and_libraries_print_nothing(tmp_path: Path) -> None:
    done = shell("LIVESTYLE doctor --json", tmp_path)  # opens x265 and SVT-AV1, which write to stderr
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert all("error" not in found for found in report.values())
    assert report["versions"]["livestyle"] == __version__
    assert report["engines"]["cpu"]["ok"]
    assert report["engines"][report["engines"]["default"]]["ok"]
    assert report["encoders"]["libx264"]
    assert str(bundled_folder()) in report["folders"]


def test_doctor_continues_after_a_failing_part(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "livestyle.sinks.video.encoders", None)  # importing it fails, as with a broken PyAV
    monkeypatch.setitem(sys.modules, "livestyle.engines.cpu", None)
    result = run("doctor")
    assert result.code == 0
    assert "error          ModuleNotFoundError: import of livestyle.sinks.video.encoders halted" in result.out
    assert "cpu            error " in result.out
    assert "folders" in result.out
