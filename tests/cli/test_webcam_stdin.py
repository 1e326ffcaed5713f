"""The webcam command with raw frames on standard input."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from livestyle.cli.webcam import webcam

WIDTH, HEIGHT = 64, 48
Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[int]:
    """Replaces standard input by a pipe, and yields its writing end. There is no display; the current folder is empty."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    before = os.dup(0)
    reader, writer = os.pipe()
    os.dup2(reader, 0)
    os.close(reader)
    yield writer
    os.dup2(before, 0)
    os.close(before)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Function run(words): run the command. Returns its exit code and its summary."""

    def run_words(*words: str) -> tuple[int, dict[str, Any]]:
        words = ("--camera", "-", "--strength", "0", "--record", "out.mp4", "--quiet", "--json", *words)
        code = webcam.main(list(words), standalone_mode=False)
        return code, json.loads(capsys.readouterr().out)

    return run_words


def gray(level: int) -> bytes:
    return bytes([level]) * (3 * WIDTH * HEIGHT)


def write_all(descriptor: int, data: bytes) -> None:
    with os.fdopen(descriptor, "wb") as pipe:
        pipe.write(data)


def test_frames_are_painted_until_the_end_and_an_incomplete_one_is_damage(stdin: int, run: Run) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(write_all, stdin, gray(50) + gray(100) + gray(200) + b"rest")
        code, summary = run("--size", f"{WIDTH}x{HEIGHT}")
    assert code == 1
    assert summary["captured"] == 3 == summary["frames"] + summary["dropped"]
    assert summary["damage"] == ["standard input ended within a frame: 4 of its 9,216 bytes; is the size right?"]
    with av.open("out.mp4") as video:
        *_, last = (frame.to_ndarray(format="rgb24") for frame in video.decode(video=0))
    assert last.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(last.astype(int) - 200).max() < 4


@pytest.mark.skipif(sys.platform == "win32", reason="cannot end a read from a pipe")
def test_seconds_end_a_run_whose_writer_has_stalled(stdin: int, run: Run) -> None:
    """Before the source counts as stalled."""
    os.write(stdin, gray(50) + b"rest")
    code, summary = run("--size", f"{WIDTH}x{HEIGHT}", "--seconds", "0.1")
    os.close(stdin)
    assert code == 0
    assert (summary["captured"], summary["frames"], summary["damage"]) == (1, 1, [])
