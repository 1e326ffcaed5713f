"""livestyle train: pictures without a conf file, and errors."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from livestyle.style_files.file_format import load_body, load_rows, read_header
from livestyle.style_files.gallery import Gallery, bundled_folder
from livestyle.stylizer import Stylizer
from livestyle.train.content import drawn

Run = Callable[..., Any]
FAST = ("--steps", "2", "--device", "cpu")


@pytest.fixture
def paintings(tmp_path: Path) -> Path:
    cv2.imwrite(str(tmp_path / "autumn leaves.v2.png"), drawn.stripes())
    cv2.imwrite(str(tmp_path / "tiles.png"), drawn.tiles())
    return tmp_path


@pytest.mark.parametrize("model", ["lite", "full"])
def test_style_from_a_picture_on_the_bundled_body(
    run: Run, paintings: Path, model: str, user_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run("train", "tiles.png", "--name", "autumn", "--model", model, *FAST, "--quiet")
    assert (result.code, result.out) == (0, ""), result.err
    (paintings / "elsewhere").mkdir()
    monkeypatch.chdir(paintings / "elsewhere")  # it is found from any folder
    header = Gallery().models("autumn")[model]
    assert header.path == user_data / f"autumn.{model}.safetensors"
    assert header.has_thumbnail
    (bundled,) = bundled_folder().glob(f"seven.{model}-body.safetensors")
    body, trained = (load_body(read_header(path)).parameters for path in (bundled, header.path))
    assert all(trained[name].tobytes() == body[name].tobytes() for name in body)
    monkeypatch.chdir(paintings)
    assert run("image", "tiles.png", "-o", "painted.png", "--style", "autumn", "--quiet").code == 0
    assert run("image", "tiles.png", "-o", "blend.png", "--style", "autumn:.5,wave:.5", "--quiet").code == 0


def test_origin_in_the_conf_file_does_not_apply_to_pictures_from_the_command_line(run: Run, paintings: Path) -> None:
    words = ("-c", "wave", "--content", "drawn:scenes", "--model", "lite", "--loss-model", "random")
    result = run("train", "tiles.png", *words, *FAST, "--quiet")
    assert result.code == 0, result.err
    info = Gallery().models("tiles")["lite"].info
    assert (info["origin"], info["licence"]) == ("", "")


def test_one_style_from_each_picture(run: Run, paintings: Path) -> None:
    result = run("train", "autumn leaves.v2.png", "tiles.png", *FAST)
    assert result.code == 0, result.err
    assert {"autumn leaves_v2", "tiles"} <= set(Gallery().names)
    again = run("train", "tiles.png", *FAST)
    assert again.code == 2
    assert "models/tiles.lite holds a run" in again.err or "tiles.lite.safetensors exists" in again.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "name a style picture"),
        (("tiles.png", "autumn leaves.v2.png", "--name", "both"), "--name is for one picture"),
        (("tiles.png", "tiles.png"), "several pictures would have the name tiles"),
        (("tiles.png", "--name", "a.b"), "--name: 'a.b' cannot be a name"),
        (("tiles.png", "--name", "a\x1bb"), "cannot be a name"),
        (("missing.png",), "there is no picture "),
        (("tiles.png", "--content", "nowhere"), "--content: there is no "),
        (("tiles.png", "--style-weight", "nan"), "--style-weight: expected a number"),
        (("tiles.png", "--model-path", "text.png"), "name another place with --model-path"),
        (("one.png",), "is of one colour"),
        (("pixel.png",), "is too small, 1x1"),
        (("text.png",), "cannot read the style picture"),
        (("empty",), "is a folder; name the pictures in it"),
        (("tiles.png", "--content", "empty"), "no content pictures in"),
        (("tiles.png", "--preview", "window"), "no display to open a window on; use --preview file"),
    ],
)
def test_invalid_arguments_are_refused_in_one_line(
    run: Run, paintings: Path, user_data: Path, words: tuple[str, ...], message: str
) -> None:
    cv2.imwrite("one.png", drawn.tiles() * 0 + 90)
    cv2.imwrite("pixel.png", drawn.tiles()[:1, :1])
    Path("text.png").write_text("no picture")
    Path("empty").mkdir()
    result = run("train", *words, *FAST)
    assert result.code == 2
    assert message in result.err
    assert "minute" not in result.err  # minute.yml was not named by the user
    assert "Traceback" not in result.err
    assert not list(user_data.glob("*.safetensors"))


def test_interrupted_training_writes_its_style(
    paintings: Path, user_data: Path, interrupt: Callable[..., tuple[str, str]]
) -> None:
    endless = ("--steps", "100000", "--seconds", "500", "--device", "cpu")
    command = [sys.executable, "-m", "livestyle", "train", "tiles.png", *endless]
    process = subprocess.Popen(command, cwd=paintings, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        _, errors = interrupt(process, signal.SIGTERM)  # as from systemd and `timeout`: also to the DataLoader's worker
    finally:
        process.kill()
    assert process.returncode == 130
    assert f"the best so far is in {user_data}/tiles.lite.safetensors; continue with --resume: " in errors
    assert "livestyle train tiles.png --steps 100000 --seconds 500 --device cpu --resume" in errors
    assert read_header(user_data / "tiles.lite.safetensors").has_rows


def test_training_that_reaches_the_time_limit_is_reported_as_unfinished(run: Run, paintings: Path, user_data: Path) -> None:
    words = ("train", "autumn leaves.v2.png", "--steps", "100000", "--seconds", "1", "--device", "cpu")
    result = run(*words, "-y")
    assert result.code == 0, result.err
    lines = result.err.splitlines()
    (steps,) = (line for line in lines if " of 100000 steps, " in line and "unfinished, time limit reached" in line)
    more = "livestyle train 'autumn leaves.v2.png' --steps 100000 --seconds 1 --device cpu --resume"
    assert lines[lines.index(steps) + 1] == f"continue with: {more}"
    assert lines[-1] == "try it: livestyle image photo.jpg --style 'autumn leaves_v2'"
    again = json.loads(run(*words, "--resume", "--json", "--quiet").out)
    assert (again["planned_steps"], again["finished"]) == (100000, False)
    assert again["steps"] > int(steps.split()[0])
    assert again["folder"] == str(user_data / "autumn leaves_v2.lite")


ORIGINAL = """
style_image: img/wave.jpg
naming: "wave"
model_path: models
content_weight: 1.0
style_weight: 220.0
image_size: 32
batch_size: 2
loss_model: "vgg_16"
content_layers: ["vgg_16/conv3/conv3_3"]
style_layers: ["vgg_16/conv1/conv1_2", "vgg_16/conv2/conv2_2"]
checkpoint_exclude_scopes: "vgg_16/fc"
loss_model_file: "pretrained/vgg_16.ckpt"
"""


def test_suggested_command_selects_the_new_style(run: Run, paintings: Path, user_data: Path) -> None:
    """The original program's conf file trains `full`; on a CPU, the name alone would select the bundled `lite`."""
    for folder in ("conf", "img", "train2014"):
        (paintings / folder).mkdir()
    cv2.imwrite("img/wave.jpg", drawn.tiles())
    cv2.imwrite("train2014/a.jpg", drawn.stripes())
    Path("conf/wave.yml").write_text(ORIGINAL)
    result = run("train", "-c", "conf/wave.yml", "--loss-model", "random", "--steps", "2", "--device", "cpu")
    assert result.code == 0, result.err
    *_, bundled, shadows, where, command = result.err.splitlines()
    assert bundled.startswith(f"wave exists for lite too ({bundled_folder()}/wave.lite.safetensors); --model full selects")
    assert shadows == f"wave: from models; other files of this name are in {bundled_folder()}"
    assert where == f"to use it by name in every folder, copy the files to {user_data}"
    assert command == "try it: livestyle image photo.jpg --style wave --model full"
    with Stylizer("wave", "full", "cpu") as stylizer:
        assert np.array_equal(stylizer.default_look.rows, load_rows(read_header(Path("models/wave.full.safetensors"))))
    Path("models/wave.full.safetensors").unlink()
    shutil.copy(bundled_folder() / "udnie.full.safetensors", "models/wave.full.safetensors")
    words = ("--model-path", "other models", "--loss-model", "random", "--steps", "2", "--device", "cpu")
    result = run("train", "-c", "conf/wave.yml", *words)
    assert "the name wave selects models/wave.full.safetensors (full); to use the new style, name its path" in result.err
    path = paintings / "other models/wave.full.safetensors"
    assert result.err.endswith(f"try it: livestyle image photo.jpg --style '{path}'\n")
