"""Conf files: those of the original program and of livestyle, and the error messages for invalid ones."""

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from livestyle.errors import TrainingError
from livestyle.style_files.gallery import bundled_folder, user_folder
from livestyle.train.config import read_config

ORIGINAL = """
## Basic configuration
style_image: img/wave.jpg # 输入原始风格图像的文件名
naming: "wave"
model_path: models
content_weight: 1.0
style_weight: 220.0
tv_weight: 0.0
image_size: 256
batch_size: 4
epoch: 2
loss_model: "vgg_16"
content_layers:
  - "vgg_16/conv3/conv3_3"
style_layers:
  - "vgg_16/conv1/conv1_2"
  - "vgg_16/conv2/conv2_2"
  - "vgg_16/conv3/conv3_3"
  - "vgg_16/conv4/conv4_3"
checkpoint_exclude_scopes: "vgg_16/fc"
loss_model_file: "pretrained/vgg_16.ckpt"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder of the original program: conf/, img/ and train2014/."""
    for folder in ("conf", "img", "train2014"):
        (tmp_path / folder).mkdir()
    cv2.imwrite(str(tmp_path / "img/wave.jpg"), np.full((40, 60, 3), 128, np.uint8))
    (tmp_path / "conf/wave.yml").write_text(ORIGINAL, encoding="utf-8")
    return tmp_path


def write(project: Path, **keys: Any) -> Path:
    """Write a minimal conf file, with these keys added or replaced."""
    path = project / "conf/mine.yml"
    path.write_text(yaml.safe_dump({"style_image": "img/wave.jpg"} | keys), encoding="utf-8")
    return path


def test_original_conf_is_read_unchanged_from_any_folder(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    config = read_config(project / "conf/wave.yml")
    assert (config.naming, config.model, config.weighting) == ("wave", "full", "absolute")
    assert (config.content_weight, config.tv_weight, config.learning_rate, config.zoom) == (1, 0, 1e-3, 1)
    assert (config.image_size, config.style_size, config.batch_size, config.epoch, config.steps) == (256, 256, 4, 2, None)
    assert config.styles["wave"].picture == project / "img/wave.jpg"
    assert config.styles["wave"].weight == 220
    assert config.content == project / "train2014"
    assert config.model_path == Path("models")
    assert config.loss_model == "vgg_16"
    assert config.loss_model_file == Path("pretrained/vgg_16.ckpt")
    assert config.content_layers == {"conv3_3": 1}
    assert config.style_layers == {"conv1_2": 1, "conv2_2": 1, "conv3_3": 1, "conv4_3": 1}


def test_overrides_replace_keys(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "here/photos").mkdir(parents=True)
    (project / "photos").mkdir()  # also beside the conf folder; overrides are relative to the working directory
    (project / "here/vgg.safetensors").touch()
    monkeypatch.chdir(project / "here")
    overrides = {"content": "photos", "loss_model": "vgg_19", "loss_model_file": "vgg.safetensors", "steps": 7, "model": None}
    config = read_config(project / "conf/wave.yml", overrides)
    assert config.content == project / "here/photos"
    assert config.loss_model == "vgg_19"
    assert config.loss_model_file == project / "here/vgg.safetensors"
    assert config.steps == 7
    assert config.model == "full"
    assert config.style_layers.keys() == {"conv1_2", "conv2_2", "conv3_3", "conv4_3"}


def test_our_conf_files_default_to_relative_weighting_and_lite(project: Path) -> None:
    config = read_config(write(project, style_layers={"conv1_2": 1, "conv4_3": 1.5}, learning_rate="3e-3", origin="Hokusai"))
    assert (config.naming, config.model, config.weighting) == ("mine", "lite", "relative")
    assert config.style_layers == {"conv1_2": 1, "conv4_3": 1.5}
    assert config.learning_rate == 0.003  # YAML parses 3e-3 as text
    assert config.styles["mine"].origin == "Hokusai"


def test_several_styles(project: Path) -> None:
    entries = {"a": "img/wave.jpg", "b": {"picture": "img/wave.jpg", "style_weight": 9, "origin": "x"}}
    config = read_config(write(project, styles=entries, style_weight=5))
    assert [(name, style.weight, style.origin) for name, style in config.styles.items()] == [("a", 5, ""), ("b", 9, "x")]
    weighed = read_config(write(project, styles=entries, style_weight=5), {"style_weight": 7.0}).styles
    assert [(source.weight, source.origin) for source in weighed.values()] == [(7, ""), (7, "x")]


def test_style_weight_may_depend_on_the_network(project: Path) -> None:
    path = write(project, styles={"a": {"picture": "img/wave.jpg", "style_weight": {"lite": 3, "full": 4.5}}})
    assert [read_config(path, {"model": model}).styles["a"].weight for model in ("lite", "full")] == [3, 4.5]
    assert read_config(path).styles["a"].weight == 3
    with pytest.raises(TrainingError, match="style_weight: expected a number, 0 or more, found None"):
        read_config(write(project, styles={"a": {"picture": "img/wave.jpg", "style_weight": {"full": 4}}}))


def test_licence_applies_to_all_styles_or_to_one(project: Path) -> None:
    entries = {"a": "img/wave.jpg", "b": {"picture": "img/wave.jpg", "licence": "CC0"}}
    config = read_config(write(project, style_image=None, styles=entries, licence="public domain", content="train2014"))
    assert {name: source.licence for name, source in config.styles.items()} == {"a": "public domain", "b": "CC0"}
    assert read_config(project / "conf/wave.yml").styles["wave"].licence == ""


def test_bundled_conf_is_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("demo", "demo.yml", "conf/demo.yml"):
        assert read_config(Path(name)).naming == "demo"


@pytest.mark.parametrize("name", ["wave", "cubist", "denoised_starry", "feathers", "mosaic", "scream", "udnie", "seven"])
def test_bundled_confs_name_the_missing_picture(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    picture = "wave" if name == "seven" else name
    with pytest.raises(TrainingError, match=f"there is no .*img/{picture}.jpg; put a picture there"):
        read_config(Path(name))
    (tmp_path / "img").mkdir()
    (tmp_path / "train2014").mkdir()
    (tmp_path / "style_pictures").mkdir()
    for style in ("wave", "cubist", "denoised_starry", "feathers", "mosaic", "scream", "udnie"):
        (tmp_path / f"img/{style}.jpg").touch()
    assert read_config(Path(name)).naming == name


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"style_image": None}, "no picture for the style mine; write `style_image:"),
        ({"style_image": "img/none.jpg"}, r"no .*img/none\.jpg and no .*img/none\.jpg; put a picture there"),
        ({"content": "none"}, "content: there is no .*none; name a folder of photos or a video with --content"),
        ({"styles": ["a"]}, "line 3: styles: expected a line for each style"),
        ({"styles": {"a": {"picture": "img/wave.jpg", "wieght": 1}}}, "unknown key 'wieght'"),
        ({"image_sise": 256}, r"conf/mine\.yml, line 2: image_sise: unknown key 'image_sise'; did you mean image_size"),
        ({"colour": 1}, "unknown key 'colour'; known keys: batch_size"),
        ({"extra_styles": 63}, r"conf/mine\.yml, line 2: extra_styles: replaced by style_pictures, a folder of paintings"),
        ({"style_pictures": "none"}, "style_pictures: there is no .*none; name a folder of a hundred or more paintings"),
        ({"style_pictures": 3.5}, "style_pictures: expected a path, found 3.5"),
        ({"predictor_learning_rate": 0}, "predictor_learning_rate: expected a number"),
        ({"image_size": 16}, "image_size: expected a whole number, 32 or more, found 16"),
        ({"steps": 0}, "steps: expected a whole number, 1 or more, found 0"),
        ({"batch_size": 1.5}, "batch_size: expected a whole number"),
        ({"seed": True}, "seed: expected a whole number"),
        ({"content_weight": -1}, "content_weight: expected a number, 0 or more, found -1"),
        ({"style_weight": "much"}, "style_weight: expected a number, 0 or more, found 'much'"),
        ({"tv_weight": float("nan")}, "tv_weight: expected a number"),
        ({"zoom": 0.5}, "zoom: expected a number, 1 or more"),
        ({"model": "fast"}, "model: 'fast' is not one of full, lite"),
        ({"loss_model": "inception"}, "loss_model: 'inception' is not one of own, vgg_16"),
        ({"style_layers": ["conv9_9"]}, "style_layers: no layer 'conv9_9'; choose from conv1_1"),
        ({"loss_model": "vgg_16", "style_layers": ["conv3_4"]}, "no layer 'conv3_4'"),  # vgg_16 has three layers there
        ({"content_layers": []}, "content_layers: at least one layer"),
        ({"naming": "a.b"}, "naming: 'a.b' cannot be a name"),
        ({"naming": "a:b"}, "cannot be a name"),
        ({"naming": "a,b"}, "cannot be a name"),
        ({"naming": "../a"}, "cannot be a name"),
        ({"naming": "-a"}, "cannot be a name"),
        ({"naming": ""}, "cannot be a name"),
        ({"styles": {"a/b": "img/wave.jpg"}}, "styles: a/b: 'a/b' cannot be a name"),
        ({"steps": 10**9}, "steps: expected a whole number, 1 or more, at most 1e\\+08, found 1000000000"),
        ({"image_size": 10**99}, "at most 4096, found 1000"),
        ({"zoom": 1e9}, "zoom: expected a number, 1 or more, at most 16, found"),
        ({"seconds": float("inf")}, "seconds: expected a number, 1 or more, at most 1e\\+12, found inf"),
        ({"naming": ["a"]}, "naming: expected text, found"),
        ({"naming": True}, "naming: expected text, found True; put it in quotes"),
        ({"naming": "a\u202eb"}, "cannot be a name"),
        ({"naming": "神" * 99}, "is too long for a file name"),
        ({"origin": {"a": "b"}}, "origin: expected text"),
        ({"style_image": ["img/wave.jpg"]}, "style_image: expected a path"),
        ({"styles": {"a": ["img/wave.jpg"]}}, "styles: a: expected a path"),
        ({"styles": {"a": {"picture": {"b": 1}}}}, "styles: a: expected a path"),
        ({"styles": {"a": {"picture": "img/wave.jpg", "style_weight": [1]}}}, "styles: a: style_weight: expected a number"),
        ({"content": ["train2014"]}, "content: expected a path"),
        ({"content": "x" * 5000}, "content: there is no .*x; name a folder"),
        ({"content": "~no such person/photos"}, "content: there is no .*~no such person"),
        ({"model_path": {"a": "b"}}, "model_path: expected a path"),
        ({"start": ["a"]}, "start: expected a path"),
        ({"loss_model_file": {}}, "loss_model_file: expected a path"),
        ({"model": ["lite"]}, r"model: \['lite'\] is not one of full, lite"),
        ({"style_layers": [["conv1_2"]]}, "line 4: style_layers: 0: expected text"),
        ({"style_layers": {"conv1_2": "much"}}, "style_layers: conv1_2: expected a number"),
        ({"style_layers": 3.5}, "no layer '3.5'"),
    ],
)
def test_error_message_is_one_line_with_the_key(project: Path, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message) as caught:
        read_config(write(project, **keys) if "content" in keys else write(project, **{"content": "train2014"} | keys))
    assert "\n" not in str(caught.value)


def test_names_may_contain_spaces_and_chinese_characters(project: Path) -> None:
    assert read_config(write(project, naming="神奈川 wave", content="train2014")).naming == "神奈川 wave"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [", "line 1: not YAML: expected the node content"),
        (b"a: 1\nb:\n\tc: 1", "line 3: not YAML: found character"),
        (b"a: 1\n\xff\xfe\x00", "line 2: not UTF-8; save the file as UTF-8"),
        (b"a: 1\nb: \0", r"line 2: the character U\+0000 is not text"),
        (b'a: "\\0"', r"line 1: the character U\+0000 cannot be part of a value"),
        (b'a: "\\ud800"', r"U\+D800 cannot be part of a value"),
        (b'a: "\\UFFFFFFFF"', "line 1: not YAML"),
        (b"%YAML 1." + b"9" * 5000 + b"\n---\na: 1", "line 1: not YAML"),
        (b"text", "is not a conf file"),
        (b"[a, b]", "is not a conf file"),
        (b"", "is not a conf file"),
        (b"# nothing\n", "is not a conf file"),
        (b"steps: 1\n---\nsteps: 2", "line 2: a second document begins"),
        (b"steps: 1\nepoch: 2\nsteps: 3", "line 3: 'steps' is a duplicate key, first in line 1"),
        (b"steps: 1\nstyles:\n  <<: {a: b}", r"line 3: merge keys \(<<\) are not supported"),
        (b"steps: &a 1\n", r"line 1: anchors \(&\) and aliases \(\*\) are not supported"),
        (b"styles: {*a : b}", "line 1: anchors"),
        (b"steps: 1\nnaming: *a\n", "line 2: anchors"),
        (b"steps: !!int abc", "line 1: the tag '!!int' is not supported"),
        (b"naming: !!binary ab=", "the tag '!!binary' is not supported"),
        (b"styles: !!set {a, b}", "the tag '!!set' is not supported"),
        (b"naming: !!timestamp 2024-13-45", "the tag '!!timestamp' is not supported"),
        (b"a: !!python/object/apply:os.system [x]", "the tag .* is not supported"),
        (b"steps: " + b"9" * 5000, "line 1: '9999.* is not a valid number"),
        (b"steps: 0x_", "is not a valid number"),
        (b"steps: 1" + b":59" * 9000, "is not a valid number"),
        (b"? [a, b]\n: 1", "line 1: a key has to be text"),
        (b"{{a: b}: c}", "line 1: a key has to be text"),
        (b"a: " + b"[" * 100_000, "line 1: nested deeper than 8"),
        (b"a: " + b"{a: " * 5_000, "line 1: nested deeper than 8"),
        (b"- " * 5_000, "nested deeper than 8"),
        (b"a: 1\n" + b"#" * 200_000, "is larger than 128 KiB"),
    ],
)
def test_files_that_are_not_conf_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.yml"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=message) as caught:
        read_config(path)
    assert "\n" not in str(caught.value)


BOMBS = [
    "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefghijklmn", "bcdefghijklmno", strict=True)),
    "styles: &a {b: *a}",
    "styles: &a [*a]",
    "style_layers: {&k conv1_2: 1, b: *k}",
    "a: &x {b: 1}\nc: {<<: [*x, *x]}",
]


@pytest.mark.parametrize("text", BOMBS)
def test_aliases_are_refused_before_anything_is_built(tmp_path: Path, text: str) -> None:
    (tmp_path / "bomb.yml").write_text(text)
    with pytest.raises(TrainingError, match=r"bomb\.yml, line 1: anchors \(&\) and aliases"):
        read_config(tmp_path / "bomb.yml")


def test_dates_are_kept_as_text(project: Path) -> None:
    path = project / "conf/mine.yml"
    path.write_text("style_image: img/wave.jpg\nnaming: 2024-13-45\norigin: 1831-02-30\nlicence: =\n", encoding="utf-8-sig")
    config = read_config(path)
    assert (config.naming, config.styles["2024-13-45"].origin, config.styles["2024-13-45"].licence) == (
        "2024-13-45",
        "1831-02-30",
        "=",
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this platform")
def test_pipes_folders_and_broken_links_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yml")
    (tmp_path / "loop.yml").symlink_to(tmp_path / "loop.yml")
    (tmp_path / "folder.yml").mkdir()
    for name, message in (("pipe", "is not a file; name"), ("folder", "is not a file; name"), ("loop", "is a broken link")):
        with pytest.raises(TrainingError, match=f"{name}.yml {message}"):
            read_config(tmp_path / f"{name}.yml")
    for word in ("x" * 300, "a\0b", "~no such person"):
        with pytest.raises(TrainingError, match="no conf file"):
            read_config(tmp_path / word)


def test_errors_in_overrides_name_the_option(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"naming": "a.b"}, r"^--name: 'a.b' cannot be a name"),
        ({"content": "none"}, r"^--content: there is no /.*/none; name a folder"),
        ({"style_weight": float("nan")}, "^--style-weight: expected a number, 0 or more, found nan"),
        ({"steps": 10**12}, "^--steps: expected a whole number, 1 or more, at most"),
        ({"loss_model": "vgg"}, "^--loss-model: 'vgg' is not one of own"),
        ({"finetune": "rows"}, "^--finetune: to train rows only, name a body"),
        ({"finetune": "predictor"}, "^--finetune: to train predictor only, name a body"),
        ({"style_pictures": "none"}, "^--style-pictures: there is no /.*/none; name a folder"),
        ({"styles": {"a": {"picture": "/none.jpg"}}}, "^there is no picture /none.jpg$"),
    ]
    for overrides, message in cases:
        with pytest.raises(TrainingError, match=message):
            read_config(Path("conf/wave.yml"), overrides)


def test_model_path_defaults_to_the_user_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_config(write(project, content="train2014")).model_path == user_folder()
    monkeypatch.chdir(project)
    assert read_config(project / "conf/wave.yml").model_path == Path("models")  # from the original's conf file
    assert read_config(project / "conf/wave.yml", {"model_path": "here"}).model_path == project / "here"


def test_missing_conf_file_names_the_bundled_ones(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no conf file .*none\.yml; bundled are .*wave\.yml"):
        read_config(tmp_path / "none.yml")


def test_missing_weights_file_of_an_override_is_an_error(project: Path) -> None:
    with pytest.raises(TrainingError, match=r"no loss network weights: .*none\.safetensors does not exist"):
        read_config(project / "conf/wave.yml", {"loss_model_file": "none.safetensors"})


def test_copy_of_minute_yml_finds_the_bundled_body(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yml").write_text((Path(__file__).parents[2] / "conf/minute.yml").read_text())
    for model in ("lite", "full"):
        config = read_config(Path("mine.yml"), {"styles": {"autumn": "drawn:tiles"}, "model": model})
        assert config.start is not None
        assert config.start.samefile(bundled_folder() / f"seven.{model}-body.safetensors")
    with pytest.raises(TrainingError, match=r"start: there is no .*other\.safetensors"):
        read_config(Path("mine.yml"), {"styles": {"autumn": "drawn:tiles"}, "start": "other.safetensors"})


def test_predictor_conf_needs_no_styles_but_style_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TrainingError, match=r"style_pictures: there is no .*; name a folder of a hundred or more paintings with"):
        read_config(Path("predictor"), {"content": "drawn:world"})
    config = read_config(Path("predictor"), {"content": "drawn:world", "style_pictures": ".", "model": "full"})
    assert (config.styles, config.finetune, config.style_pictures) == ({}, "predictor", tmp_path)
    assert config.start is not None
    assert config.start.name == "seven.full-body.safetensors"
    (tmp_path / "mine.yml").write_text("content: drawn:world\nstart: seven.lite-body.safetensors\nfinetune: predictor\n")
    with pytest.raises(TrainingError, match=r"mine\.yml, line 3: finetune: to train a predictor, name a folder of a hundred"):
        read_config(Path("mine.yml"))
    with pytest.raises(TrainingError, match=r"^--style-pictures: trains a predictor, and finetune: rows does not"):
        read_config(Path("minute"), {"styles": {"a": "drawn:tiles"}, "style_pictures": "."})


def test_training_rows_only_needs_a_start(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text("styles: {a: drawn:tiles}\ncontent: drawn:scenes\nfinetune: rows\n")
    with pytest.raises(TrainingError, match="to train rows only, name a body's file as start"):
        read_config(tmp_path / "mine.yml")
