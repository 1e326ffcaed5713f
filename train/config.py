"""A conf file, read and checked. The original program's conf files are read as they are."""

import contextlib
import dataclasses
import difflib
import importlib.resources
import math
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from livestyle.errors import StyleError, TrainingError
from livestyle.networks import ARCHITECTURES
from livestyle.style_files.file_format import check_name
from livestyle.style_files.gallery import bundled_folder, user_folder
from livestyle.train.conf_file import Keys, read_conf_file
from livestyle.train.content import drawn
from livestyle.train.losses.loss_network import LOSS_MODELS, layer_names

LAYERS = ["conv1_2", "conv2_2", "conv3_3", "conv4_3"]


@dataclass(frozen=True)
class StyleSource:
    """What a style is learned from."""

    picture: Path
    weight: float  # how much its style loss counts beside the content loss
    origin: str = ""  # painter, title, where the picture comes from: written into the style file
    licence: str = ""  # what may be done with the picture: the same


@dataclass(frozen=True)
class Config:
    """One training run. The names of the original's keys are kept."""

    naming: str  # of the run's folder below model_path, naming.model, and of the body when there are several styles
    styles: dict[str, StyleSource]
    style_size: int  # short side of the style pictures, pixels
    content: Path
    start: Path | None = None  # a body's or style's file to start from; {model} stands for the network
    finetune: str = "all"  # what is trained: all, or the styles' rows alone, on a frozen body
    extra_styles: int = 0  # variations of the styles, textures, photos, learned in the first half: see train/variations.py
    extra_weight: float = 4.0  # their style weight
    model: str = "lite"
    model_path: Path = dataclasses.field(default_factory=user_folder)
    weighting: str = "relative"  # to the style's own Gram norm and the photo's variance; or "absolute", as in the original
    content_weight: float = 1.0
    tv_weight: float = 0.0
    grid_weight: float = 0.0
    overshoot_weight: float = 20.0  # of what lies beyond black and white: with less `full` paints black holes
    steady_weight: float = 0.0  # of the steady pass: see train/steady_pass.py
    image_size: int = 256  # side of the square crops, pixels
    batch_size: int = 4  # crops a step and process
    epoch: int = 2
    steps: int | None = None  # takes the place of epoch
    seconds: float = math.inf  # of training, at most: the learning rate falls with the time then
    least_share: float = 0.0  # of the steps: so many are made even if the seconds are up
    learning_rate: float = 1e-3
    rows_learning_rate: float | None = None  # of the styles' rows, if it is another
    learning_rate_decay: str = "none"  # or "cosine": falls to nothing at the last step
    zoom: float = 1.0  # the content's short side is image_size times 1 to zoom; more than 1 crops at random
    loss_model: str = "own"
    loss_model_file: Path | None = None
    content_layers: dict[str, float] = dataclasses.field(default_factory=lambda: {"conv3_3": 1.0})
    style_layers: dict[str, float] = dataclasses.field(default_factory=lambda: dict.fromkeys(LAYERS, 1.0))
    precision: str = "auto"  # bf16 where the device computes in it, else fp32
    seed: int = 0


CHOICES = {
    "model": tuple(ARCHITECTURES),
    "weighting": ("relative", "absolute"),
    "learning_rate_decay": ("none", "cosine"),
    "precision": ("auto", "fp32", "bf16"),
    "loss_model": LOSS_MODELS,
    "finetune": ("all", "rows"),
}
WHOLE_NUMBERS = {  # key: the least and the most
    "image_size": (32, 4096), "style_size": (32, 4096), "batch_size": (1, 1024), "epoch": (1, 10**6), "steps": (1, 10**8),
    "seed": (0, 2**62), "extra_styles": (0, 2000),
}  # fmt: skip
WEIGHTS = ("content_weight", "tv_weight", "grid_weight", "overshoot_weight", "steady_weight", "extra_weight")
NUMBERS = dict.fromkeys(WEIGHTS, (0.0, 1e12))
NUMBERS |= dict.fromkeys(("learning_rate", "rows_learning_rate"), (1e-12, 1e12))
NUMBERS |= {"zoom": (1.0, 16.0), "seconds": (1.0, 1e12), "least_share": (0.0, 1.0)}
PATHS = ("content", "loss_model_file", "model_path", "start")
STYLE_KEYS = ("style_image", "style_weight", "origin", "licence", "styles")  # become Config.styles
OPTIONS = {"naming": "--name"}  # on the command line; the others are called as their keys are
MAX_NAME_BYTES = 180  # the suffixes and a temporary name's letters fit into the 255 of a file's name
CONTENT_ADVICE = "name a folder of photos or a video with --content; ten photos will do"


@dataclass(frozen=True)
class _Written:
    """Where each key was written, for the errors: in a line of a conf file, or on the command line."""

    file: Path
    """As a person named it."""
    lines: Mapping[Keys, int]
    typed: Collection[str]
    is_bundled: bool

    def at(self, *keys: str) -> str:
        """`conf/wave.yml, line 12: steps`, or `--steps`."""
        if keys[0] in self.typed:
            return OPTIONS.get(keys[0], f"--{keys[0].replace('_', '-')}")
        line = next((self.lines[keys[:end]] for end in range(len(keys), 0, -1) if keys[:end] in self.lines), None)
        place = self.file if line is None or self.is_bundled else f"{self.file}, line {line}"
        return f"{place}: {': '.join(keys)}"


def read_config(path: Path, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read a conf file. Overrides have the same keys, and those that are None are left out.

    A relative path in the file is looked for from the conf folder's parent, where the original's users
    start it, then from the working folder; a relative path among the overrides from the working folder.
    A conf file that is not there is looked for by its name among the bundled ones.

    Raises TrainingError that names the line and the key, or the option, the file that is missing, and how to get it.
    """
    found = _conf_file(path)
    conf = read_conf_file(found)
    raw = {key: value for key, value in conf.values.items() if value is not None}
    raw.pop("checkpoint_exclude_scopes", None)  # the original's: our loss networks have no fully connected layers
    if _is_original(raw):
        raw = {"model": "full", "weighting": "absolute"} | raw
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    given |= {key: _from_here(given[key]) for key in PATHS if key in given}
    written = _Written(path, conf.lines, given.keys(), is_bundled=found.parent == _bundled_confs())
    if "loss_model_file" in given and not _exists(given["loss_model_file"]):
        raise TrainingError(f"no loss network weights: {given['loss_model_file']} does not exist")
    if "seconds" in given:  # who says how long means it
        given = {"least_share": 0.0} | given
    entries = raw.get("styles")
    if "style_weight" in given and isinstance(entries, dict):  # else the entries' own would go before it
        raw["styles"] = {name: _without_weight(entry) for name, entry in entries.items()}
    return _build(raw | given, written, Path.cwd() if written.is_bundled else found.resolve().parent.parent)


def _without_weight(entry: Any) -> Any:
    return {key: value for key, value in entry.items() if key != "style_weight"} if isinstance(entry, dict) else entry


def _bundled_confs() -> Path:
    return Path(str(importlib.resources.files("livestyle.conf")))


def _conf_file(path: Path) -> Path:
    """The file itself, or the bundled one of its name: demo, demo.yml and conf/demo.yml are the same."""
    name = path.name if path.suffix else f"{path.name}.yml"
    by_name = path.parent in (Path(), Path("conf")) and not _exists(path)
    found = _bundled_confs() / name if by_name else path
    if _exists(found):
        return found
    if os.path.lexists(path):  # to nowhere, or to itself
        raise TrainingError(f"{path} is a link that leads to no file; name a conf file")
    bundled = sorted(file.name for file in _bundled_confs().glob("*.yml"))
    raise TrainingError(f"no conf file {path}; bundled are {', '.join(bundled)}")


def _is_original(raw: dict[str, Any]) -> bool:
    """The original names layers by TensorFlow scope, vgg_16/conv3/conv3_3; our own files have no slash there."""
    return any("/" in str(raw.get(key, "")) for key in ("content_layers", "style_layers"))


def _from_here(value: Any) -> Path:
    return Path(value) if drawn.is_drawn(value) else _expanded(value).absolute()


def _build(raw: dict[str, Any], written: _Written, base: Path) -> Config:
    """Check every key and turn them into a Config. base: the folder that relative paths are looked for from first."""
    known = {field.name for field in dataclasses.fields(Config)} | set(STYLE_KEYS)
    for key in (key for key in raw if key not in known):
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.7)
        advice = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(sorted(known))}"
        raise TrainingError(f"{written.at(key)}: unknown key {key!r:.60}; {advice}")
    for key, choices in CHOICES.items():
        if key in raw and raw[key] not in choices:
            raise TrainingError(f"{written.at(key)}: {raw[key]!r:.60} is none of {', '.join(choices)}")
    for key, (least, most) in WHOLE_NUMBERS.items():
        if key in raw and (type(raw[key]) is not int or not least <= raw[key] <= most):
            raise TrainingError(f"{written.at(key)}: expected a whole number, {least} or more, {_found_words(raw[key], most)}")
    naming = _safe_name(written, raw.get("naming", written.file.stem), "naming")
    values = {key: value for key, value in raw.items() if key not in STYLE_KEYS}
    values |= {key: _number(written, raw[key], bounds, key) for key, bounds in NUMBERS.items() if key in raw}
    values |= {key: _layers(written, key, raw) for key in ("content_layers", "style_layers") if key in raw}
    values["naming"] = naming
    values["styles"] = _styles(written, raw, naming, base)
    values["style_size"] = raw.get("style_size", raw.get("image_size", 256))
    if "model_path" in raw:
        values["model_path"] = _path(written, raw["model_path"], "model_path")
    values["content"] = _existing(written, raw.get("content", "train2014"), base, CONTENT_ADVICE, "content")
    if "start" in raw:
        start = str(_path(written, raw["start"], "start")).replace("{model}", raw.get("model", Config.model))
        first = bundled_folder().parent if written.is_bundled else base
        bundled = bundled_folder() / Path(start).name  # so that a copy of a bundled conf file works anywhere
        values["start"] = _existing(written, start, first, "name a style's or body's file", "start", last=bundled)
    if values.get("finetune") == "rows" and "start" not in values:
        raise TrainingError(f"{written.at('finetune')}: rows alone need a body; name its file as start in the conf file")
    if "loss_model_file" in raw:  # if it is not there, torchvision's download may take its place
        file = _path(written, raw["loss_model_file"], "loss_model_file")
        values["loss_model_file"] = next((place for place in _places(file, base) if _exists(place)), file)
    return Config(**values)


def _styles(written: _Written, raw: dict[str, Any], naming: str, base: Path) -> dict[str, StyleSource]:
    """`style_image` and what belongs to it, or `styles`, {name: {picture, style_weight, origin, licence}}, or {name: picture}.

    A style_weight is a number, or one for each network, {lite: 3, full: 4}.
    """
    if "styles" not in raw:
        keys: Keys = ("style_image",)
        entries: Any = {naming: {"picture": raw.get("style_image")}}
    else:
        keys, entries = ("styles",), raw["styles"]
    if not isinstance(entries, dict) or not entries:
        example = "`name: {picture: painting.jpg, style_weight: 6}`"
        raise TrainingError(f"{written.at('styles')}: expected a line for each style, {example}")
    styles = {}
    for name, entry in entries.items():
        entry = entry if isinstance(entry, dict) else {"picture": entry}
        place = (*keys, name) if keys == ("styles",) else keys
        if entry.get("picture") in (None, ""):
            example = "`style_image: path/to/painting.jpg`"
            raise TrainingError(f"{written.at(*place)}: no picture for the style {name}; write {example}")
        if unknown := sorted(set(entry) - {"picture", "style_weight", "origin", "licence"}):
            there = "picture, style_weight, origin, licence"
            raise TrainingError(f"{written.at(*place, unknown[0])}: unknown key {unknown[0]!r:.60}; there are {there}")
        weight = entry.get("style_weight", raw.get("style_weight", 6.0))
        if isinstance(weight, dict):
            weight = weight.get(raw.get("model", Config.model))
        weight_place = (*place, "style_weight") if "style_weight" in entry else ("style_weight",)
        origin = _text(written, entry.get("origin", raw.get("origin", "")), "origin")
        what = f"a picture there ({origin})" if origin else "a picture there"
        advice = f"put {what}, or name yours: livestyle train PICTURE -c {written.file}"
        styles[_safe_name(written, name, *place)] = StyleSource(
            picture=_existing(written, entry["picture"], base, advice, *place),
            weight=_number(written, weight, (0.0, 1e12), *weight_place),
            origin=origin,
            licence=_text(written, entry.get("licence", raw.get("licence", "")), "licence"),
        )
    return styles


def _exists(path: Path) -> bool:
    """Whether it is there and may be reached; Path.exists raises for names that are too long and folders that are closed."""
    return os.path.exists(path)  # noqa: PTH110


def _expanded(path: str) -> Path:
    """With the user's folder for a ~; Path.expanduser raises where there is no such user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111


def _places(path: Path, base: Path) -> list[Path]:
    return [path] if path.is_absolute() else list(dict.fromkeys([base / path, Path.cwd() / path]))


def _existing(written: _Written, value: Any, base: Path, advice: str, *keys: str, last: Path | None = None) -> Path:
    """The path where it exists: as `read_config` says, else the last place. Raises TrainingError, with the advice."""
    if drawn.is_drawn(value):
        return Path(str(value))
    path = _path(written, value, *keys)
    places = _places(path, base)
    for place in [*places, *([] if last is None else [last])]:
        if _exists(place):
            return place
    if keys[0] == "styles" and "styles" in written.typed:  # a picture that was typed
        raise TrainingError(f"there is no picture {path}")
    raise TrainingError(f"{written.at(*keys)}: there is no {' and no '.join(str(place) for place in places)}; {advice}")


def _path(written: _Written, value: Any, *keys: str) -> Path:
    if not isinstance(value, str | int | Path) or isinstance(value, bool) or value == "":
        raise TrainingError(f"{written.at(*keys)}: expected a path, found {value!r:.60}")
    return _expanded(str(value))


def _text(written: _Written, value: Any, *keys: str) -> str:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise TrainingError(f"{written.at(*keys)}: expected text, found {value!r:.60}; put it in quotes")
    return str(value)


def _safe_name(written: _Written, value: Any, *keys: str) -> str:
    """The value, if a style can be called so."""
    name = _text(written, value, *keys)
    try:
        check_name(name)
    except StyleError as error:
        raise TrainingError(f"{written.at(*keys)}: {error}") from error
    if len(os.fsencode(name)) > MAX_NAME_BYTES:
        raise TrainingError(f"{written.at(*keys)}: {name!r:.60} is too long for a file's name; shorten it with --name")
    return name


def _number(written: _Written, value: Any, bounds: tuple[float, float], *keys: str) -> float:
    least, most = bounds
    if isinstance(value, str):  # YAML reads 1e-3, without a dot, as text
        with contextlib.suppress(ValueError):
            value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise TrainingError(f"{written.at(*keys)}: expected a number, {least:g} or more, {_found_words(value, most)}")
    return float(value)


def _found_words(value: Any, most: float) -> str:
    limit = f"at most {most:g}, " if isinstance(value, int | float) and value > most else ""
    return f"{limit}found {value!r:.60}"


def _layers(written: _Written, key: str, raw: dict[str, Any]) -> dict[str, float]:
    """A list of layers, or layer: weight. `vgg_16/conv3/conv3_3` is conv3_3 of whatever loss network is used."""
    value = raw[key]
    entries = value if isinstance(value, dict | list) else [value]
    known = layer_names(raw.get("loss_model", "own"))
    layers: dict[str, float] = {}
    for number, entry in enumerate(entries):
        place = (key, entry if isinstance(entries, dict) else str(number))
        name = _text(written, entry, *place).rsplit("/", 1)[-1]
        if name not in known:
            raise TrainingError(f"{written.at(key)}: no layer {name!r:.60}; there are {', '.join(known)}")
        layers[name] = _number(written, entries[entry], (0.0, 1e12), *place) if isinstance(entries, dict) else 1.0
    if not layers:
        raise TrainingError(f"{written.at(key)}: at least one layer is needed")
    return layers
