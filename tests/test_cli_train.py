"""livestyle train: from pictures without a conf file, and what it refuses."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

from livestyle.gallery import Gallery, bundled_folder
from livestyle.style import load_body, read_header
from livestyle.train import drawn

Run = Callable[..., Any]
FAST = ("--steps", "2", "--device", "cpu")


@pytest.fixture
def paintings(tmp_path: Path) -> Path:
    cv2.imwrite(str(tmp_path / "autumn leaves.v2.png"), drawn.stripes())
    cv2.imwrite(str(tmp_path / "tiles.png"), drawn.tiles())
    return tmp_path


@pytest.mark.parametrize("model", ["lite", "full"])
def test_a_picture_becomes_a_style_on_the_bundled_body(run: Run, paintings: Path, model: str) -> None:
    result = run("train", "tiles.png", "--name", "autumn", "--model", model, *FAST, "--quiet")
    assert (result.code, result.out) == (0, ""), result.err
    header = Gallery().models("autumn")[model]
    assert header.path == Path(f"models/autumn.{model}.safetensors")
    assert header.has_thumbnail
    (bundled,) = bundled_folder().glob(f"seven.{model}-body.safetensors")
    body, trained = (load_body(read_header(path)).parameters for path in (bundled, header.path))
    assert all(trained[name].tobytes() == body[name].tobytes() for name in body)
    assert run("image", "tiles.png", "-o", "painted.png", "--style", "autumn", "--quiet").code == 0
    assert run("image", "tiles.png", "-o", "blend.png", "--style", "autumn:.5,wave:.5", "--quiet").code == 0


def test_pictures_take_nothing_over_from_the_conf_file_s_own(run: Run, paintings: Path) -> None:
    words = ("-c", "wave", "--content", "drawn:scenes", "--model", "lite", "--loss-model", "random")
    result = run("train", "tiles.png", *words, *FAST, "--quiet")
    assert result.code == 0, result.err
    info = Gallery().models("tiles")["lite"].info
    assert (info["origin"], info["licence"]) == ("", "")


def test_several_pictures_become_a_style_each(run: Run, paintings: Path) -> None:
    result = run("train", "autumn leaves.v2.png", "tiles.png", *FAST)
    assert result.code == 0, result.err
    assert {"autumn leaves_v2", "tiles"} <= set(Gallery().names)
    again = run("train", "tiles.png", *FAST)
    assert again.code == 2
    assert "models/tiles.lite.safetensors exists" in again.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "name a picture to learn"),
        (("tiles.png", "autumn leaves.v2.png", "--name", "both"), "--name is for one picture"),
        (("tiles.png", "tiles.png"), "several pictures would be called tiles"),
        (("tiles.png", "--name", "a.b"), "cannot be a name"),
        (("missing.png",), "there is no"),
        (("one.png",), "is of one colour"),
        (("pixel.png",), "is too small, 1x1"),
        (("text.png",), "cannot read the style picture"),
        (("empty",), "is a folder; name the pictures in it"),
        (("tiles.png", "--content", "empty"), "no content pictures in"),
        (("tiles.png", "--preview", "window"), "no display to open a window on; use --preview file"),
    ],
)
def test_what_cannot_be_learned_is_said_in_a_line(run: Run, paintings: Path, words: tuple[str, ...], message: str) -> None:
    cv2.imwrite("one.png", drawn.tiles() * 0 + 90)
    cv2.imwrite("pixel.png", drawn.tiles()[:1, :1])
    Path("text.png").write_text("no picture")
    Path("empty").mkdir()
    result = run("train", *words, *FAST)
    assert result.code == 2
    assert message in result.err
    assert "Traceback" not in result.err
    assert not list(Path("models").glob("*.safetensors"))


def test_stopped_early_the_style_is_there(paintings: Path, interrupt: Callable[..., tuple[str, str]]) -> None:
    endless = ("--steps", "100000", "--seconds", "500", "--device", "cpu")
    command = [sys.executable, "-m", "livestyle", "train", "tiles.png", *endless]
    process = subprocess.Popen(command, cwd=paintings, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        _, errors = interrupt(process)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "the best so far is in models/tiles.lite.safetensors; go on with --resume" in errors
    assert read_header(paintings / "models/tiles.lite.safetensors").has_rows
