"""The program: help, completion, errors, suggestions for misspelled names."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from livestyle import __version__
from livestyle.cli import COMMANDS
from livestyle.style_files.gallery import Gallery

Run = Callable[..., Any]

STYLES = ["cubist", "denoised_starry", "feathers", "mosaic", "scream", "udnie", "wave"]


def test_help_lists_every_command(run: Run) -> None:
    result = run("--help")
    assert result.code == 0
    assert all(command in result.out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run: Run, command: str) -> None:
    result = run(command, "--help")
    assert result.code == 0
    assert result.out.startswith(f"Usage: livestyle {command}")


def test_version(run: Run) -> None:
    assert run("--version").out == f"livestyle {__version__}\n"


def test_unknown_command_is_an_error(run: Run) -> None:
    result = run("paint")
    assert result.code == 2
    assert "paint" in result.error


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(run: Run, shell: str) -> None:
    assert "_LIVESTYLE_COMPLETE" in run("completion", shell).out


def test_completion_lists_styles(tmp_path: Path) -> None:
    words = {"COMP_WORDS": "livestyle image --style wa", "COMP_CWORD": "3", "_LIVESTYLE_COMPLETE": "bash_complete"}
    program = [sys.executable, "-m", "livestyle"]
    done = subprocess.run(program, env=os.environ | words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "plain,wave" in done.stdout


def test_debug_prints_the_traceback(run: Run) -> None:
    result = run("image", "nosuch.jpg", "--debug")
    assert result.code == 2
    assert "Traceback" in result.err
    assert "nosuch.jpg" in result.err.splitlines()[-1]


def test_bundled_styles_are_listed(run: Run) -> None:
    listed = json.loads(run("styles", "--json").out)
    for model in ("lite", "full"):
        assert [row["style"] for row in listed["styles"] if row["model"] == model] == STYLES
    table = run("styles").out
    assert all(name in table for name in STYLES)


def test_empty_argument_is_an_error(run: Run, tmp_path: Path) -> None:
    assert "an argument is empty" in run("image", "a.png", "-o", "").error
    assert list(tmp_path.iterdir()) == []


def test_similar_names_are_suggested_else_all_are_listed(run: Run) -> None:
    assert "did you mean video?" in run("vidoe").error
    assert "there are: video, image" in run("paint").error
    assert "did you mean show?" in run("styles", "shwo").error
    assert "there are: export, remove" in run("styles", "paint").error


def test_without_a_command_the_help_is_printed(run: Run) -> None:
    result = run()
    assert (result.code, result.err) == (0, "")
    assert result.out == run("--help").out
    assert all(f"\n{section}:\n" in result.out for section in ("Paint", "Styles", "Measure", "Shell", "Examples"))


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_with_two_examples(run: Run, command: str) -> None:
    _, _, examples = run(command, "--help").out.partition("\nExamples:\n")
    lines = examples.strip().splitlines()
    assert len(lines) == 2
    assert all(f"livestyle {command}" in line for line in lines)


def test_demo_paints_every_style(run: Run, tmp_path: Path) -> None:
    result = run("demo", "--size", "32", "--json", "--quiet")
    assert json.loads(result.out)["styles"] == Gallery().names
    with av.open(str(tmp_path / "demo.mp4")) as container:
        assert len(list(container.decode(video=0))) == len(STYLES) * 60
