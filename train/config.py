"""A conf file, read and checked. The original program's conf files are read as they are."""

import contextlib
import dataclasses
import importlib.resources
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from livestyle.architecture import ARCHITECTURES
from livestyle.errors import StyleError, TrainingError
from livestyle.gallery import bundled_folder
from livestyle.style import check_name
from livestyle.train import drawn
from livestyle.train.loss_network import LOSS_MODELS, layer_names

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
    model_path: Path = Path("models")
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
WHOLE_NUMBERS = {  # key: the least
    "image_size": 32, "style_size": 32, "batch_size": 1, "epoch": 1, "steps": 1, "seed": 0, "extra_styles": 0,
}  # fmt: skip
WEIGHTS = ("content_weight", "tv_weight", "grid_weight", "overshoot_weight", "steady_weight", "extra_weight")
NUMBERS = dict.fromkeys(WEIGHTS, 0.0)
NUMBERS |= {"learning_rate": 1e-12, "rows_learning_rate": 1e-12, "zoom": 1.0, "seconds": 1.0}
PATHS = ("content", "loss_model_file", "model_path", "start")
STYLE_KEYS = ("style_image", "style_weight", "origin", "licence", "styles")  # become Config.styles


def read_config(path: Path, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read a conf file. Overrides have the same keys, and those that are None are left out.

    A relative path in the file is looked for from the conf folder's parent, where the original's users
    start it, then from the working folder; a relative path among the overrides from the working folder.
    A conf file that is not there is looked for by its name among the bundled ones.

    Raises TrainingError that names the key, the file that is missing, and how to get it.
    """
    path = _conf_file(path)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TrainingError(f"cannot read the conf file {path}: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise TrainingError(f"{path} is not a conf file: it has no keys")
    raw = {str(key): value for key, value in raw.items() if value is not None}
    raw.pop("checkpoint_exclude_scopes", None)  # the original's: our loss networks have no fully connected layers
    if _is_original(raw):
        raw = {"model": "full", "weighting": "absolute"} | raw
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    given |= {key: _from_here(given[key]) for key in PATHS if key in given}
    if "loss_model_file" in given and not given["loss_model_file"].exists():
        raise TrainingError(f"no loss network weights: {given['loss_model_file']} does not exist")
    entries = raw.get("styles")
    if "style_weight" in given and isinstance(entries, dict):  # else the entries' own would go before it
        raw["styles"] = {name: _without_weight(entry) for name, entry in entries.items()}
    return _build(raw | given, path)


def _without_weight(entry: Any) -> Any:
    return {key: value for key, value in entry.items() if key != "style_weight"} if isinstance(entry, dict) else entry


def _conf_file(path: Path) -> Path:
    """The file itself, or the bundled one of its name: demo, demo.yml and conf/demo.yml are the same."""
    name = path.name if path.suffix else f"{path.name}.yml"
    if path.is_file() or path.parent not in (Path(), Path("conf")):
        found = path
    else:
        found = Path(str(importlib.resources.files("livestyle.conf"))) / name
    if not found.is_file():
        bundled = sorted(file.name for file in Path(str(importlib.resources.files("livestyle.conf"))).glob("*.yml"))
        raise TrainingError(f"no conf file {path}; bundled are {', '.join(bundled)}")
    return found


def _is_original(raw: dict[str, Any]) -> bool:
    """The original names layers by TensorFlow scope, vgg_16/conv3/conv3_3; our own files have no slash there."""
    return any("/" in str(raw.get(key, "")) for key in ("content_layers", "style_layers"))


def _from_here(value: Any) -> Path:
    return Path(value) if drawn.is_drawn(value) else Path(value).expanduser().absolute()


def _build(raw: dict[str, Any], where: Path) -> Config:
    """Check every key and turn them into a Config."""
    base = where.resolve().parent.parent
    known = {field.name for field in dataclasses.fields(Config)} | set(STYLE_KEYS)
    if unknown := sorted(set(raw) - known):
        raise TrainingError(f"{where}: unknown key {unknown[0]!r}; known keys: {', '.join(sorted(known))}")
    for key, choices in CHOICES.items():
        if key in raw and raw[key] not in choices:
            raise TrainingError(f"{where}: {key}: {raw[key]!r} is none of {', '.join(choices)}")
    for key, least in WHOLE_NUMBERS.items():
        if key in raw and (type(raw[key]) is not int or raw[key] < least):
            raise TrainingError(f"{where}: {key}: expected a whole number, {least} or more, found {raw[key]!r}")
    naming = _safe_name(where, "naming", raw.get("naming", where.stem))
    values = {key: value for key, value in raw.items() if key not in STYLE_KEYS}
    values |= {key: _number(where, key, raw[key], least) for key, least in NUMBERS.items() if key in raw}
    values |= {key: _layers(where, key, raw) for key in ("content_layers", "style_layers") if key in raw}
    values["naming"] = naming
    values["styles"] = _styles(where, raw, naming, base)
    values["style_size"] = raw.get("style_size", raw.get("image_size", 256))
    values["model_path"] = Path(str(raw.get("model_path", "models"))).expanduser()
    advice = "name a folder of photos or a video with --content; ten photos will do"
    values["content"] = _found(where, "content", raw.get("content", "train2014"), base, advice)
    if "start" in raw:
        start = str(raw["start"]).replace("{model}", raw.get("model", Config.model))
        bundled = bundled_folder() / Path(start).name  # so that a copy of a bundled conf file works anywhere
        values["start"] = _found(where, "start", start, base, "name a style's or body's file", bundled)
    if values.get("finetune") == "rows" and "start" not in values:
        raise TrainingError(f"{where}: finetune: rows alone need a body; name its file as start")
    if "loss_model_file" in raw:  # if it is not there, torchvision's download may take its place
        values["loss_model_file"] = next(
            (place for place in _places(raw["loss_model_file"], base) if place.exists()), Path(str(raw["loss_model_file"]))
        )
    return Config(**values)


def _styles(where: Path, raw: dict[str, Any], naming: str, base: Path) -> dict[str, StyleSource]:
    """`style_image` and what belongs to it, or `styles`, {name: {picture, style_weight, origin, licence}}, or {name: picture}.

    A style_weight is a number, or one for each network, {lite: 3, full: 4}.
    """
    entries = raw.get("styles", {naming: {"picture": raw.get("style_image")}})
    if not isinstance(entries, dict) or not entries:
        raise TrainingError(f"{where}: styles: expected a line a style, `name: {{picture: painting.jpg, style_weight: 6}}`")
    styles = {}
    for name, entry in entries.items():
        entry = entry if isinstance(entry, dict) else {"picture": entry}
        if not entry.get("picture"):
            raise TrainingError(f"{where}: no picture for the style {name}; write `style_image: path/to/painting.jpg`")
        if unknown := sorted(set(entry) - {"picture", "style_weight", "origin", "licence"}):
            there = "picture, style_weight, origin, licence"
            raise TrainingError(f"{where}: styles: {name}: unknown key {unknown[0]!r}; there are {there}")
        weight = entry.get("style_weight", raw.get("style_weight", 6.0))
        if isinstance(weight, dict):
            weight = weight.get(raw.get("model", Config.model))
        origin = str(entry.get("origin", raw.get("origin", "")))
        advice = f"put a picture there{f' ({origin})' if origin else ''}, or name another as style_image"
        styles[_safe_name(where, "styles", name)] = StyleSource(
            picture=_found(where, f"style picture of {name}", entry["picture"], base, advice),
            weight=_number(where, "style_weight", weight, 0.0),
            origin=origin,
            licence=str(entry.get("licence", raw.get("licence", ""))),
        )
    return styles


def _places(value: Any, base: Path) -> list[Path]:
    path = Path(str(value)).expanduser()
    return [path] if path.is_absolute() else list(dict.fromkeys([base / path, Path.cwd() / path]))


def _found(where: Path, what: str, value: Any, base: Path, advice: str, *last: Path) -> Path:
    """The path where it exists: as `read_config` says, else the last places. Raises TrainingError, with the advice."""
    if drawn.is_drawn(value):
        return Path(str(value))
    places = _places(value, base)
    for place in [*places, *last]:
        if place.exists():
            return place
    raise TrainingError(f"{where}: {what}: there is no {' and no '.join(str(place) for place in places)}; {advice}")


def _safe_name(where: Path, key: str, value: Any) -> str:
    """The value, if a style can be called so."""
    try:
        check_name(str(value))
    except StyleError as error:
        raise TrainingError(f"{where}: {key}: {error}") from error
    return str(value)


def _number(where: Path, key: str, value: Any, least: float) -> float:
    if isinstance(value, str):  # YAML reads 1e-3, without a dot, as text
        with contextlib.suppress(ValueError):
            value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < 1e12:
        raise TrainingError(f"{where}: {key}: expected a number, {least:g} or more, found {value!r}")
    return float(value)


def _layers(where: Path, key: str, raw: dict[str, Any]) -> dict[str, float]:
    """A list of layers, or layer: weight. `vgg_16/conv3/conv3_3` is conv3_3 of whatever loss network is used."""
    value = raw[key]
    layers = value if isinstance(value, dict) else dict.fromkeys(value if isinstance(value, list) else [value], 1.0)
    known = layer_names(raw.get("loss_model", "own"))
    short = {str(name).rsplit("/", 1)[-1]: _number(where, key, weight, 0.0) for name, weight in layers.items()}
    for name in short:
        if name not in known:
            raise TrainingError(f"{where}: {key}: no layer {name!r}; there are {', '.join(known)}")
    if not short:
        raise TrainingError(f"{where}: {key}: at least one layer is needed")
    return short
