"""Read and validate conf files. Conf files of the original TensorFlow program work unchanged."""

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

from livestyle.conf_file import Keys, read_conf_file
from livestyle.errors import StyleError, TrainingError
from livestyle.networks import ARCHITECTURES
from livestyle.style_files.file_format import check_name
from livestyle.style_files.gallery import bundled_folder, user_folder
from livestyle.train.content import drawn
from livestyle.train.losses.loss_network import LOSS_MODELS, layer_names

ORIGINAL_MODEL = "full"  # the network of the original TensorFlow program
DEFAULT_STYLE_LAYERS = ["conv1_2", "conv2_2", "conv3_3", "conv4_3"]


@dataclass(frozen=True)
class StyleSource:
    """The picture that a style is learned from, with its weight in the loss, origin and licence."""

    picture: Path
    """The path of the picture, or a name from drawn.py."""
    weight: float
    """The weight of the style loss, relative to content_weight."""
    origin: str = ""
    """The painter, title and source of the picture. Written into the style file."""
    licence: str = ""
    """The licence of the picture. Written into the style file."""


@dataclass(frozen=True)
class Config:
    """The settings of one training. A field has the name of its key in conf files, as in the original program."""

    naming: str  # the run's folder is model_path/naming.model; a body that several styles share is named after it too
    styles: dict[str, StyleSource]
    style_size: int  # short side of the style pictures, pixels
    content: Path
    start: Path | None = None  # a body file or style file to start from; {model} is replaced by `model`
    finetune: str = "all"  # what is trained: body, rows and predictor; or, with a frozen body, the "rows" or the "predictor" only
    style_pictures: Path | None = None  # a folder of paintings to train a predictor of rows on: see train/predictor.py
    extra_weight: float = 4.0  # style weight of predicted styles
    predictor_learning_rate: float = 1e-3
    model: str = "lite"
    model_path: Path = dataclasses.field(default_factory=user_folder)
    weighting: str = "relative"  # losses relative to the style's Gram norm and the photo's variance; or "absolute", as originally
    content_weight: float = 1.0
    tv_weight: float = 0.0
    grid_weight: float = 0.0
    lattice_weight: float = 0.0
    overshoot_weight: float = 20.0  # of values beyond black and white; with a lower weight `full` paints black spots
    steady_weight: float = 0.0  # of the temporal loss: see losses/temporal.py
    image_size: int = 256  # side of the square crops, pixels
    batch_size: int = 4  # crops per step and process
    epoch: int = 2
    steps: int | None = None  # replaces epoch
    seconds: float = math.inf  # time limit of the training; the learning rate then decays with the elapsed time
    least_share: float = 0.0  # share of the steps that are run even if the time limit is reached
    learning_rate: float = 1e-3
    rows_learning_rate: float | None = None  # of the styles' rows; None: learning_rate
    learning_rate_decay: str = "none"  # or "cosine": to 0 at the last step
    zoom: float = 1.0  # content is resized to a short side of image_size times a random 1 to zoom; with 1, the centre is cropped
    loss_model: str = "own"
    loss_model_file: Path | None = None
    content_layers: dict[str, float] = dataclasses.field(default_factory=lambda: {"conv3_3": 1.0})
    style_layers: dict[str, float] = dataclasses.field(default_factory=lambda: dict.fromkeys(DEFAULT_STYLE_LAYERS, 1.0))
    precision: str = "auto"  # "auto": bf16 if the hardware supports it, else fp32; or "fp32", "bf16"
    seed: int = 0


CHOICES: dict[str, Collection[str]] = {
    "model": ARCHITECTURES,
    "weighting": ("relative", "absolute"),
    "learning_rate_decay": ("none", "cosine"),
    "precision": ("auto", "fp32", "bf16"),
    "loss_model": LOSS_MODELS,
    "finetune": ("all", "rows", "predictor"),
}
WHOLE_NUMBERS = {  # key: minimum and maximum
    "image_size": (32, 4096), "style_size": (32, 4096), "batch_size": (1, 1024), "epoch": (1, 10**6), "steps": (1, 10**8),
    "seed": (0, 2**62),
}  # fmt: skip
WEIGHTS = ("content_weight", "tv_weight", "grid_weight", "lattice_weight", "overshoot_weight", "steady_weight", "extra_weight")
NUMBERS = dict.fromkeys(WEIGHTS, (0.0, 1e12))
NUMBERS |= dict.fromkeys(("learning_rate", "rows_learning_rate", "predictor_learning_rate"), (1e-12, 1e12))
NUMBERS |= {"zoom": (1.0, 16.0), "seconds": (1.0, 1e12), "least_share": (0.0, 1.0)}
PATHS = ("content", "style_pictures", "loss_model_file", "model_path", "start")
STYLE_KEYS = ("style_image", "style_weight", "origin", "licence", "styles")  # parsed into Config.styles
OPTIONS = {"naming": "--name"}  # on the command line; other options have the name of their key
MAX_NAME_BYTES = 180  # leaves room for the suffixes, and for temporary names, in the 255 bytes of a file name
STYLE_PICTURES_ADVICE = "name a folder of a hundred or more paintings with --style-pictures"
REPLACED = {"extra_styles": "replaced by style_pictures, a folder of paintings; delete this line, and name such a folder"}
CONTENT_ADVICE = "name a folder of photos or a video with --content; ten photos are enough"


@dataclass(frozen=True)
class _Locations:
    """Finds where a key was set, for error messages: in a line of the conf file, or on the command line."""

    file: Path
    """The conf file, as the user named it."""
    lines: Mapping[Keys, int]
    overridden: Collection[str]
    """The keys that come from the command line."""
    is_bundled: bool

    def at(self, *keys: str) -> str:
        """Say where a key was set: `conf/wave.yml, line 12: steps`, or `--steps`. For nested keys, the innermost known line."""
        if keys[0] in self.overridden:
            return OPTIONS.get(keys[0], f"--{keys[0].replace('_', '-')}")
        line = next((self.lines[keys[:end]] for end in range(len(keys), 0, -1) if keys[:end] in self.lines), None)
        place = self.file if line is None or self.is_bundled else f"{self.file}, line {line}"
        return f"{place}: {': '.join(keys)}"


def read_config(path: Path, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read a conf file. overrides: values that replace those of the file's keys; None is ignored.

    A relative path in the file is relative to the parent of the conf file's folder, from which users of the original program
    start it; if it does not exist there, to the working directory. A relative path in overrides is relative to the working
    directory. If the conf file does not exist, the bundled one of that name is read.

    Raises TrainingError; the message names the line and key, or the option, and says how to get a missing file.
    """
    found = _conf_file(path)
    conf = read_conf_file(found, TrainingError)
    raw = {key: value for key, value in conf.values.items() if value is not None}
    raw.pop("checkpoint_exclude_scopes", None)  # of the original program; these loss networks have no fully connected layers
    if _is_original(raw):
        raw = {"model": ORIGINAL_MODEL, "weighting": "absolute"} | raw
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    given |= {key: _absolute(given[key]) for key in PATHS if key in given}
    locations = _Locations(path, conf.lines, given.keys(), is_bundled=found.parent == _bundled_confs())
    if "loss_model_file" in given and not _exists(given["loss_model_file"]):
        raise TrainingError(f"no loss network weights: {given['loss_model_file']} does not exist")
    if "seconds" in given:  # a time limit from the command line is exact: least_share does not apply
        given = {"least_share": 0.0} | given
    entries = raw.get("styles")
    if "style_weight" in given and isinstance(entries, dict):  # else the weights of the entries would take precedence
        raw["styles"] = {name: _without_weight(entry) for name, entry in entries.items()}
    return _build(raw | given, locations, Path.cwd() if locations.is_bundled else found.resolve().parent.parent)


def _without_weight(entry: Any) -> Any:
    return {key: value for key, value in entry.items() if key != "style_weight"} if isinstance(entry, dict) else entry


def _bundled_confs() -> Path:
    return Path(str(importlib.resources.files("livestyle.conf")))


def _conf_file(path: Path) -> Path:
    """The conf file to read: this one, or the bundled one of its name, as demo, demo.yml or conf/demo.yml."""
    name = path.name if path.suffix else f"{path.name}.yml"
    by_name = path.parent in (Path(), Path("conf")) and not _exists(path)
    found = _bundled_confs() / name if by_name else path
    if _exists(found):
        return found
    if os.path.lexists(path):  # a broken link, or a link to itself
        raise TrainingError(f"{path} is a broken link; name a conf file")
    bundled = sorted(file.name for file in _bundled_confs().glob("*.yml"))
    raise TrainingError(f"no conf file {path}; bundled are {', '.join(bundled)}")


def _is_original(raw: dict[str, Any]) -> bool:
    """Whether this is a conf file of the original program, which names layers by TensorFlow scope: vgg_16/conv3/conv3_3."""
    return any("/" in str(raw.get(key, "")) for key in ("content_layers", "style_layers"))


def _absolute(value: Any) -> Path:
    return Path(value) if drawn.is_drawn(value) else _expanded(value).absolute()


def _build(raw: dict[str, Any], locations: _Locations, base: Path) -> Config:
    """Validate every key and build a Config. base: the first folder in which relative paths are looked up."""
    known = {field.name for field in dataclasses.fields(Config)} | set(STYLE_KEYS)
    for key in REPLACED.keys() & raw.keys():
        raise TrainingError(f"{locations.at(key)}: {REPLACED[key]}")
    for key in (key for key in raw if key not in known):
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.7)
        advice = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(sorted(known))}"
        raise TrainingError(f"{locations.at(key)}: unknown key {key!r:.60}; {advice}")
    for key, choices in CHOICES.items():
        if key in raw and raw[key] not in list(choices):  # a list, as the value may not be hashable
            raise TrainingError(f"{locations.at(key)}: {raw[key]!r:.60} is not one of {', '.join(choices)}")
    for key, (least, most) in WHOLE_NUMBERS.items():
        if key in raw and (type(raw[key]) is not int or not least <= raw[key] <= most):
            found = _describe_found(raw[key], most)
            raise TrainingError(f"{locations.at(key)}: expected a whole number, {least} or more, {found}")
    naming = _safe_name(locations, raw.get("naming", locations.file.stem), "naming")
    values = {key: value for key, value in raw.items() if key not in STYLE_KEYS}
    values |= {key: _number(locations, raw[key], bounds, key) for key, bounds in NUMBERS.items() if key in raw}
    values |= {key: _layers(locations, key, raw) for key in ("content_layers", "style_layers") if key in raw}
    values["naming"] = naming
    values["styles"] = _styles(locations, raw, naming, base)
    values["style_size"] = raw.get("style_size", raw.get("image_size", 256))
    if "model_path" in raw:
        values["model_path"] = _path(locations, raw["model_path"], "model_path")
    values["content"] = _find_existing(locations, raw.get("content", "train2014"), base, CONTENT_ADVICE, "content")
    if "style_pictures" in raw:
        folder = _find_existing(locations, raw["style_pictures"], base, STYLE_PICTURES_ADVICE, "style_pictures")
        values["style_pictures"] = folder
    if "start" in raw:
        start = str(_path(locations, raw["start"], "start")).replace("{model}", raw.get("model", Config.model))
        first = bundled_folder().parent if locations.is_bundled else base
        bundled = bundled_folder() / Path(start).name  # makes a copy of a bundled conf file work in any folder
        values["start"] = _find_existing(locations, start, first, "name a style file or a body file", "start", last=bundled)
    if (part := values.get("finetune", "all")) != "all" and "start" not in values:
        raise TrainingError(f"{locations.at('finetune')}: to train {part} only, name a body's file as start in the conf file")
    if part == "predictor" and "style_pictures" not in values:
        raise TrainingError(f"{locations.at('finetune')}: to train a predictor, {STYLE_PICTURES_ADVICE}")
    if part == "rows" and "style_pictures" in values:
        raise TrainingError(f"{locations.at('style_pictures')}: trains a predictor, and finetune: rows does not; leave out one")
    if "loss_model_file" in raw:  # if it does not exist, torchvision's download may replace it
        file = _path(locations, raw["loss_model_file"], "loss_model_file")
        values["loss_model_file"] = next((path for path in _candidates(file, base) if _exists(path)), file)
    return Config(**values)


def _styles(locations: _Locations, raw: dict[str, Any], naming: str, base: Path) -> dict[str, StyleSource]:
    """Parse `style_image`, or `styles`: {name: {picture, style_weight, origin, licence}} or {name: picture}.

    A style_weight is a number, or a mapping from networks to numbers, {lite: 3, full: 4}.
    """
    if raw.get("finetune") == "predictor" and "styles" not in raw and "style_image" not in raw:
        return {}
    if "styles" not in raw:
        keys: Keys = ("style_image",)
        entries: Any = {naming: {"picture": raw.get("style_image")}}
    else:
        keys, entries = ("styles",), raw["styles"]
    if not isinstance(entries, dict) or not entries:
        example = "`name: {picture: painting.jpg, style_weight: 6}`"
        raise TrainingError(f"{locations.at('styles')}: expected a line for each style, {example}")
    styles = {}
    for name, entry in entries.items():
        entry = entry if isinstance(entry, dict) else {"picture": entry}
        place = (*keys, name) if keys == ("styles",) else keys
        if entry.get("picture") in (None, ""):
            example = "`style_image: path/to/painting.jpg`"
            raise TrainingError(f"{locations.at(*place)}: no picture for the style {name}; write {example}")
        if unknown := sorted(set(entry) - {"picture", "style_weight", "origin", "licence"}):
            known = "picture, style_weight, origin, licence"
            raise TrainingError(f"{locations.at(*place, unknown[0])}: unknown key {unknown[0]!r:.60}; known keys: {known}")
        weight = entry.get("style_weight", raw.get("style_weight", 6.0))
        if isinstance(weight, dict):
            weight = weight.get(raw.get("model", Config.model))
        weight_place = (*place, "style_weight") if "style_weight" in entry else ("style_weight",)
        origin = _text(locations, entry.get("origin", raw.get("origin", "")), "origin")
        what = f"a picture there ({origin})" if origin else "a picture there"
        advice = f"put {what}, or name your own: livestyle train PICTURE -c {locations.file}"
        styles[_safe_name(locations, name, *place)] = StyleSource(
            picture=_find_existing(locations, entry["picture"], base, advice, *place),
            weight=_number(locations, weight, (0.0, 1e12), *weight_place),
            origin=origin,
            licence=_text(locations, entry.get("licence", raw.get("licence", "")), "licence"),
        )
    return styles


def _exists(path: Path) -> bool:
    """Whether a path exists; unlike Path.exists, False for names that are too long and folders without permission."""
    return os.path.exists(path)  # noqa: PTH110


def _expanded(path: str) -> Path:
    """Expand ~ in a path; unlike Path.expanduser, leave it unchanged if there is no such user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111


def _candidates(path: Path, base: Path) -> list[Path]:
    return [path] if path.is_absolute() else list(dict.fromkeys([base / path, Path.cwd() / path]))


def _find_existing(locations: _Locations, value: Any, base: Path, advice: str, *keys: str, last: Path | None = None) -> Path:
    """The first existing path of those that `read_config` describes, then `last`.

    Raises TrainingError, with the advice, if none exists.
    """
    if drawn.is_drawn(value):
        return Path(str(value))
    path = _path(locations, value, *keys)
    candidates = _candidates(path, base)
    for candidate in [*candidates, *([] if last is None else [last])]:
        if _exists(candidate):
            return candidate
    if keys[0] == "styles" and "styles" in locations.overridden:  # a picture named on the command line
        raise TrainingError(f"there is no picture {path}")
    raise TrainingError(f"{locations.at(*keys)}: there is no {' and no '.join(str(place) for place in candidates)}; {advice}")


def _path(locations: _Locations, value: Any, *keys: str) -> Path:
    if not isinstance(value, str | int | Path) or isinstance(value, bool) or value == "":
        raise TrainingError(f"{locations.at(*keys)}: expected a path, found {value!r:.60}")
    return _expanded(str(value))


def _text(locations: _Locations, value: Any, *keys: str) -> str:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise TrainingError(f"{locations.at(*keys)}: expected text, found {value!r:.60}; put it in quotes")
    return str(value)


def _safe_name(locations: _Locations, value: Any, *keys: str) -> str:
    """Check that the value can be the name of a style, and return it."""
    name = _text(locations, value, *keys)
    try:
        check_name(name)
    except StyleError as error:
        raise TrainingError(f"{locations.at(*keys)}: {error}") from error
    if len(os.fsencode(name)) > MAX_NAME_BYTES:
        raise TrainingError(f"{locations.at(*keys)}: {name!r:.60} is too long for a file name; choose a shorter --name")
    return name


def _number(locations: _Locations, value: Any, bounds: tuple[float, float], *keys: str) -> float:
    least, most = bounds
    if isinstance(value, str):  # YAML parses 1e-3, without a dot, as text
        with contextlib.suppress(ValueError):
            value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise TrainingError(f"{locations.at(*keys)}: expected a number, {least:g} or more, {_describe_found(value, most)}")
    return float(value)


def _describe_found(value: Any, most: float) -> str:
    limit = f"at most {most:g}, " if isinstance(value, int | float) and value > most else ""
    return f"{limit}found {value!r:.60}"


def _layers(locations: _Locations, key: str, raw: dict[str, Any]) -> dict[str, float]:
    """Parse a list of layers, or a mapping layer: weight. `vgg_16/conv3/conv3_3` means conv3_3 of the configured loss network."""
    value = raw[key]
    entries = value if isinstance(value, dict | list) else [value]
    known = layer_names(raw.get("loss_model", "own"))
    layers: dict[str, float] = {}
    for number, entry in enumerate(entries):
        place = (key, entry if isinstance(entries, dict) else str(number))
        name = _text(locations, entry, *place).rsplit("/", 1)[-1]
        if name not in known:
            raise TrainingError(f"{locations.at(key)}: no layer {name!r:.60}; choose from {', '.join(known)}")
        layers[name] = _number(locations, entries[entry], (0.0, 1e12), *place) if isinstance(entries, dict) else 1.0
    if not layers:
        raise TrainingError(f"{locations.at(key)}: at least one layer is needed")
    return layers
